//! The host that a configuration is for, and the settings that it does not support. A rule for an attribute that the host lacks would have
//! no effect, so such a configuration is refused.

use serde_json::Value;

use crate::fields::ConfigErrors;

/// A kind of host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKind {
    /// Envoy, and proxies built on it.
    #[default]
    Envoy,
    /// Envoy before 1.40, with the same filter. Its own filter for MCP confuses some keys of a body
    /// ([envoy#46730](https://github.com/envoyproxy/envoy/pull/46730)), so that a client can choose what that filter reports.
    OlderEnvoy,
    /// Envoy with the native module.
    EnvoyModule,
    /// Kong's ngx_wasm_module.
    Kong,
}

impl HostKind {
    /// Reports settings that the host does not support.
    #[inline(never)]
    pub(super) fn refuse(self, configuration: &Value, errors: &mut ConfigErrors) {
        match self {
            Self::Envoy => {}
            Self::OlderEnvoy => no_envoy_filter(
                "Envoy before 1.40, whose filter takes keys for others",
                configuration,
                errors,
            ),
            Self::EnvoyModule => {
                no_envoy_filter("the native module, which cannot read its metadata", configuration, errors)
            }
            Self::Kong => kong(configuration, errors),
        }
    }
}

fn no_envoy_filter(place: &str, configuration: &Value, errors: &mut ConfigErrors) {
    let rules = configuration.get("rules").and_then(Value::as_array);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        if rule.get("mcp").and_then(|mcp| mcp.get("source")).is_some_and(|source| source == "envoy_filter") {
            errors.note(format!("rules[{index}].mcp.source"), format!("must not be envoy_filter in {place}"));
        }
    }
}

fn kong(configuration: &Value, errors: &mut ConfigErrors) {
    let elements =
        |name: &str| configuration.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
    no_envoy_filter("Kong, which has none", configuration, errors);
    for (index, rule) in elements("rules") {
        for (name, message) in RULES {
            if rule.get(name).is_some() {
                errors.note(format!("rules[{index}].{name}"), *message);
            }
        }
    }
    if configuration.get("client_certificate").is_some_and(|source| source == "connection") {
        errors.note(
            "client_certificate",
            "must not be connection in Kong, which does not report the certificate",
        );
    }
    if configuration.get("token_sources").is_some_and(|section| section.get("query_parameter").is_some()) {
        errors.note(
            "token_sources.query_parameter",
            "must be left out in Kong, which forwards the query unchanged",
        );
    }
    if configuration.get("end_streams_with_token").is_some_and(|value| *value != Value::Bool(false)) {
        errors.note("end_streams_with_token", "must be left out in Kong, which has no such timeout");
    }
    if configuration.get("filter_state").is_some() {
        errors.note("filter_state", "must be left out in Kong, which stores none");
    }
    upstreams("", configuration, errors);
    for (index, server) in elements("authorization_servers") {
        upstreams(&format!("authorization_servers[{index}]."), server, errors);
    }
}

/// Reports upstreams that Kong's host cannot parse: at one of these, it stops the filter.
fn upstreams(at: &str, server: &Value, errors: &mut ConfigErrors) {
    for section in ["introspection", "userinfo", "keys"] {
        let upstream =
            server.get(section).and_then(|section| section.get("upstream")).and_then(Value::as_str);
        if upstream.is_some_and(|upstream| !is_host_and_port(upstream)) {
            errors.note(
                format!("{at}{section}.upstream"),
                "must be HOST or HOST:PORT in Kong, with a port between 1 and 65535",
            );
        }
    }
}

/// Whether the text is a name, an IPv4 address or an IPv6 address in brackets, with an optional port.
fn is_host_and_port(upstream: &str) -> bool {
    let (host, port) = match upstream.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (upstream, None),
    };
    let is_port = |port: &str| {
        !port.starts_with('0')
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok()
    };
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !name.is_empty() && name.bytes().all(is_part)
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => {
            address.contains(':')
                && address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        }
        None => is_name(host),
    };
    is_host && port.is_none_or(is_port)
}

/// The fields of rules that Kong does not support, with the errors.
const RULES: &[(&str, &str)] = &[
    ("routes", "must be left out in Kong, which does not report the route"),
    ("peers", "must be left out in Kong, which does not report the caller's certificate"),
    ("bind_session", "must be left out in Kong, where the filter does not change responses"),
];

#[cfg(test)]
mod tests;
