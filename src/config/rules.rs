//! The section `rules`.

use std::rc::Rc;

use http::Method;

use super::fields::non_empty_list;
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::path;
use crate::rules::{Access, Host, Requirement, Rule, Rules};

pub(super) fn rules(raw: Vec<Field<raw::Rule>>, ignores_port: bool, mistakes: &mut Mistakes) -> Rules {
    if raw.is_empty() {
        mistakes.note("rules", "must not be empty: without a rule, nothing is exposed");
    }
    let mut all: Vec<Rule> = Vec::new();
    let mut origins: Vec<usize> = Vec::new();
    for (index, field) in raw.into_iter().enumerate() {
        let path = format!("rules[{index}]");
        let read = mistakes.required(&path, field).map(|raw| rule(&path, raw, mistakes)).unwrap_or_default();
        let contended = |rule: &Rule| all.iter().position(|other| other.contends_with(rule));
        if let Some(other) = read.iter().find_map(contended).and_then(|position| origins.get(position)) {
            mistakes.note(&path, format!("matches the same requests as rules[{other}]"));
        }
        origins.extend(read.iter().map(|_| index));
        all.extend(read);
    }
    Rules::new(all, ignores_port)
}

/// One rule for each of its hosts.
fn rule(at: &str, raw: raw::Rule, mistakes: &mut Mistakes) -> Vec<Rule> {
    let hosts = match non_empty_list(&format!("{at}.hosts"), raw.hosts, mistakes) {
        None => vec![Host::Any],
        Some(names) => hosts(&format!("{at}.hosts"), &names, mistakes),
    };
    let path_field = format!("{at}.path");
    let path = mistakes.required(&path_field, raw.path);
    let path = path.and_then(|path| mistakes.check(&path_field, rule_path(path)));
    let methods = non_empty_list(&format!("{at}.methods"), raw.methods, mistakes).unwrap_or_default();
    if !methods.iter().all(|method| is_method(method)) {
        mistakes.note(format!("{at}.methods"), "must be names of methods in upper case");
    }
    let methods = with_head(methods);
    let scopes = mistakes.optional(&format!("{at}.scopes"), raw.scopes);
    if !scopes.iter().flatten().all(|scope| is_scope_token(scope)) {
        mistakes
            .note(format!("{at}.scopes"), "must be scope tokens (RFC 6749 §3.3): visible ASCII, no space");
    }
    let access = mistakes.optional(&format!("{at}.access"), raw.access);
    let access = match (access.as_deref(), scopes) {
        (Some("public"), None) => Access::Public,
        (Some("public"), Some(_)) => {
            mistakes.note(format!("{at}.scopes"), "must be left out where access is public");
            Access::Public
        }
        (None | Some("protected"), scopes) => {
            Access::Protected(Rc::new(Requirement::all_of(scopes.unwrap_or_default())))
        }
        (Some(_), _) => {
            mistakes.note(format!("{at}.access"), "must be public or protected");
            Access::Protected(Rc::default())
        }
    };
    mistakes.refuse_unknown(at, &raw.unknown);

    let Some(path) = path else { return Vec::new() };
    let rule = |host| Rule { host, path: path.clone(), methods: methods.clone(), access: access.clone() };
    hosts.into_iter().map(rule).collect()
}

fn rule_path(path: String) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err(r#"must start with "/""#);
    }
    if path.len() > 1 && path.ends_with('/') {
        return Err(r#"must not end with "/": it is for all below it anyway"#);
    }
    match path::normalize(path.as_bytes()) {
        Ok(normalized) if normalized == path => Ok(path),
        _ => Err("must be a plain path: no query, no dot segments, no escapes"),
    }
}

fn hosts(path: &str, names: &[String], mistakes: &mut Mistakes) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
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
fn host(name: &str) -> Result<Host, &'static str> {
    let is_label = |label: &str| {
        let is_character =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_character)
    };
    let is_address =
        |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok() && text == text.to_ascii_lowercase();
    if let Some(domain) = name.strip_prefix("*.").filter(|domain| domain.split('.').all(is_label)) {
        return Ok(Host::Below(format!(".{domain}")));
    }
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address.map_or_else(|| name.split('.').all(is_label), is_address) {
        true => Ok(Host::Exactly(name.to_owned())),
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
