//! Profiles: defaults for the fields of a known authorization server. The operator's fields take precedence.

use serde_json::{Map, Value};

use crate::fields::{Kind, field_type};

/// The name of a profile. The profile's defaults are added before the fields are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProfileName(&'static str);

impl ProfileName {
    /// Whether the server's operator configures there which claim names the user.
    pub(super) fn leaves_subject_open(self) -> bool {
        self.0 == "pingfederate"
    }
}

field_type!(ProfileName => Self, Kind::Words(NAMES), Self(""), |written, at, reader| {
    let name = NAMES.iter().find(|name| written == **name);
    reader.check(at, name.map(|name| Self(name)), &format!("must be one of {}", NAMES.join(", ")))
});

/// Adds the defaults of all profiles to the fields as written. Returns whether JWTs are minted and the section `mint` does not say which
/// claim names the user.
pub(super) fn apply_all(configuration: &mut Map<String, Value>) -> bool {
    let mint = configuration.get("mint").and_then(Value::as_object).cloned();
    apply(configuration, mint.as_ref());
    if let Some(Value::Array(servers)) = configuration.get_mut("authorization_servers") {
        let servers = servers.iter_mut().filter_map(Value::as_object_mut);
        servers.for_each(|server| apply(server, mint.as_ref()));
    }
    mint.is_some_and(|mint| !mint.contains_key("subject"))
}

/// Adds the defaults of a server's profile. The general section `mint` takes precedence over the profile.
fn apply(server: &mut Map<String, Value>, mint: Option<&Map<String, Value>>) {
    let defaults = server.get("profile").and_then(defaults).map(serde_json::from_str);
    if let Some(Ok(Value::Object(mut defaults))) = defaults {
        if let Some(Value::Object(mut minting)) = defaults.remove("mint")
            && let Some(mint) = mint
        {
            minting.retain(|name, _| !mint.contains_key(name));
            if !minting.is_empty() {
                defaults.insert("mint".to_owned(), minting.into());
            }
        }
        if server.contains_key("userinfo") {
            defaults.remove("introspection");
        }
        put_under(server, defaults);
    }
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

/// The defaults of each profile, in the fields of one server.
macro_rules! profiles {
    ($($name:literal => $defaults:expr,)+) => {
        const NAMES: &[&str] = &[$($name),+];

        fn defaults(name: &Value) -> Option<&'static str> {
            match name.as_str()? {
                $($name => Some($defaults),)+
                _ => None,
            }
        }
    };
}

profiles! {
    "curity" => r#"{"introspection": {"response": {"accept": "application/jwt", "jwt_field": "phantom_token"}}}"#,
    // The body is JSON, although a JWT is requested. Every token has `typ`; action tokens have other values in it.
    "keycloak" => r#"{"introspection": {"response": {"accept": "application/jwt", "jwt_field": "jwt"}}, "token": {"kinds": {"typ": ["Bearer", "DPoP"]}}}"#,
    "oidc-provider" => r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt"}}, "token": {"require_token_type": true}, "mint": {"client_as_subject": true}}"#,
    "duende" => r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt"}}, "mint": {"client_as_subject": true}}"#,
    // Older versions respond to an inactive token with a 400, or deny access.
    "gluu" => r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt", "inactive_answers": [{"status": 400, "error": "invalid_token"}, {"status": 401, "error": "access_denied"}, {"status": 403, "error": "access_denied"}]}}}"#,
    "janssen" => r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt", "inactive_answers": [{"status": 401, "error": "access_denied"}, {"status": 403, "error": "access_denied"}, {"status": 404}]}}, "mint": {"client_as_subject": true}}"#,
    // The token's client determines whether a response is signed. In older versions, a client's own token had no `sub`; a user's token
    // always has.
    "authelia" => r#"{"introspection": {"response": {"accept": "application/token-introspection+jwt", "require_signed": false}}, "mint": {"client_as_subject": true}}"#,
    // The administrative port has no authentication.
    "hydra" => r#"{"introspection": {"auth_method": "none", "response": {"accept": "application/json"}}}"#,
    "spring" => r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"require_token_type": true}}"#,
    "zitadel" => PLAIN,
    "authlib" => PLAIN,
    "okta" => PLAIN,
    "plain-json" => PLAIN,
    // It does not decode Basic credentials.
    "authentik" => r#"{"introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}}}"#,
    "django-oauth-toolkit" => r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}, "mint": {"subject": "/username", "client_as_subject": true}}"#,
    // Opaque tokens have neither `iss` nor `sub`. In a client's own token, `username` is the owner of the client.
    "wso2" => r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}, "mint": {"subject": "/username"}}"#,
    "pingfederate" => WITHOUT_ISSUER,
    // It treats a client with encoded Basic credentials as unknown, and names users only.
    "glewlwyd" => r#"{"introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}, "mint": {"client_as_subject": true}}"#,
    // It does not decode Basic credentials, and truncates those with `+` or `/` in their base64.
    "lemonldap-ng" => r#"{"introspection": {"auth_method": "client_secret_post", "response": {"accept": "application/json"}}}"#,
    // A user's token and a client's own look alike, so the client never becomes the subject. Newer versions leave out `token_type` for
    // refresh tokens; a token that never expires has `exp: 0`.
    "doorkeeper" => r#"{"introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true, "require_token_type": true, "allow_zero_exp": true}}"#,
    "canaille" => r#"{"introspection": {"response": {"accept": "application/json"}}, "mint": {"client_as_subject": true}}"#,
    "django-oidc-provider" => POSTED_WITHOUT_ISSUER,
    // Refresh tokens lack `token_type`, whatever the hint. A user's token from the grant `password` has no `sub`, like a client's own, so
    // the client never becomes the subject.
    "idpyoidc" => r#"{"introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}}, "token": {"require_token_type": true}}"#,
    "jmondi" => POSTED_WITHOUT_ISSUER,
    // They have no introspection.
    "auth0" => r#"{"token": {"jwts": "verify", "jwt_profile": "lax"}}"#,
    // Access tokens have no `aud`; ID tokens have another value in `token_use`.
    "cognito" => r#"{"token": {"jwts": "verify", "jwt_profile": "lax", "kinds": {"token_use": ["access"]}}}"#,
    "entra-id" => r#"{"token": {"jwts": "verify", "jwt_profile": "lax", "scope_claim": "scp"}}"#,
}

const PLAIN: &str = r#"{"introspection": {"response": {"accept": "application/json"}}}"#;
/// Basic credentials are not decoded, and `:` in the secret is refused; responses have no `iss`, and `sub` only for users.
const POSTED_WITHOUT_ISSUER: &str = r#"{"introspection": {"auth_method": "client_secret_post", "response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}, "mint": {"client_as_subject": true}}"#;
const WITHOUT_ISSUER: &str = r#"{"introspection": {"response": {"accept": "application/json"}}, "token": {"allow_missing_iss": true}}"#;
