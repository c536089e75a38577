//! Which requests are exposed, and what each requires of its token. A request that matches no rule is refused (R84).
//!
//! Rules are found by host and path; the cost does not grow with the number of non-matching rules. A rule for a route of the
//! host adds requirements and exposes nothing: the host selects the route again after the filter has written its fields, so a
//! client could have one route checked here and take another.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::host_pattern::HostPattern;
use super::pattern::{self, PathPattern};
use super::requirement::{Enforcement, Requirement};
use super::selection::Selection;
use super::tree::Tree;
use crate::http::authority::without_port;
use crate::http::opaque_path::{Delimiter, OpaquePath};
use crate::http::path::{self, Ambiguous};
use crate::http::request_head::{NamedField, RequestHead};
use crate::refusal::Reason;
use crate::session::SESSION_ID;

/// All rules.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    unrouted: Hosts,
    routed: HashMap<String, Hosts>,
    hosts_matter: bool,
    methods_matter: bool,
    /// The names of the fields that rules look at, each once.
    field_names: Vec<String>,
    ignores_port: bool,
    has_upper_case: bool,
    allow_delimiters: bool,
}

/// The access to one route, host and path, for its methods.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its index in the configuration, where one rule may stand for several here.
    pub place: usize,
    /// The route of the host to which the rule adds requirements; `None` for a rule that exposes a path.
    pub route: Option<String>,
    /// The hosts, in lower case without port.
    pub host: HostPattern,
    /// The paths.
    pub path: PathPattern,
    /// The methods. An empty list means all but those that `takes` excludes.
    pub methods: Vec<String>,
    /// Further conditions on the request.
    pub selection: Selection,
    /// The characters that its paths may have although some servers take them for delimiters.
    pub allow_in_path: Vec<Delimiter>,
    /// The requests that are admitted.
    pub access: Access,
}

/// The requests that a rule admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// All requests, without a token.
    Public,
    /// Requests with an active access token that satisfies the requirement; if that is optional, those without one as well.
    Protected(Arc<Requirement>),
}

/// The rules that decide about a request.
#[derive(Clone, Copy)]
struct Found<'r> {
    rule: &'r Rule,
    /// The additional requirements of the rules for its route.
    routed: Option<&'r Rule>,
}

/// The paths of each host.
#[derive(Clone, Debug, Default)]
struct Hosts {
    exactly: HashMap<String, Tree>,
    below: HashMap<String, Tree>,
    any: Tree,
}

impl Rules {
    /// Indexes the rules by host and path. A router that takes the port of a host for part of its name, as Envoy does by default, sends
    /// `a:1` elsewhere than `a`; `ignores_port` says that the router does not.
    pub fn new(rules: Vec<Rule>, ignores_port: bool) -> Self {
        // At the same place, rules with a selection come first, then rules with methods; otherwise the order of the configuration stays.
        let rules = first(first(rules, |rule| !rule.methods.is_empty()), |rule| !rule.selection.is_empty());
        let (mut unrouted, mut routed) = (Hosts::default(), HashMap::<String, Hosts>::new());
        for (place, rule) in rules.iter().enumerate() {
            let hosts = match &rule.route {
                Some(route) => routed.entry(route.clone()).or_default(),
                None => &mut unrouted,
            };
            hosts.tree(&rule.host).insert(&rule.path, place);
        }
        let hosts_matter = rules.iter().any(|rule| rule.host != HostPattern::Any);
        let methods_matter = rules.iter().any(|rule| !rule.methods.is_empty());
        let mut names = BTreeSet::new();
        names.extend(rules.iter().flat_map(Rule::field_names));
        let field_names = names.into_iter().map(str::to_owned).collect();
        let has_upper_case = rules.iter().any(|rule| rule.path.has_upper_case());
        let allow_delimiters = rules.iter().any(|rule| !rule.allow_in_path.is_empty());
        Self {
            rules,
            unrouted,
            routed,
            hosts_matter,
            methods_matter,
            field_names,
            ignores_port,
            has_upper_case,
            allow_delimiters,
        }
    }

    /// The access of the most specific rule that matches, by host first, then path, then methods; with the additional requirements of the
    /// most specific rule for the route.
    ///
    /// # Errors
    /// [`Reason::NoMatchingRule`] if none does, [`Reason::AmbiguousTarget`] if the method, the host or the path can be
    /// interpreted in different ways and the result depends on it, [`Reason::AmbiguousField`] if a field of a condition can.
    pub fn find(&self, head: &RequestHead<'_>) -> Result<Access, Reason> {
        Ok(self.deciding(head)?.access())
    }

    /// The indices in the configuration of the rules that decide about a request: one for its path, and perhaps one for its route.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub fn places(&self, head: &RequestHead<'_>) -> Result<Vec<usize>, Reason> {
        let Found { rule, routed } = self.deciding(head)?;
        Ok([Some(rule), routed].into_iter().flatten().map(|rule| rule.place).collect())
    }

    /// Finds the rules that decide about a request. HTTP distinguishes methods by letter case (RFC 9110 §9.1), and some services do not.
    fn deciding(&self, head: &RequestHead<'_>) -> Result<Found<'_>, Reason> {
        if self.methods_matter && head.method.iter().any(u8::is_ascii_lowercase) {
            return self.deciding_in_any_case(head);
        }
        self.deciding_as_written(head)
    }

    #[cold]
    fn deciding_in_any_case(&self, head: &RequestHead<'_>) -> Result<Found<'_>, Reason> {
        let method = head.method.to_ascii_uppercase();
        let upper = RequestHead { method: &method, ..*head };
        agreed(self.deciding_as_written(head), self.deciding_as_written(&upper))
    }

    fn deciding_as_written(&self, head: &RequestHead<'_>) -> Result<Found<'_>, Reason> {
        let path = path::normalize(head.path);
        let path = path.as_deref().map_err(|ambiguous| *ambiguous);
        if !self.hosts_matter {
            return self.find_at("", path, head);
        }
        let written = written_host(head.authority)?;
        let name = without_port(&written);
        let found = self.find_at(name, path, head);
        let is_plain = name == written || self.ignores_port;
        if is_plain {
            return found;
        }
        agreed(found, self.find_at(&written, path, head))
    }

    /// Whether a rule that names hosts admits this request without a token.
    pub(crate) fn open_named_host(&self, head: &RequestHead<'_>) -> bool {
        let is_open = |found: Found<'_>| found.access().openness() > 0 && found.rule.host != HostPattern::Any;
        self.hosts_matter && self.deciding(head).is_ok_and(is_open)
    }

    /// Whether rules depend on the route, which has to be requested from the host.
    pub(crate) fn ask_route(&self) -> bool {
        !self.routed.is_empty()
    }

    /// Whether a rule binds session ids.
    pub(crate) fn bind_sessions(&self) -> bool {
        self.rules.iter().any(|rule| rule.access.binds_session())
    }

    /// Whether rules need the result of Envoy's MCP filter.
    pub(crate) fn ask_envoy_filter(&self) -> bool {
        self.rules.iter().any(|rule| rule.selection.asks_envoy_filter())
    }

    /// Picks the fields that rules look at from all fields of a request.
    pub fn named_fields<'a, 'f: 'a>(
        &'a self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Vec<NamedField<'a>> {
        self.field_names.iter().map(|name| NamedField::find(name, fields.clone())).collect()
    }

    /// The requirements of all rules.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.rules.iter().filter_map(|rule| match &rule.access {
            Access::Public => None,
            Access::Protected(requirement) => Some(&**requirement),
        })
    }

    fn find_at(
        &self,
        host: &str,
        path: Result<&str, Ambiguous>,
        head: &RequestHead<'_>,
    ) -> Result<Found<'_>, Reason> {
        if path.is_err() && self.allow_delimiters {
            return self.find_with_delimiters(host, head);
        }
        self.find_by(host, path, head)
    }

    /// The rule for a path as written, if it allows the path's characters, and if no reading of the path matches another rule.
    /// Anything else is ambiguous.
    #[cold]
    fn find_with_delimiters(&self, host: &str, head: &RequestHead<'_>) -> Result<Found<'_>, Reason> {
        if let Ok(path) = OpaquePath::read(head.path)
            && let Ok(found) = self.find_by(host, Ok(&path.as_written), head)
            && path.delimiters.iter().all(|delimiter| found.rule.allow_in_path.contains(delimiter))
            && path
                .readings
                .iter()
                .all(|reading| self.is_harmless(reading, host, found, &path.as_written, head))
        {
            return Ok(found);
        }
        self.find_by(host, Err(Ambiguous), head)
    }

    /// Whether the rule that was found for a path as written may decide about a request although servers may read the path as `reading`.
    /// Either the access is the same. Or a token is needed, no rules are for the route, and all rules that match the reading match the path
    /// as written as well: then these are rules for a wider place, to which the operator has preferred this one.
    fn is_harmless(
        &self,
        reading: &str,
        host: &str,
        found: Found<'_>,
        as_written: &str,
        head: &RequestHead<'_>,
    ) -> bool {
        let access = found.access();
        if self.find_by(host, Ok(reading), head).is_ok_and(|other| other.access() == access) {
            return true;
        }
        let route = head.route.and_then(|route| std::str::from_utf8(route).ok());
        if !access.needs_token() || route.is_some_and(|route| self.routed.contains_key(route)) {
            return false;
        }
        let matching = |path: &str| self.matching(&self.unrouted, host, pattern::inner(&path::fold(path)));
        let own = matching(as_written);
        matching(reading).iter().all(|rule| own.iter().any(|own| std::ptr::eq(*own, *rule)))
    }

    fn find_by(
        &self,
        host: &str,
        path: Result<&str, Ambiguous>,
        head: &RequestHead<'_>,
    ) -> Result<Found<'_>, Reason> {
        let rule = self.find_among(&self.unrouted, None, host, path, head)?;
        let route = head.route.and_then(|route| std::str::from_utf8(route).ok());
        let routed = route.and_then(|route| Some((route, self.routed.get(route)?)));
        let Some((route, hosts)) = routed else { return Ok(Found { rule, routed: None }) };
        match self.find_among(hosts, Some(route), host, path, head) {
            Err(Reason::NoMatchingRule) if !self.has_place(hosts, host, path) => {
                Ok(Found { rule, routed: None })
            }
            Err(reason) => Err(reason),
            Ok(routed) => Ok(Found { rule, routed: Some(routed) }),
        }
    }

    fn find_among(
        &self,
        hosts: &Hosts,
        route: Option<&str>,
        host: &str,
        path: Result<&str, Ambiguous>,
        head: &RequestHead<'_>,
    ) -> Result<&Rule, Reason> {
        let Ok(path) = path else { return self.without_path(hosts, route, host, head) };
        let folded = path::fold(path);
        let matching = self.matching(hosts, host, pattern::inner(&folded));
        if !self.has_upper_case && (matches!(folded, Cow::Borrowed(_)) || folded == path) {
            return best(matching.iter().copied(), head);
        }
        // To services that do not distinguish letter case, the path is one of all these rules.
        let segments: Vec<_> = pattern::segments(path).collect();
        let spelled = matching.iter().copied().filter(|rule| rule.path.is_spelled(&segments));
        let rule = best(spelled, head);
        match (rule, best(matching.iter().copied(), head)) {
            (Ok(rule), Ok(any)) if rule.access == any.access => Ok(rule),
            (Err(reason), Err(any)) if reason == any => Err(reason),
            _ => Err(Reason::AmbiguousTarget),
        }
    }

    /// Whether any rule matches this host and path, whatever its methods.
    fn has_place(&self, hosts: &Hosts, host: &str, path: Result<&str, Ambiguous>) -> bool {
        let folded = path.map(path::fold).unwrap_or_default();
        !self.matching(hosts, host, pattern::inner(&folded)).is_empty()
    }

    /// The rules that match a path without slashes at its ends, in lower case, the most specific first, whatever their methods.
    fn matching(&self, hosts: &Hosts, host: &str, path: &str) -> Vec<&Rule> {
        let mut matching = Vec::with_capacity(USUAL_MATCHES);
        let mut visit = |place| matching.extend(self.rules.get(place));
        hosts.trees(host).for_each(|tree| tree.visit(path, &mut visit));
        matching
    }

    /// The rule for an ambiguous path. Ambiguity is harmless if the path cannot change the result: if no rule for a narrower place takes
    /// the method, or could be bypassed.
    fn without_path(
        &self,
        hosts: &Hosts,
        route: Option<&str>,
        host: &str,
        head: &RequestHead<'_>,
    ) -> Result<&Rule, Reason> {
        let is_narrower = |rule: &Rule| {
            let counts = rule.takes(head.method) || rule.access != Access::Public;
            counts && !rule.path.is_everything() && rule.route.as_deref() == route && rule.host.is_for(host)
        };
        if self.rules.iter().any(is_narrower) {
            return Err(Reason::AmbiguousTarget);
        }
        let matching = self.matching(hosts, host, "");
        best(matching.iter().copied().filter(|rule| rule.path.is_everything()), head)
    }
}

/// The result of two readings of a request, if it is the same.
fn agreed<'r>(one: Result<Found<'r>, Reason>, other: Result<Found<'r>, Reason>) -> Result<Found<'r>, Reason> {
    match (one, other) {
        (Ok(one), Ok(other)) if one.access() == other.access() => Ok(one),
        (Err(one), Err(other)) if one == other => Err(one),
        _ => Err(Reason::AmbiguousTarget),
    }
}

impl Found<'_> {
    /// The access by both rules: the requirements of the rule for the path, and those of the rule for the route.
    fn access(self) -> Access {
        match (&self.rule.access, self.routed.map(|routed| &routed.access)) {
            (access, None) | (access @ Access::Protected(_), Some(Access::Public)) => access.clone(),
            (Access::Public, Some(narrower)) => narrower.clone(),
            (Access::Protected(wide), Some(Access::Protected(narrow))) => {
                Access::Protected(Arc::new(wide.and(Arc::clone(narrow))))
            }
        }
    }
}

impl Hosts {
    fn tree(&mut self, host: &HostPattern) -> &mut Tree {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Below(domain) => self.below.entry(domain.clone()).or_default(),
            HostPattern::Exactly(name) => self.exactly.entry(name.clone()).or_default(),
        }
    }

    /// The path trees that apply to a host, the most specific host pattern first.
    fn trees<'h>(&'h self, host: &'h str) -> impl Iterator<Item = &'h Tree> {
        let domains = host.char_indices().filter(|(start, character)| *character == '.' && *start > 0);
        let below = domains.filter_map(move |(start, _)| self.below.get(host.get(start..)?));
        self.exactly.get(host).into_iter().chain(below).chain([&self.any])
    }
}

impl Rule {
    /// Whether both rules match the same requests at some place with the same specificity, so that neither would come first. Letter case
    /// does not count: to some services it makes no difference.
    pub fn contends_with(&self, other: &Self) -> bool {
        let share_method =
            self.methods == other.methods || self.methods.iter().any(|method| other.methods.contains(method));
        let is_at_place =
            self.route == other.route && self.host == other.host && self.path.is_alike(&other.path);
        is_at_place && share_method && self.selection == other.selection
    }

    /// Whether this rule leaves session ids unbound at a place where the other rule binds them. A rule for preflights alone may.
    pub fn leaves_unbound(&self, other: &Self) -> bool {
        let is_at_place =
            self.route == other.route && self.host == other.host && self.path.is_alike(&other.path);
        is_at_place && self.methods != ["OPTIONS"] && self.access.leaves_unbound(&other.access)
    }

    /// Whether this rule admits requests that the other rule does not select, at the same place, with fewer requirements. A rule for
    /// preflights alone may.
    pub fn lets_pass_what_is_not(&self, other: &Self) -> bool {
        let takes = |method: &String| self.takes(method.as_bytes());
        let share_method =
            self.methods.is_empty() || other.methods.is_empty() || other.methods.iter().any(takes);
        let is_at_place =
            self.route == other.route && self.host == other.host && self.path.is_alike(&other.path);
        is_at_place
            && share_method
            && self.methods != ["OPTIONS"]
            && !other.selection.is_empty()
            && self.access.openness() > other.access.openness()
    }

    /// The names of the fields that the rule looks at.
    fn field_names(&self) -> impl Iterator<Item = &str> {
        let session = self.access.binds_session().then_some(SESSION_ID);
        self.selection.field_names().chain(session)
    }

    fn is_at_place_of(&self, other: &Self) -> bool {
        self.route == other.route && self.host == other.host && self.path == other.path
    }

    /// Whether the rule applies to this method. A rule that names no methods applies to all but two kinds: `CONNECT` has no path that a
    /// rule could judge, and a response to `TRACE` shows the request to the client (RFC 9110 §9.3.6, §9.3.8), so that no JWT may be in it.
    fn takes(&self, method: &[u8]) -> bool {
        match (self.methods.is_empty(), method.len()) {
            (false, _) => self.methods.iter().any(|name| name.as_bytes() == method),
            (true, 5) => self.access == Access::Public || !is_reflected(method),
            (true, 7) => !method.eq_ignore_ascii_case(b"CONNECT"),
            (true, _) => true,
        }
    }
}

/// Whether services answer this method with the request itself, in any letter case: `TRACE`, and `TRACK`, as IIS calls it.
pub fn is_reflected(method: &[u8]) -> bool {
    [TRACE, TRACK].iter().any(|reflected| method.eq_ignore_ascii_case(reflected))
}

impl Access {
    /// Whether requests without a token are refused.
    fn needs_token(&self) -> bool {
        match self {
            Self::Public => false,
            Self::Protected(requirement) => {
                !requirement.is_optional && requirement.enforcement != Enforcement::Nothing
            }
        }
    }

    /// Whether session ids are bound.
    fn binds_session(&self) -> bool {
        matches!(self, Self::Protected(requirement) if requirement.session.is_some())
    }

    /// Whether session ids stay unbound here that the other access binds.
    fn leaves_unbound(&self, other: &Self) -> bool {
        other.binds_session() && !self.binds_session()
    }

    /// The higher, the fewer requirements.
    fn openness(&self) -> u8 {
        match self {
            Self::Public => 2,
            Self::Protected(_) => (!self.needs_token()).into(),
        }
    }
}

/// Moves the rules of this kind before the others, each group in its order.
fn first(rules: Vec<Rule>, is_of_kind: impl Fn(&Rule) -> bool) -> Vec<Rule> {
    let (mut all, others): (Vec<_>, Vec<_>) = rules.into_iter().partition(is_of_kind);
    all.extend(others);
    all
}

/// The first rule that accepts the method and selects the request. A method that a rule does not name must not fall through to
/// a wider rule with fewer requirements, unless that is a rule for preflights; and a request that a rule does not select must
/// not fall through to any wider rule, since a client controls its fields.
fn best<'a>(
    matching: impl Iterator<Item = &'a Rule> + Clone,
    head: &RequestHead<'_>,
) -> Result<&'a Rule, Reason> {
    let mut found = None;
    for (passed_over, rule) in matching.clone().enumerate() {
        if rule.takes(head.method) && rule.selection.is_met(head)? {
            found = Some((passed_over, rule));
            break;
        }
    }
    let (passed_over, rule) = found.ok_or(Reason::NoMatchingRule)?;
    let slips_past = |other: &Rule| {
        let is_unselected = !other.selection.is_empty() && other.takes(head.method);
        let asks_less = rule.access.openness() > other.access.openness();
        let asks_less = asks_less || rule.access.leaves_unbound(&other.access);
        (is_unselected || asks_less) && !rule.is_at_place_of(other)
    };
    match rule.methods != ["OPTIONS"] && matching.take(passed_over).any(slips_past) {
        true => Err(Reason::NoMatchingRule),
        false => Ok(rule),
    }
}

/// The host as it is written, in lower case. A trailing dot, a colon without a port, and characters that names do not have make it
/// ambiguous: routers read them differently.
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
    !name.is_empty() && !name.ends_with('.') && (is_address || !name.contains([':', '[', ']']))
}

/// The maximum number of rules that usually match a path.
const USUAL_MATCHES: usize = 8;

const TRACE: &[u8] = b"TRACE";
const TRACK: &[u8] = b"TRACK";

#[cfg(test)]
mod tests;
