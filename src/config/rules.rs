//! The section `rules`.

use std::mem::take;
use std::sync::Arc;

use http::Method;

use super::fields::{duration, is_pointer, non_empty_list};
use super::mint;
use super::mistakes::Mistakes;
use super::raw::{self, Field, PathMatch, RuleDpop};
use crate::requirement::{Condition, Enforcement, Requirement, Test};
use crate::rules::{Access, HostPattern, PathPattern, Rule, Rules};
use crate::server_id::ServerId;
use crate::upstream::mint::MintProfile;

/// What rules refer to.
pub(super) struct Surroundings<'a> {
    /// The names of the authorization servers.
    pub(super) servers: Vec<&'a str>,
    /// What minted JWTs are like, if there are any.
    pub(super) profile: Option<&'a MintProfile>,
    /// What becomes of requests, where a rule does not say it.
    pub(super) enforcement: Enforcement,
}

pub(super) fn rules(
    raw: Vec<Field<raw::Rule>>,
    surroundings: &Surroundings<'_>,
    ignores_port: bool,
    mistakes: &mut Mistakes,
) -> Rules {
    if raw.is_empty() {
        mistakes.note("rules", "must not be empty: without a rule, nothing is exposed");
    }
    let mut all: Vec<Rule> = Vec::new();
    let mut origins: Vec<usize> = Vec::new();
    for (index, field) in raw.into_iter().enumerate() {
        let path = format!("rules[{index}]");
        let before = mistakes.iter().count();
        let read = mistakes
            .required(&path, field)
            .map(|raw| rule(index, raw, surroundings, mistakes))
            .unwrap_or_default();
        if mistakes.iter().count() > before {
            continue;
        }
        let contended = |rule: &Rule| all.iter().position(|other| other.contends_with(rule));
        if let Some(other) = read.iter().find_map(contended).and_then(|position| origins.get(position)) {
            mistakes.note(
                &path,
                format!("matches the same requests as rules[{other}], but for letter case perhaps"),
            );
        }
        origins.extend(read.iter().map(|_| index));
        all.extend(read);
    }
    Rules::new(all, ignores_port)
}

/// One rule for each of its routes and hosts.
fn rule(
    place: usize,
    mut raw: raw::Rule,
    surroundings: &Surroundings<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Rule> {
    let at = &*format!("rules[{place}]");
    let hosts = match non_empty_list(&format!("{at}.hosts"), take(&mut raw.hosts), mistakes) {
        None => vec![HostPattern::Any],
        Some(names) => hosts(&format!("{at}.hosts"), &names, mistakes),
    };
    let routes = non_empty_list(&format!("{at}.routes"), take(&mut raw.routes), mistakes);
    let routes = routes.map_or(vec![None], |routes| routes.into_iter().map(Some).collect());
    let path = path(at, &mut raw, mistakes);
    let methods =
        non_empty_list(&format!("{at}.methods"), take(&mut raw.methods), mistakes).unwrap_or_default();
    if !methods.iter().all(|method| is_method(method)) {
        mistakes.note(format!("{at}.methods"), "must be names of methods in upper case");
    }
    let methods = with_head(methods);
    let access = take(&mut raw.access);
    let unknown = take(&mut raw.unknown);
    let asks_nothing = asks_nothing(&raw);
    let narrows = routes.iter().any(Option::is_some);
    if narrows && !matches!((&raw.authorization_server, &raw.mint), (Field::Absent, Field::Absent)) {
        let message =
            "asks for more than the rules without routes, which say from whom tokens are and what is minted";
        mistakes.note(format!("{at}.routes"), message);
    }
    if narrows && !raw.report_only.is_absent() {
        mistakes.note(format!("{at}.report_only"), "is for the rules without routes to say");
    }
    let requirement = requirement(at, raw, surroundings, mistakes);
    let access = mistakes.optional(&format!("{at}.access"), access);
    let access = match access {
        Some(raw::Access::Public) if narrows => {
            mistakes.note(
                format!("{at}.access"),
                "must not be public where the rule is for routes: it opens nothing",
            );
            Access::Public
        }
        Some(raw::Access::Public) if asks_nothing => Access::Public,
        Some(raw::Access::Public) => {
            mistakes.note(format!("{at}.access"), "must not be public where something is asked of the token");
            Access::Public
        }
        None | Some(raw::Access::Protected) => Access::Protected(Arc::new(requirement)),
    };

    mistakes.refuse_unknown(at, &unknown);
    let Some(path) = path else { return Vec::new() };
    let places = routes.iter().flat_map(|route| hosts.iter().map(move |host| (route.clone(), host.clone())));
    let rule = |(route, host)| Rule {
        place,
        route,
        host,
        path: path.clone(),
        methods: methods.clone(),
        access: access.clone(),
    };
    places.map(rule).collect()
}

fn asks_nothing(raw: &raw::Rule) -> bool {
    let absent = [
        raw.authorization_server.is_absent(),
        raw.report_only.is_absent(),
        raw.peers.is_absent(),
        raw.dpop.is_absent(),
        raw.mint.is_absent(),
        raw.audience.is_absent(),
        raw.scopes.is_absent(),
        raw.any_scopes.is_absent(),
        raw.claims.is_absent(),
        raw.acr_values.is_absent(),
        raw.max_age.is_absent(),
    ];
    absent.iter().all(|is_absent| *is_absent)
}

fn requirement(
    at: &str,
    raw: raw::Rule,
    surroundings: &Surroundings<'_>,
    mistakes: &mut Mistakes,
) -> Requirement {
    let at = |field: &str| format!("{at}.{field}");
    let server = mistakes.optional(&at("authorization_server"), raw.authorization_server);
    let server = server.and_then(|name| {
        let place = surroundings.servers.iter().position(|server| *server == name).map(ServerId);
        mistakes.check(
            &at("authorization_server"),
            place.ok_or("must be the name of one of authorization_servers"),
        )
    });
    let mint = mistakes.optional(&at("mint"), raw.mint);
    let mint = mint.and_then(|raw| mint::profile(&at("mint"), raw, surroundings.profile, mistakes));
    let dpop = mistakes.optional(&at("dpop"), raw.dpop) == Some(RuleDpop::Required);
    let peers = non_empty_list(&at("peers"), raw.peers, mistakes).unwrap_or_default();
    if !peers.iter().all(|peer| peer.contains("://") && peer.bytes().all(|byte| byte.is_ascii_graphic())) {
        mistakes
            .note(at("peers"), "must be URIs of certificates, like spiffe://cluster.local/ns/shop/sa/cart");
    }
    let audience = non_empty_list(&at("audience"), raw.audience, mistakes).unwrap_or_default();
    let scopes = mistakes.optional(&at("scopes"), raw.scopes).unwrap_or_default();
    let any_scopes = non_empty_list(&at("any_scopes"), raw.any_scopes, mistakes).unwrap_or_default();
    for (field, scopes) in [("scopes", &scopes), ("any_scopes", &any_scopes)] {
        if !scopes.iter().all(|scope| is_scope_token(scope)) {
            mistakes.note(at(field), "must be scope tokens (RFC 6749 §3.3): visible ASCII, no space");
        }
    }
    let acr_values = non_empty_list(&at("acr_values"), raw.acr_values, mistakes).unwrap_or_default();
    if !acr_values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_graphic())) {
        mistakes.note(at("acr_values"), "must be visible ASCII without space");
    }
    let max_age = duration(&at("max_age"), raw.max_age, mistakes);
    let claims = mistakes.optional(&at("claims"), raw.claims).unwrap_or_default();
    let read = |(index, field)| {
        let at = format!("{}[{index}]", at("claims"));
        mistakes.required(&at, field).and_then(|raw| condition(&at, raw, mistakes))
    };
    let conditions = claims.into_iter().enumerate().filter_map(read).collect();
    let enforcement = match mistakes.optional(&at("report_only"), raw.report_only) {
        Some(true) => Enforcement::Nothing,
        Some(false) => Enforcement::Full,
        None => surroundings.enforcement,
    };
    Requirement {
        enforcement,
        also: None,
        server,
        peers,
        dpop,
        mint,
        audience,
        scopes,
        any_scopes,
        conditions,
        acr_values,
        max_age,
    }
}

/// A pointer, and exactly one thing that the claim there has to be.
fn condition(place: &str, raw: raw::Condition, mistakes: &mut Mistakes) -> Option<Condition> {
    let at = |field: &str| format!("{place}.{field}");
    let pointer = mistakes.optional(&at("pointer"), raw.pointer);
    if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
        mistakes.note(
            at("pointer"),
            "must be a JSON Pointer (RFC 6901), like /department, to no registered date",
        );
    }
    let present = mistakes.optional(&at("present"), raw.present);
    if present == Some(false) {
        mistakes.note(at("present"), "must be true");
    }
    let one_of = mistakes.optional(&at("one_of"), raw.one_of);
    if one_of.as_ref().is_some_and(Vec::is_empty) {
        mistakes.note(at("one_of"), "must not be empty");
    }
    let contains = mistakes.optional(&at("contains"), raw.contains);
    mistakes.refuse_unknown(place, &raw.unknown);
    let tests = [present.map(|_| Test::Present), one_of.map(Test::OneOf), contains.map(Test::Contains)];
    let mut tests = tests.into_iter().flatten();
    let (Some(test), None) = (tests.next(), tests.next()) else {
        mistakes.note(at("pointer"), "needs exactly one of present, one_of and contains beside it");
        return None;
    };
    Some(Condition { pointer: pointer?, test })
}

fn path(at: &str, raw: &mut raw::Rule, mistakes: &mut Mistakes) -> Option<PathPattern> {
    let path = mistakes.optional(&format!("{at}.path"), take(&mut raw.path));
    let path_match = mistakes.optional(&format!("{at}.path_match"), take(&mut raw.path_match));
    let is_exact = path_match.map(|path_match| path_match == PathMatch::Exact);
    mistakes.check(&format!("{at}.path"), PathPattern::parse(&path?, is_exact))
}

fn hosts(path: &str, names: &[String], mistakes: &mut Mistakes) -> Vec<HostPattern> {
    let mut hosts: Vec<HostPattern> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match mistakes.check(&path, host(name)) {
            Some(host) if hosts.contains(&host) => mistakes.note(path, "is there already"),
            Some(host) => hosts.push(host),
            None => {}
        }
    }
    hosts
}

/// A name of labels, or an address of IPv6 in brackets, as requests have it behind lower-casing.
fn host(name: &str) -> Result<HostPattern, &'static str> {
    let is_label = |label: &str| {
        let is_character =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_character)
    };
    let is_address =
        |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok() && text == text.to_ascii_lowercase();
    if let Some(domain) = name.strip_prefix("*.").filter(|domain| domain.split('.').all(is_label)) {
        return Ok(HostPattern::Below(format!(".{domain}")));
    }
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address.map_or_else(|| name.split('.').all(is_label), is_address) {
        true => Ok(HostPattern::Exactly(name.to_owned())),
        false => Err("must be a name in lower case without port, or *. and a domain"),
    }
}

/// A rule for GET is for HEAD as well: services answer both by the same code (RFC 9110 §9.3.2).
fn with_head(mut methods: Vec<String>) -> Vec<String> {
    let has = |name: &str| methods.iter().any(|method| method == name);
    if has("GET") && !has("HEAD") {
        methods.push("HEAD".to_owned());
    }
    methods
}

fn is_method(name: &str) -> bool {
    Method::from_bytes(name.as_bytes()).is_ok() && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_scope_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
