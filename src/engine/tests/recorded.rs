//! Responses of servers, and their outcome with the server's profile. Each row states the source of its response: a run of that server, its
//! maker's documentation or source code, or an issue. Names and dates are changed.

use serde_json::{Value, json};

use super::Worker;
use crate::host::NoSharedData;
use crate::testing::signer::{key_set, p256, sign};
use crate::testing::{self, NOW, test};

const ISSUER: &str = "https://login.example.com";

/// How a server describes a token.
enum Answer {
    /// Plain JSON, from which the gateway mints a JWT.
    Json(Value),
    /// JSON inside a signed response (RFC 9701), from which the gateway mints a JWT.
    Signed(Value),
    /// The JWT that services receive.
    Jwt(Value),
    /// The JWT that services receive, in this member of the surrounding JSON.
    Around(&'static str, Value, Value),
    /// The client presents a JWT with this `typ`.
    Presented(Option<&'static str>, Value),
}

use Answer::{Around, Json, Jwt, Presented, Signed};

/// If a profile were wrong, its users would find out by an outage, or not at all: when services confuse users, or a refresh token works for
/// months.
#[test]
fn r125_r160_r168_profiles_fit_what_their_servers_answer() {
    let rows = rows();
    for (profile, source, answer, expected) in &rows {
        assert_eq!(outcome(profile, answer), *expected, "{profile}: {source}");
    }
    let errors =
        testing::parse(&testing::configured(json!({"profile": "none"}))).expect_err("an error").to_string();
    let (_, names) = errors.split_once("must be one of ").expect("the names of profiles");
    for name in names.split(", ") {
        assert!(rows.iter().any(|(profile, ..)| *profile == name), "there is no answer of {name}");
    }
}

fn rows() -> Vec<(&'static str, &'static str, Answer, &'static str)> {
    let exp = NOW + 600;
    let forwarded = "forwarded";
    let no_access_token = "not_an_access_token";
    vec![
        (
            "glewlwyd",
            "run with 2.7.5: a user's token",
            Json(
                json!({"active": true, "username": "alice", "client_id": "app", "aud": "openid orders:read", "iat": NOW, "nbf": NOW,
                "jti": "j", "token_type": "bearer", "exp": exp, "sub": "n3Vb", "scope": "openid orders:read"}),
            ),
            "n3Vb",
        ),
        (
            "glewlwyd",
            "run with 2.7.5: a client's own token",
            Json(
                json!({"active": true, "client_id": "app", "aud": "orders:read", "iat": NOW, "nbf": NOW, "jti": "j",
                "token_type": "bearer", "exp": exp, "scope": "orders:read"}),
            ),
            "app",
        ),
        (
            "glewlwyd",
            "run with 2.7.5: a refresh token, without the hint",
            Json(
                json!({"active": true, "username": "alice", "client_id": "app", "token_type": "refresh_token", "exp": exp, "sub": "n3Vb"}),
            ),
            no_access_token,
        ),
        (
            "glewlwyd",
            "run with 2.7.5: an ID token, without the hint",
            Json(
                json!({"active": true, "client_id": "app", "token_type": "id_token", "exp": exp, "sub": "n3Vb"}),
            ),
            no_access_token,
        ),
        (
            "lemonldap-ng",
            "run with 2.16.1: a user's token",
            Json(
                json!({"active": true, "client_id": "app", "exp": exp, "iss": ISSUER, "scope": "openid orders:read", "sub": "dwho"}),
            ),
            "dwho",
        ),
        (
            "lemonldap-ng",
            "run with 2.16.1: a client's own token",
            Json(
                json!({"active": true, "client_id": "app", "exp": exp, "iss": ISSUER, "scope": "orders:read", "sub": "app"}),
            ),
            "app",
        ),
        (
            "lemonldap-ng",
            "run with 2.16.1: a refresh token, an ID token",
            Json(json!({"active": false})),
            "inactive",
        ),
        (
            "doorkeeper",
            "run with 5.5.0: a user's token, and a client's own",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "Bearer", "exp": exp, "iat": NOW}),
            ),
            "missing_subject",
        ),
        (
            "doorkeeper",
            "run with 5.5.0 and custom_introspection_response",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "Bearer", "exp": exp, "iat": NOW,
                "sub": "17"}),
            ),
            "17",
        ),
        (
            "doorkeeper",
            "run with 5.5.0 and access_token_expires_in nil; doorkeeper#1818",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "Bearer", "exp": 0, "iat": NOW,
                "sub": "17"}),
            ),
            "17",
        ),
        (
            "doorkeeper",
            "doorkeeper#1860: a refresh token of newer versions",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "iat": NOW, "sub": "17"}),
            ),
            no_access_token,
        ),
        (
            "canaille",
            "run with 0.3.6: a user's token",
            Json(
                json!({"active": true, "aud": ["app", "gateway"], "client_id": "app", "exp": exp as f64 + 0.25, "iat": NOW as f64 + 0.5,
                "iss": ISSUER, "scope": "orders:read", "token_type": "Bearer", "sub": "alice", "username": null}),
            ),
            "alice",
        ),
        (
            "canaille",
            "run with 0.3.6: a client's own token",
            Json(
                json!({"active": true, "aud": ["app", "gateway"], "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER,
                "scope": "orders:read", "token_type": "Bearer"}),
            ),
            "app",
        ),
        (
            "django-oidc-provider",
            "run with 0.9.0: a user's token",
            Json(
                json!({"active": true, "aud": "app", "sub": "1", "exp": exp, "iat": NOW, "iss": ISSUER, "client_id": "app",
                "scope": "openid orders:read"}),
            ),
            "1",
        ),
        (
            "django-oidc-provider",
            "run with 0.9.0: a client's own token",
            Json(json!({"active": true, "client_id": "app", "scope": "orders:read"})),
            "app",
        ),
        (
            "django-oidc-provider",
            "run with 0.9.0: `exp` is the ID token's, which ended before",
            Json(
                json!({"active": true, "aud": "app", "sub": "1", "exp": NOW - 10, "iat": NOW - 610, "iss": ISSUER, "client_id": "app"}),
            ),
            "expired",
        ),
        (
            "idpyoidc",
            "run with 5.0.0: a user's token",
            Json(
                json!({"active": true, "scope": "openid", "client_id": "app", "exp": exp, "iat": NOW, "sub": "a1b2", "iss": ISSUER,
                "token_type": "bearer", "aud": ["app"]}),
            ),
            "a1b2",
        ),
        (
            "idpyoidc",
            "run with 5.0.0: a refresh token, whatever the hint",
            Json(
                json!({"active": true, "scope": "openid", "client_id": "app", "exp": exp, "iat": NOW, "sub": "a1b2", "iss": ISSUER,
                "aud": ["app"]}),
            ),
            no_access_token,
        ),
        (
            "jmondi",
            "run with 4.3.7: a user's token",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "access_token", "sub": "alice",
                "exp": exp, "iat": NOW, "nbf": NOW, "jti": "j", "cid": "app"}),
            ),
            "alice",
        ),
        (
            "jmondi",
            "run with 4.3.7: a client's own token",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "access_token", "exp": exp, "iat": NOW}),
            ),
            "app",
        ),
        (
            "jmondi",
            "run with 4.3.7: a refresh token, with its hint",
            Json(
                json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "refresh_token", "exp": exp}),
            ),
            no_access_token,
        ),
        (
            "oidc-provider",
            "as run by the tests: a user's token",
            Signed(
                json!({"active": true, "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "scope": "orders:read", "sub": "alice",
                "token_type": "Bearer"}),
            ),
            "alice",
        ),
        (
            "oidc-provider",
            "as run by the tests: a client's own token",
            Signed(
                json!({"active": true, "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "scope": "orders:read",
                "token_type": "Bearer"}),
            ),
            "app",
        ),
        (
            "oidc-provider",
            "as run by the tests: a refresh token",
            Signed(
                json!({"active": true, "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "scope": "orders:read", "sub": "alice"}),
            ),
            no_access_token,
        ),
        (
            "authlib",
            "as run by the tests, by its own example of an endpoint",
            Json(
                json!({"active": true, "client_id": "app", "token_type": "Bearer", "username": "alice", "scope": "orders:read", "sub": "1",
                "aud": "app", "iss": ISSUER, "exp": exp, "iat": NOW}),
            ),
            "1",
        ),
        (
            "duende",
            "docs.duendesoftware.com/identityserver/reference/endpoints/introspection",
            Signed(
                json!({"iss": ISSUER, "nbf": NOW, "iat": NOW, "exp": exp, "client_id": "client", "jti": "44FD", "scope": "api1",
                "token_type": "access_token", "active": true}),
            ),
            "client",
        ),
        (
            "duende",
            "the same of a user's token, asked about by an API resource, which hears no type",
            Signed(
                json!({"iss": ISSUER, "nbf": NOW, "iat": NOW, "exp": exp, "client_id": "client", "jti": "44FD", "scope": "api1",
                "sub": "818727", "active": true}),
            ),
            "818727",
        ),
        (
            "gluu",
            "the members that its source has; not tried",
            Signed(
                json!({"active": true, "scope": "openid", "client_id": "app", "username": "Alice", "token_type": "bearer", "exp": exp,
                "iat": NOW, "sub": "pairwise-1", "aud": "app", "iss": ISSUER, "acr_values": null}),
            ),
            "pairwise-1",
        ),
        (
            "janssen",
            "docs.jans.io, auth-server/endpoints/introspection: the decoded JWT",
            Signed(
                json!({"active": true, "iss": ISSUER, "aud": "https://rs.example.com/resource", "iat": NOW, "exp": exp,
                "client_id": "paiB2goo0a", "scope": "read write dolphin", "sub": "Z5O3upPC88QrAjx00dis", "birthdate": "1982-02-01",
                "jti": "t1Fo"}),
            ),
            "Z5O3upPC88QrAjx00dis",
        ),
        (
            "janssen",
            "the same page: a client's own token",
            Signed(
                json!({"sub": "", "iss": ISSUER, "active": true, "token_type": "Bearer", "client_id": "1800.df1b", "aud": "1800.df1b",
                "nbf": null, "scope": "", "acr_values": null, "cnf": null, "exp": exp, "iat": NOW, "jti": null, "username": null}),
            ),
            "1800.df1b",
        ),
        (
            "authelia",
            "the members that its library has; not tried",
            Json(
                json!({"active": true, "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "scope": "openid", "sub": "alice",
                "aud": ["orders-api"], "username": "alice"}),
            ),
            "alice",
        ),
        (
            "authelia",
            "authelia#12483: a client's own token, before `Session.GetSubject` names the client",
            Json(
                json!({"active": true, "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "scope": "orders:read", "aud": ["orders-api"]}),
            ),
            "app",
        ),
        (
            "hydra",
            "ory.com, reference of introspectOAuth2Token; not tried",
            Json(
                json!({"active": true, "aud": [], "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "nbf": NOW, "scope": "a b",
                "sub": "alice", "token_type": "Bearer", "token_use": "access_token", "ext": {"vat": "CH-1"}}),
            ),
            "alice",
        ),
        (
            "hydra",
            "the same of a refresh token",
            Json(
                json!({"active": true, "client_id": "app", "exp": exp, "iss": ISSUER, "sub": "alice", "token_type": "Bearer",
                "token_use": "refresh_token"}),
            ),
            no_access_token,
        ),
        (
            "spring",
            "its source, OAuth2TokenIntrospectionAuthenticationProvider",
            Json(
                json!({"active": true, "sub": "alice", "aud": ["orders-api"], "nbf": NOW, "scope": "a b", "iss": ISSUER, "exp": exp,
                "iat": NOW, "jti": "1", "client_id": "app", "token_type": "Bearer"}),
            ),
            "alice",
        ),
        (
            "spring",
            "the same of a refresh token",
            Json(json!({"active": true, "client_id": "app", "iat": NOW, "exp": exp})),
            no_access_token,
        ),
        (
            "zitadel",
            "zitadel.com/docs/apis/openidoauth/endpoints; not tried",
            Json(
                json!({"active": true, "aud": ["1", "2"], "client_id": "app", "exp": exp, "iat": NOW, "iss": ISSUER, "jti": "1",
                "nbf": NOW, "scope": "a b", "token_type": "Bearer", "username": "a", "sub": "alice"}),
            ),
            "alice",
        ),
        (
            "okta",
            "developer.okta.com, reference of the introspection endpoint; not tried",
            Json(
                json!({"active": true, "scope": "a b", "username": "alice@example.com", "exp": exp, "iat": NOW, "sub": "alice@example.com",
                "aud": "api://default", "iss": ISSUER, "jti": "AT.7P", "token_type": "Bearer", "client_id": "app", "uid": "00u1"}),
            ),
            "alice@example.com",
        ),
        (
            "okta",
            "the same page: a refresh token is active and of the same type, without an issuer",
            Json(
                json!({"active": true, "token_type": "Bearer", "scope": "openid profile email", "client_id": "app",
                "username": "alice@example.com", "exp": exp, "sub": "alice@example.com", "device_id": "q4SZ"}),
            ),
            "wrong_issuer",
        ),
        (
            "plain-json",
            "RFC 7662 §2.2",
            Json(
                json!({"active": true, "client_id": "l238j323ds-23ij4", "username": "jdoe", "scope": "read write dolphin",
                "sub": "Z5O3upPC88QrAjx00dis", "aud": "https://protected.example.net/resource", "iss": ISSUER, "exp": exp, "iat": NOW,
                "extension_field": "twenty-seven"}),
            ),
            "Z5O3upPC88QrAjx00dis",
        ),
        (
            "plain-json",
            "IBM Security Access Manager, docs: OAuth introspection: the user is elsewhere",
            Json(
                json!({"active": true, "username": "jessica", "client_id": "yb98la1", "scope": "email profile", "iat": NOW, "exp": exp,
                "iss": ISSUER}),
            ),
            "missing_subject",
        ),
        (
            "authentik",
            "its source, providers/oauth2/views/introspection.py: the claims of the ID token, and of a refresh token the same",
            Json(
                json!({"active": true, "iss": ISSUER, "sub": "0a1b", "aud": "app", "exp": exp, "iat": NOW, "auth_time": NOW,
                "scope": "openid", "client_id": "app"}),
            ),
            "0a1b",
        ),
        (
            "django-oauth-toolkit",
            "its docs/resource_server.rst",
            Json(
                json!({"active": true, "client_id": "oUdofn7rfhRtKWbmhyVk", "username": "jdoe", "scope": "read write dolphin", "exp": exp}),
            ),
            "jdoe",
        ),
        (
            "django-oauth-toolkit",
            "its source, views/introspect.py: `username` is there if the token has a user",
            Json(json!({"active": true, "client_id": "oUdofn7rfhRtKWbmhyVk", "scope": "read", "exp": exp})),
            "oUdofn7rfhRtKWbmhyVk",
        ),
        (
            "wso2",
            "wso2/product-is#4804",
            Json(
                json!({"active": true, "username": "alice@carbon.super", "client_id": "app", "token_type": "Bearer", "exp": exp,
                "iat": NOW, "nbf": NOW, "scope": "openid"}),
            ),
            "alice@carbon.super",
        ),
        (
            "wso2",
            "the same without a user",
            Json(
                json!({"active": true, "client_id": "app", "token_type": "Bearer", "exp": exp, "scope": "openid"}),
            ),
            "missing_subject",
        ),
        (
            "pingfederate",
            "docs.pingidentity.com, introspection endpoint: attributes as configured there",
            Json(
                json!({"active": true, "scope": "a", "client_id": "app", "token_type": "Bearer", "exp": exp, "Username": "alice"}),
            ),
            "alice",
        ),
        (
            "pingfederate",
            "the same page: a refresh token is answered with nothing more",
            Json(json!({"active": true})),
            no_access_token,
        ),
        (
            "curity",
            "curity.io/resources/learn/introspect-with-phantom-token",
            Jwt(
                json!({"purpose": "access_token", "iss": ISSUER, "sub": "alice", "aud": "orders-api", "scope": "a", "exp": exp}),
            ),
            forwarded,
        ),
        (
            "curity",
            "the same, of a token procedure that puts the JWT into a member",
            Around(
                "phantom_token",
                json!({"active": true, "sub": "alice", "purpose": "access_token", "exp": exp, "iss": ISSUER}),
                json!({"purpose": "access_token", "iss": ISSUER, "sub": "alice", "exp": exp}),
            ),
            forwarded,
        ),
        (
            "curity",
            "the same of an ID token",
            Jwt(json!({"purpose": "id", "iss": ISSUER, "sub": "alice", "aud": "app", "exp": exp})),
            no_access_token,
        ),
        (
            "keycloak",
            "keycloak#26893; not tried",
            Around(
                "jwt",
                json!({"active": true, "typ": "Bearer", "token_type": "Bearer", "iss": ISSUER, "sub": "alice", "exp": exp}),
                json!({"typ": "Bearer", "azp": "app", "iss": ISSUER, "sub": "alice", "nonce": "n", "exp": exp}),
            ),
            forwarded,
        ),
        (
            "keycloak",
            "its source: a refresh token is active as well",
            Around(
                "jwt",
                json!({"active": true, "typ": "Refresh", "iss": ISSUER, "sub": "alice", "exp": exp}),
                json!({"typ": "Refresh", "azp": "app", "iss": ISSUER, "sub": "alice", "exp": exp}),
            ),
            no_access_token,
        ),
        (
            "keycloak",
            "its source: a token of a link in an e-mail",
            Around(
                "jwt",
                json!({"active": true, "typ": "execute-actions", "iss": ISSUER, "sub": "alice", "exp": exp}),
                json!({"typ": "execute-actions", "iss": ISSUER, "sub": "alice", "exp": exp}),
            ),
            no_access_token,
        ),
        (
            "auth0",
            "mcp-auth/js#28: a client's own token",
            Presented(
                Some("JWT"),
                json!({"sub": "app@clients", "aud": "orders-api", "azp": "app", "gty": "client-credentials"}),
            ),
            forwarded,
        ),
        (
            "auth0",
            "auth0.com/docs/secure/tokens: an ID token",
            Presented(Some("JWT"), json!({"aud": "orders-api", "nonce": "n"})),
            no_access_token,
        ),
        (
            "entra-id",
            "learn.microsoft.com, access token claims reference",
            Presented(
                Some("JWT"),
                json!({"aud": "orders-api", "azp": "app", "azpacr": "0", "scp": "a", "oid": "o", "ver": "2.0"}),
            ),
            forwarded,
        ),
        (
            "entra-id",
            "learn.microsoft.com, ID token claims reference",
            Presented(
                Some("JWT"),
                json!({"aud": "orders-api", "nonce": "n", "oid": "o", "roles": ["admin"], "ver": "2.0"}),
            ),
            no_access_token,
        ),
        (
            "cognito",
            "docs.aws.amazon.com/cognito: Understanding the access token; aws-jwt-verify#98",
            Presented(
                None,
                json!({"token_use": "access", "client_id": "app", "scope": "aws.cognito.signin.user.admin", "username": "alice"}),
            ),
            forwarded,
        ),
        (
            "cognito",
            "the same of another client",
            Presented(None, json!({"token_use": "access", "client_id": "other", "scope": "a"})),
            "wrong_client",
        ),
        (
            "cognito",
            "docs.aws.amazon.com/cognito: Understanding the identity token",
            Presented(
                None,
                json!({"token_use": "id", "aud": "app", "at_hash": "h", "cognito:username": "alice"}),
            ),
            no_access_token,
        ),
    ]
}

/// Returns the user that services see, `forwarded` if they receive the server's JWT, or the reason of the refusal.
fn outcome(profile: &str, answer: &Answer) -> String {
    let mut worker = Worker::new(configuration(profile, answer), &NoSharedData);
    worker.keys = key_set("k1");
    let token = match answer {
        Presented(kind, claims) => {
            let mut payload = json!({"iss": ISSUER, "sub": "alice", "iat": NOW, "exp": NOW + 600});
            testing::merge(&mut payload, claims.clone());
            let mut header = json!({"alg": "ES256", "kid": "k1"});
            if let Some(kind) = kind {
                header["typ"] = json!(kind);
            }
            sign("ES256", &header, &payload.to_string(), b"")
        }
        answer => {
            let (media_type, body) = response(answer);
            worker.answer = ("200".to_owned(), body, vec![("content-type", media_type.to_owned())]);
            "token".to_owned()
        }
    };
    let outcome = worker.get(0, &token);
    let Some(jwt) = outcome.strip_prefix("Bearer ") else { return outcome };
    match answer {
        Json(_) | Signed(_) => {
            let claims: Value = serde_json::from_str(&super::keys::claims_of(jwt)).expect("claims");
            claims["sub"].as_str().unwrap_or_default().to_owned()
        }
        Jwt(_) | Around(..) | Presented(..) => "forwarded".to_owned(),
    }
}

fn response(answer: &Answer) -> (&'static str, String) {
    let signed = |kind: &str, claims: &Value| {
        sign("ES256", &json!({"alg": "ES256", "kid": "k1", "typ": kind}), &claims.to_string(), b"")
    };
    match answer {
        Json(claims) => ("application/json", claims.to_string()),
        Signed(claims) => {
            let around = json!({"iss": ISSUER, "aud": "gateway", "iat": NOW, "token_introspection": claims});
            ("application/token-introspection+jwt", signed("token-introspection+jwt", &around))
        }
        Jwt(claims) => ("application/jwt", signed("JWT", claims)),
        Around(member, beside, claims) => {
            let mut body = beside.clone();
            body[*member] = json!(signed("JWT", claims));
            ("application/json", body.to_string())
        }
        Presented(..) => ("", String::new()),
    }
}

/// Returns the configuration on the page of servers, with other names for this server.
fn configuration(profile: &str, answer: &Answer) -> Value {
    let mut configuration = json!({
        "profile": profile,
        "introspection": {"response": null},
        "token": {"issuer": ISSUER},
        "keys": {"jwks_uri": "https://login.example.com/jwks", "upstream": "authorization-server"},
        "rules": [{"path": "/"}],
    });
    if let Json(_) | Signed(_) = answer {
        let keys = json!([{"private_key": p256().to_string()}]);
        configuration["mint"] =
            json!({"issuer": "https://gateway.example.com", "audience": "orders-api", "keys": keys});
    }
    let edits = match (profile, answer) {
        ("hydra", _) => json!({"introspection": {"client_id": null, "client_secret": null}}),
        ("pingfederate", _) => {
            json!({"token": {"require_token_type": true}, "mint": {"subject": "/Username"}})
        }
        ("cognito", _) => json!({"introspection": null, "token": {"clients": ["app"]}}),
        (_, Presented(..)) => json!({"introspection": null, "token": {"audience": ["orders-api"]}}),
        _ => json!({}),
    };
    // Null removes fields of the minimal configuration that this profile does not use.
    for (name, edit) in edits.as_object().into_iter().flatten() {
        match edit {
            Value::Object(members) => {
                configuration[name].as_object_mut().expect("a section").extend(members.clone())
            }
            edit => configuration[name] = edit.clone(),
        }
    }
    configuration
}
