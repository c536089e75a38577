//! The configuration as it works: with the defaults of its profiles, and without secrets. What it does not name has the
//! default that the documentation says.

use serde_json::{Map, Value};

use super::fields::Place;
use super::mistakes::Mistakes;
use super::profile;

/// Puts the defaults of all profiles under what was written.
pub(super) fn with_profiles(
    mut configuration: Map<String, Value>,
    mistakes: &mut Mistakes,
) -> Map<String, Value> {
    let mint = configuration.get("mint").and_then(Value::as_object);
    let asks_subject = mint.is_some_and(|mint| !mint.contains_key("subject"));
    profile::apply(Place(""), &mut configuration, asks_subject, mistakes);
    if let Some(Value::Array(servers)) = configuration.get_mut("authorization_servers") {
        for (index, server) in servers.iter_mut().enumerate() {
            if let Value::Object(server) = server {
                let path = format!("authorization_servers[{index}]");
                profile::apply(Place(&path), server, asks_subject, mistakes);
            }
        }
    }
    configuration
}

/// Hides every value of a field that may hold a secret, wherever it stands.
pub(super) fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), &member) {
                    ("headers" | "parameters", Value::Object(_)) => hide_each(member),
                    ("endpoint" | "uri" | "discovery", Value::String(url)) => {
                        *member = Value::String(without_query(url));
                    }
                    ("set", _) => hide_private_members(member),
                    (name, written) if SECRETS.contains(&name) && !is_elsewhere(written) => {
                        *member = hidden()
                    }
                    _ => without_secrets(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

fn hide_each(headers: &mut Value) {
    let values = headers.as_object_mut().into_iter().flat_map(Map::values_mut);
    values.filter(|value| !is_elsewhere(value)).for_each(|value| *value = hidden());
}

/// Whether it only names a variable of the environment.
fn is_elsewhere(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.len() == 1 && members.contains_key("env"))
}

/// The URL without what may be a secret in it.
fn without_query(url: &str) -> String {
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    match url.split_once('@') {
        Some((_, rest)) => format!("[hidden]@{rest}"),
        None => url.to_owned(),
    }
}

/// A JWK Set ought to have public keys, but may have others by mistake.
fn hide_private_members(set: &mut Value) {
    let keys = set.get_mut("keys").and_then(Value::as_array_mut);
    for members in keys.into_iter().flatten().filter_map(Value::as_object_mut) {
        members.retain(|name, _| {
            matches!(name.as_str(), "kty" | "kid" | "alg" | "use" | "key_ops" | "crv" | "x" | "y" | "n" | "e")
        });
    }
}

fn hidden() -> Value {
    Value::String("[hidden]".to_owned())
}

/// Fields that hold a secret, unless they name a variable of the environment.
const SECRETS: &[&str] =
    &["client_secret", "bearer_token", "private_key", "secret", "nonce_secret", "log_key"];
