//! Which requests are exposed, and what each requires of its token. What no rule matches is refused (R84).

use std::cmp::Ordering;
use std::rc::Rc;

use crate::path::{self, Ambiguous};
use crate::rejection::Reason;
use crate::request::RequestHead;
use crate::requirement::Requirement;

/// All rules, the most specific first.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    hosts_matter: bool,
    ignores_port: bool,
    has_upper_case: bool,
}

/// One host and path with its methods, and who may come in there.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The hosts, in lower case without port.
    pub host: HostPattern,
    /// A normalised path; the rule is for it and all that lies below it.
    pub path: String,
    /// The methods; none named means all.
    pub methods: Vec<String>,
    /// Who may come in.
    pub access: Access,
}

/// The hosts that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// All hosts below this domain, which starts with a dot.
    Below(String),
    /// This host alone.
    Exactly(String),
}

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Whoever presents an active access token that satisfies the requirement.
    Protected(Rc<Requirement>),
}

impl Rules {
    /// Puts the rules in the order of their specificity. A router that takes the port of a host for part of its name, as
    /// Envoy does by default, sends `a:1` elsewhere than `a`; `ignores_port` says that it does not.
    pub fn new(mut rules: Vec<Rule>, ignores_port: bool) -> Self {
        rules.sort_by(|a, b| b.compare_specificity(a));
        let hosts_matter = rules.iter().any(|rule| rule.host != HostPattern::Any);
        let has_upper_case = rules.iter().any(|rule| rule.path.bytes().any(|byte| byte.is_ascii_uppercase()));
        Self { rules, hosts_matter, ignores_port, has_upper_case }
    }

    /// The access of the most specific rule that matches.
    ///
    /// # Errors
    /// [`Reason::NotExposed`] if none does, [`Reason::AmbiguousTarget`] if the host or the path can be read in different
    /// ways and the answer depends on it.
    pub fn find(&self, head: &RequestHead<'_>) -> Result<&Access, Reason> {
        let path = path::normalize(head.path);
        let path = path.as_deref().map_err(|ambiguous| *ambiguous);
        if !self.hosts_matter {
            return self.find_at("", path, head.method);
        }
        let written = written_host(head.authority)?;
        let name = without_port(&written);
        let access = self.find_at(name, path, head.method);
        let is_plain = name == written || self.ignores_port;
        if is_plain || self.find_at(&written, path, head.method) == access {
            access
        } else {
            Err(Reason::AmbiguousTarget)
        }
    }

    /// The pointers of the claims that rules ask about.
    pub(crate) fn asked_claims(&self) -> impl Iterator<Item = &str> {
        let requirements = self.rules.iter().filter_map(|rule| match &rule.access {
            Access::Public => None,
            Access::Protected(requirement) => Some(requirement),
        });
        requirements.flat_map(|requirement| requirement.asked_claims())
    }

    fn find_at(&self, host: &str, path: Result<&str, Ambiguous>, method: &[u8]) -> Result<&Access, Reason> {
        let candidates = || self.rules.iter().filter(|rule| rule.host.is_for(host));
        let Ok(path) = path else { return without_path(candidates(), method) };
        let access = best(candidates().filter(|rule| path::is_below(path, &rule.path)), method);
        if self.has_upper_case || path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            // To services that do not tell letter case apart, it is the path of all these rules.
            let in_any_case = candidates().filter(|rule| path::is_below_in_any_case(path, &rule.path));
            if best(in_any_case, method) != access {
                return Err(Reason::AmbiguousTarget);
            }
        }
        access
    }
}

impl Rule {
    /// Whether both match the same requests somewhere with the same specificity, so that neither would come first.
    pub fn contends_with(&self, other: &Self) -> bool {
        let share_method =
            self.methods == other.methods || self.methods.iter().any(|method| other.methods.contains(method));
        self.is_at_place_of(other) && share_method
    }

    fn is_at_place_of(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }

    fn takes(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|name| name.as_bytes() == method)
    }

    /// The order of the Kubernetes Gateway API: the host first, then the longer path, then named methods.
    fn compare_specificity(&self, other: &Self) -> Ordering {
        let key = |rule: &Self| (rule.host.specificity(), rule.path.len(), !rule.methods.is_empty());
        key(self).cmp(&key(other))
    }
}

impl HostPattern {
    fn is_for(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Self::Exactly(name) => host == name,
        }
    }

    fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Below(domain) => (1, domain.len()),
            Self::Exactly(_) => (2, 0),
        }
    }
}

/// The first rule that takes the method. A method that a protected rule does not name must not slip past it into a public
/// rule for a wider place, unless that is a rule for preflights.
fn best<'a>(matching: impl Iterator<Item = &'a Rule>, method: &[u8]) -> Result<&'a Access, Reason> {
    let mut passed_over = None::<&Rule>;
    for rule in matching {
        let is_by_accident = rule.access == Access::Public && rule.methods != ["OPTIONS"];
        let slips_past = |other: &Rule| is_by_accident && !rule.is_at_place_of(other);
        match rule.takes(method) {
            true if passed_over.is_some_and(slips_past) => return Err(Reason::NotExposed),
            true => return Ok(&rule.access),
            false if rule.access != Access::Public => passed_over = passed_over.or(Some(rule)),
            false => {}
        }
    }
    Err(Reason::NotExposed)
}

/// The answer to an ambiguous path, which is harmless where the path cannot change it: where no rule for a narrower place
/// takes the method, or could be slipped past.
fn without_path<'a>(
    candidates: impl Iterator<Item = &'a Rule> + Clone,
    method: &[u8],
) -> Result<&'a Access, Reason> {
    let is_narrower = |rule: &Rule| rule.path != "/" && (rule.takes(method) || rule.access != Access::Public);
    if candidates.clone().any(is_narrower) { Err(Reason::AmbiguousTarget) } else { best(candidates, method) }
}

/// The host as it is written, in lower case. The dot of the root, a colon without a port behind it, and characters that
/// names do not have, are read by routers in ways that are nobody's to guess.
fn written_host(authority: &[u8]) -> Result<String, Reason> {
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    match std::str::from_utf8(authority) {
        Ok(host) if host.bytes().all(|byte| is_host(&byte)) && is_plain_name(without_port(host)) => {
            Ok(host.to_ascii_lowercase())
        }
        _ => Err(Reason::AmbiguousTarget),
    }
}

fn is_plain_name(name: &str) -> bool {
    let is_address = name.starts_with('[') && name.ends_with(']');
    !name.ends_with('.') && (is_address || !name.contains([':', '[', ']']))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
