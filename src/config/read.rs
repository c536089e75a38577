//! From what was written to what is meant. Each function reads one object, notes its mistakes with their field paths, and
//! gives what it could read.

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Uri};
use serde::Deserialize;

use super::mistakes::Mistakes;
use super::raw::{self, Confidential, Field};
use super::{IntrospectionSettings, Settings, TokenSettings};
use crate::cache::CacheSettings;
use crate::claims::TokenPolicy;
use crate::introspection::{ClientCredentials, Endpoint, ResponseFormat};
use crate::json::Object;
use crate::path;
use crate::rules::{Access, Host, Requirement, Rule, Rules};
use crate::secret::Secret;

pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn settings(object: Object, environment: Environment<'_>) -> Result<Settings, Mistakes> {
    let mut mistakes = Mistakes::default();
    let raw = raw::Configuration::deserialize(object.into_value()).unwrap_or_default();

    let introspection = mistakes
        .required("introspection", raw.introspection)
        .and_then(|raw| introspection(raw, environment, &mut mistakes));
    let token = mistakes.optional("token", raw.token).unwrap_or_default();
    let token = token_settings(token, &mut mistakes);
    let cache = mistakes.optional("cache", raw.cache).unwrap_or_default();
    let cache = cache_settings(cache, &mut mistakes);
    let realm = mistakes.optional("realm", raw.realm).unwrap_or_else(|| "api".to_owned());
    if !is_visible_ascii(&realm) {
        mistakes.note("realm", "must be visible ASCII");
    }
    let ignores_port =
        mistakes.optional("ignore_port_in_host_matching", raw.ignore_port_in_host_matching).unwrap_or(false);
    let rules = mistakes.required("rules", raw.rules).map(|raw| rules(raw, ignores_port, &mut mistakes));
    let log_level = mistakes.optional("log_level", raw.log_level).unwrap_or_else(|| "info".to_owned());
    let log_level = log_level.parse().map_err(|_| "must be off, error, warn, info, debug or trace");
    let log_level = mistakes.check("log_level", log_level);
    mistakes.refuse_unknown("", &raw.unknown);

    let settings = introspection.zip(rules).zip(log_level).map(|((introspection, rules), log_level)| {
        Settings { introspection, token, cache, realm, rules, log_level }
    });
    mistakes.or(settings)
}

fn introspection(
    raw: raw::Introspection,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<IntrospectionSettings> {
    let location = mistakes
        .required("introspection.endpoint", raw.endpoint)
        .and_then(|url| mistakes.check("introspection.endpoint", Location::parse(&url)));
    let upstream = visible("introspection.upstream", raw.upstream, mistakes);
    let id = visible("introspection.client_id", raw.client_id, mistakes);
    let secret = mistakes
        .required("introspection.client_secret", raw.client_secret)
        .and_then(|raw| secret("introspection.client_secret", raw, environment, mistakes));
    let raw_response = mistakes.optional("introspection.response", raw.response).unwrap_or_default();
    let (accept, response) = response(raw_response, mistakes);
    let token_type_hint =
        mistakes.optional("introspection.token_type_hint", raw.token_type_hint).unwrap_or(true);
    let timeout = duration("introspection.timeout", raw.timeout, SECOND / 1000..=MINUTE, mistakes);
    let single_flight = mistakes.optional("introspection.single_flight", raw.single_flight).unwrap_or(true);
    mistakes.refuse_unknown("introspection", &raw.unknown);

    let Location { scheme, authority, path } = location?;
    let endpoint = Endpoint {
        upstream: upstream?,
        scheme,
        authority,
        path,
        credentials: ClientCredentials { id: id?, secret: secret? },
        accept,
        token_type_hint,
        timeout: timeout.unwrap_or(2 * SECOND),
    };
    Some(IntrospectionSettings { endpoint: Rc::new(endpoint), response, single_flight })
}

fn response(raw: raw::Response, mistakes: &mut Mistakes) -> (String, ResponseFormat) {
    let accept = mistakes.optional("introspection.response.accept", raw.accept);
    let accept = accept.unwrap_or_else(|| APPLICATION_JWT.to_owned());
    let is_jwt = accept == APPLICATION_JWT;
    let jwt_member = mistakes.optional("introspection.response.jwt_member", raw.jwt_member);
    if !is_jwt && accept != APPLICATION_JSON {
        let message = format!("must be {APPLICATION_JWT} or {APPLICATION_JSON}");
        mistakes.note("introspection.response.accept", message);
    } else if !is_jwt && jwt_member.is_none() {
        let message = format!("is required where accept is {APPLICATION_JSON}");
        mistakes.note("introspection.response.jwt_member", message);
    }
    if jwt_member.as_deref().is_some_and(|name| matches!(name, "" | "active")) {
        mistakes.note("introspection.response.jwt_member", "must be the name of a member that holds a JWT");
    }
    let max_jwt_length =
        number("introspection.response.max_jwt_length", raw.max_jwt_length, 256..=64 * KIB, mistakes);
    mistakes.refuse_unknown("introspection.response", &raw.unknown);
    (accept, ResponseFormat { is_jwt, jwt_member, max_jwt_length: max_jwt_length.unwrap_or(32 * KIB) })
}

fn secret(
    path: &str,
    raw: Confidential,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let value = match raw {
        Confidential::Literal(value) => {
            Some(value).filter(|value| !value.is_empty()).ok_or("must not be empty")
        }
        Confidential::Elsewhere(place) => match place.get("env").filter(|_| place.len() == 1) {
            Some(name) => environment(name)
                .filter(|value| !value.is_empty())
                .ok_or("names a variable that is not set, or empty, in the environment of the proxy"),
            None => Err(r#"must be a string or {"env": NAME}"#),
        },
    };
    mistakes.check(path, value).map(Secret::new)
}

fn token_settings(raw: raw::Token, mistakes: &mut Mistakes) -> TokenSettings {
    let issuer = mistakes.optional("token.issuer", raw.issuer);
    if issuer.as_deref().is_some_and(|issuer| !is_visible_ascii(issuer)) {
        mistakes.note("token.issuer", "must be visible ASCII");
    }
    let audience = non_empty_list("token.audience", raw.audience, mistakes);
    let leeway = duration("token.leeway", raw.leeway, Duration::ZERO..=MINUTE, mistakes);
    let require_exp = mistakes.optional("token.require_exp", raw.require_exp).unwrap_or(false);
    let max_length = number("token.max_length", raw.max_length, 1..=64 * KIB, mistakes);
    mistakes.refuse_unknown("token", &raw.unknown);
    TokenSettings {
        policy: TokenPolicy {
            issuer,
            audience: audience.unwrap_or_default(),
            leeway: leeway.unwrap_or(5 * SECOND),
            require_exp,
        },
        max_length: max_length.unwrap_or(8 * KIB),
    }
}

fn cache_settings(raw: raw::Cache, mistakes: &mut Mistakes) -> CacheSettings {
    let max_entries = number("cache.max_entries", raw.max_entries, 16..=1_000_000, mistakes);
    let max_bytes = number("cache.max_bytes", raw.max_bytes, 64 * KIB..=1024 * 1024 * KIB, mistakes);
    let max_ttl = duration("cache.max_ttl", raw.max_ttl, Duration::ZERO..=DAY, mistakes);
    let no_store_ttl = duration("cache.no_store_ttl", raw.no_store_ttl, Duration::ZERO..=DAY, mistakes);
    let shared = mistakes.optional("cache.shared", raw.shared).unwrap_or(true);
    mistakes.refuse_unknown("cache", &raw.unknown);
    let settings = CacheSettings {
        max_entries: max_entries.unwrap_or(10_000),
        max_bytes: max_bytes.unwrap_or(32 * 1024 * KIB),
        max_ttl: max_ttl.unwrap_or(5 * MINUTE),
        no_store_ttl,
        shared,
    };
    if settings.max_bytes / settings.max_entries < MIN_ENTRY_BYTES {
        let message = format!("must be at least {MIN_ENTRY_BYTES} for each of cache.max_entries");
        mistakes.note("cache.max_bytes", message);
    }
    if settings.no_store_ttl.is_some_and(|ttl| ttl > settings.max_ttl) {
        mistakes.note("cache.no_store_ttl", "must not be longer than cache.max_ttl");
    }
    settings
}

fn rules(raw: Vec<Field<raw::Rule>>, ignores_port: bool, mistakes: &mut Mistakes) -> Rules {
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

/// What an endpoint's URL gives to the callout.
struct Location {
    scheme: String,
    authority: String,
    path: String,
}

impl Location {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "must be an absolute URL")?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or("must be an absolute URL of http or https")?;
        let authority = uri.authority().ok_or("must name a host")?;
        if authority.as_str().contains('@') || url.contains('#') || !url.is_ascii() {
            return Err("must be ASCII without user information and fragment");
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || (has_port && authority.port_u16().is_none_or(|port| port == 0)) {
            return Err("must name a host, and a port between 1 and 65535 if any");
        }
        let authority = authority.as_str();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_owned(), path: path.to_owned() })
    }
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

fn is_visible_ascii(value: &str) -> bool {
    !value.trim().is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A required string that can stand in a header field.
fn visible(path: &str, field: Field<String>, mistakes: &mut Mistakes) -> Option<String> {
    let value = mistakes.required(path, field)?;
    mistakes.check(path, Some(value).filter(|value| is_visible_ascii(value)).ok_or("must be visible ASCII"))
}

/// A list that, if it is there, has elements: an empty one could be taken for "all" or for "none".
fn non_empty_list(path: &str, field: Field<Vec<String>>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
    let list = mistakes.optional(path, field)?;
    if list.is_empty() || list.iter().any(String::is_empty) {
        mistakes.note(path, "must not be empty, nor have an empty element");
    }
    Some(list)
}

fn number(
    path: &str,
    field: Field<u64>,
    range: RangeInclusive<usize>,
    mistakes: &mut Mistakes,
) -> Option<usize> {
    let value = mistakes.optional(path, field)?;
    let in_range = usize::try_from(value).ok().filter(|value| range.contains(value));
    let message = || format!("must be between {} and {}, got {value}", range.start(), range.end());
    mistakes.check(path, in_range.ok_or_else(message))
}

fn duration(
    path: &str,
    field: Field<String>,
    range: RangeInclusive<Duration>,
    mistakes: &mut Mistakes,
) -> Option<Duration> {
    let text = mistakes.optional(path, field)?;
    // A long text can make humantime overflow, which is a panic.
    let parsed =
        Some(&text).filter(|text| text.len() <= 16).and_then(|text| humantime::parse_duration(text).ok());
    let in_range = parsed.filter(|value| range.contains(value));
    let [start, end] = [range.start(), range.end()].map(|bound| humantime::format_duration(*bound));
    mistakes
        .check(path, in_range.ok_or_else(|| format!("must be a duration between {start} and {end}, like 2s")))
}

const APPLICATION_JWT: &str = "application/jwt";
const APPLICATION_JSON: &str = "application/json";
const KIB: usize = 1024;
const MIN_ENTRY_BYTES: usize = 256;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
