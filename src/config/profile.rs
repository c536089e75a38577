//! Profiles: what the authorization servers of one make have in common, as defaults for the fields of a server. Whatever the
//! operator writes goes before them.

use serde_json::{Map, Value};

use super::fields::Place;
use super::mistakes::Mistakes;

/// Puts the defaults of its profile under what was written of a server. Which claim names the user matters if JWTs are minted, and
/// nothing is written of that for all servers (`asks_subject`).
pub(super) fn apply(
    place: Place<'_>,
    server: &mut Map<String, Value>,
    asks_subject: bool,
    mistakes: &mut Mistakes,
) {
    let Some(name) = server.remove("profile") else { return };
    let defaults = PROFILES.iter().find(|(profile, _)| name == *profile);
    match defaults.and_then(|(_, defaults)| serde_json::from_str(defaults).ok()) {
        Some(Value::Object(mut defaults)) => {
            if !asks_subject {
                defaults.remove("mint");
            }
            put_under(server, defaults);
            let subject = server.get("mint").and_then(|mint| mint.get("subject"));
            if asks_subject && subject.is_none() && SUBJECT_UNKNOWN.iter().any(|profile| name == *profile) {
                mistakes.note(
                    place.at("mint.subject"),
                    "is required with this profile: which claim names the user is configured at the server",
                );
            }
        }
        _ => {
            let names: Vec<&str> = names().collect();
            mistakes.note(place.at("profile"), format!("must be one of {}", names.join(", ")));
        }
    }
}

/// The names of all profiles.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

fn put_under(written: &mut Map<String, Value>, defaults: Map<String, Value>) {
    for (name, default) in defaults {
        match (written.get_mut(&name), default) {
            (Some(Value::Object(written)), Value::Object(default)) => put_under(written, default),
            (Some(_), _) => {}
            (None, default) => drop(written.insert(name, default)),
        }
    }
}

/// What is known of each, in the fields of one server.
const PROFILES: &[(&str, &str)] = &[
    (
        "curity",
        r#"{"introspection": {"response": {"accept": "application/jwt", "jwt_member": "phantom_token"}}}"#,
    ),
    // The body is JSON, although a JWT is asked for.
    ("keycloak", r#"{"introspection": {"response": {"accept": "application/jwt", "jwt_member": "jwt"}}}"#),
    (
        "oidc-provider",
        r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt"}}, "token": {"require_token_type": true}}"#,
    ),
    ("duende", SIGNED),
    ("gluu", SIGNED),
    ("janssen", SIGNED),
    // Whether an answer is signed is a matter of the token's client.
    (
        "authelia",
        r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt", "require_signed": false}}}"#,
    ),
    // The administrative port asks nobody who they are.
    ("hydra", r#"{"introspection": {"auth_method": "none", "response": {"accept": "application/json"}}}"#),
    (
        "spring",
        r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"require_token_type": true}}"#,
    ),
    ("zitadel", PLAIN),
    ("authlib", PLAIN),
    ("okta", PLAIN),
    // It takes the credentials of Basic as they are.
    (
        "authentik",
        r#"{"introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}}}"#,
    ),
    ("django-oauth-toolkit", WITHOUT_SUBJECT),
    ("wso2", WITHOUT_SUBJECT),
    ("pingfederate", WITHOUT_ISSUER),
    // They introspect nothing.
    ("auth0", r#"{"token": {"jwts": "verify", "jwt_profile": "lax"}}"#),
    ("entra-id", r#"{"token": {"jwts": "verify", "jwt_profile": "lax", "scope_claim": "scp"}}"#),
];

const SIGNED: &str = r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt"}}}"#;
const PLAIN: &str = r#"{"introspection": {"response": {"accept": "application/json"}}}"#;
/// Opaque tokens have neither `iss` nor `sub`; `username` names the user.
const WITHOUT_SUBJECT: &str = r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}, "mint": {"subject": "/username"}}"#;
const WITHOUT_ISSUER: &str = r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}}"#;

/// Profiles of servers whose answers name the user as their operator has configured.
const SUBJECT_UNKNOWN: &[&str] = &["pingfederate"];
