//! Which requests are exposed, and what each requires of its token. What no rule matches is refused (R84).

use std::cmp::Ordering;
use std::rc::Rc;

use crate::path;
use crate::rejection::Reason;
use crate::request::RequestHead;

/// All rules, the most specific first.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    hosts_matter: bool,
}

/// One host and path with its methods, and who may come in there.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The host in lower case without port, or every host.
    pub host: Host,
    /// A normalised path; the rule is for it and all that lies below it.
    pub path: String,
    /// The methods; none named means all.
    pub methods: Vec<String>,
    /// Who may come in.
    pub access: Access,
}

/// The hosts that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
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

/// What a rule asks of a token beyond being active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    scopes: Vec<String>,
    scope: Rc<str>,
}

impl Requirement {
    /// Requires each of these scope tokens (RFC 6749 §3.3).
    pub fn all_of(scopes: Vec<String>) -> Self {
        let scope = scopes.join(" ").into();
        Self { scopes, scope }
    }

    /// The required scope tokens.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The required scope, as RFC 6750 §3 writes it into a challenge.
    pub fn scope(&self) -> &Rc<str> {
        &self.scope
    }
}

impl Rules {
    /// Puts the rules in the order of their specificity.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| b.compare_specificity(a));
        let hosts_matter = rules.iter().any(|rule| rule.host != Host::Any);
        Self { rules, hosts_matter }
    }

    /// The access of the most specific rule that matches.
    ///
    /// # Errors
    /// [`Reason::NotExposed`] if none does, [`Reason::AmbiguousTarget`] if the host or the path can be read in different
    /// ways and the answer depends on it.
    pub fn find(&self, head: &RequestHead<'_>) -> Result<&Access, Reason> {
        let host = self.host_of(head)?;
        let mut candidates = self.rules.iter().filter(|rule| rule.is_for(&host, head.method));
        let found = match path::normalize(head.path) {
            Ok(path) => candidates.find(|rule| path::is_below(&path, &rule.path)),
            Err(path::Ambiguous) => Some(decided_without_path(candidates)?),
        };
        found.map(|rule| &rule.access).ok_or(Reason::NotExposed)
    }

    /// Ports and letter case do not count, nor the dot of the root. A host with other characters than a name has is
    /// nobody's to guess, where rules depend on it.
    fn host_of(&self, head: &RequestHead<'_>) -> Result<String, Reason> {
        if !self.hosts_matter {
            return Ok(String::new());
        }
        let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
        match std::str::from_utf8(head.authority) {
            Ok(authority) if authority.bytes().all(|byte| is_host(&byte)) => {
                let host = match authority.rsplit_once(':') {
                    Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
                    _ => authority,
                };
                Ok(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
            }
            _ => Err(Reason::AmbiguousTarget),
        }
    }
}

impl Rule {
    /// Whether both match the same requests somewhere with the same specificity, so that neither would come first.
    pub fn contends_with(&self, other: &Self) -> bool {
        let share_method =
            self.methods == other.methods || self.methods.iter().any(|method| other.methods.contains(method));
        self.host == other.host && self.path == other.path && share_method
    }

    fn is_for(&self, host: &str, method: &[u8]) -> bool {
        self.host.is_for(host)
            && (self.methods.is_empty() || self.methods.iter().any(|name| name.as_bytes() == method))
    }

    /// The order of the Kubernetes Gateway API: the host first, then the longer path, then named methods.
    fn compare_specificity(&self, other: &Self) -> Ordering {
        let key = |rule: &Self| (rule.host.specificity(), rule.path.len(), !rule.methods.is_empty());
        key(self).cmp(&key(other))
    }
}

impl Host {
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

/// An ambiguous path is harmless where the path cannot change the answer: all rules left are for every path, so the
/// first is the one. It never opens a public route that a well-formed path would not.
fn decided_without_path<'a>(mut candidates: impl Iterator<Item = &'a Rule>) -> Result<&'a Rule, Reason> {
    let first = candidates.next().filter(|rule| rule.path == "/");
    match first {
        Some(first) if candidates.all(|rule| rule.path == "/") => Ok(first),
        _ => Err(Reason::AmbiguousTarget),
    }
}

#[cfg(test)]
mod tests;
