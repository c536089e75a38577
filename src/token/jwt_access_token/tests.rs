use serde_json::{Value, json};

use super::*;
use crate::testing::{self, NOW, at, jws, test};

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": "orders-api", "sub": "alice", "client_id": "app", "jti": "1",
        "iat": NOW, "exp": NOW + 600,
    })
}

fn read(profile: Profile, header: &str, edits: Value) -> Option<Reason> {
    let mut payload = claims();
    for (name, value) in edits.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(payload.as_object_mut().and_then(|members| members.remove(name))),
            value => payload[name] = value.clone(),
        }
    }
    let text = jws(header, &payload.to_string());
    profile
        .read(&Jws::parse(&text).expect("a JWS"), &ClaimMapping::default(), at(0))
        .err()
        .map(|error| error.reason)
}

/// Like `read`, for these claims besides issuer, subject and dates.
fn read_bare(profile: Profile, header: &str, claims: Value) -> Option<Reason> {
    let mut payload =
        json!({"iss": "https://login.example.com", "sub": "alice", "iat": NOW, "exp": NOW + 600});
    testing::merge(&mut payload, claims);
    let text = jws(header, &payload.to_string());
    let claim_mapping =
        ClaimMapping { allows_scope_list: true, scope_claim: "scp".to_owned(), ..ClaimMapping::default() };
    profile.read(&Jws::parse(&text).expect("a JWS"), &claim_mapping, at(0)).err().map(|error| error.reason)
}

const AT_JWT: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;
const JWT: &str = r#"{"alg":"ES256","typ":"JWT"}"#;

#[test]
fn r067_what_decides_has_to_be_there() {
    for profile in [Profile::Rfc9068, Profile::Lax, Profile::Any] {
        for (edits, expected) in [
            (json!({}), None),
            (json!({"exp": null}), Some(Reason::MissingExpiration)),
            (json!({"iat": NOW + 60}), None),
            (json!({"iat": NOW + 61}), Some(Reason::NotYetValid)),
            (json!({"aud": [1]}), Some(Reason::MalformedJwt)),
            (json!({"cnf": {"kid": "x"}}), Some(Reason::ProofRequired)),
        ] {
            assert_eq!(read(profile, AT_JWT, edits.clone()), expected, "{profile:?} {edits}");
        }
    }
}

#[test]
fn r068_rfc_9068_asks_for_its_type_and_all_of_its_claims() {
    assert_eq!(read(Profile::Rfc9068, r#"{"alg":"ES256","typ":"application/AT+JWT"}"#, json!({})), None);
    for header in [JWT, r#"{"alg":"ES256"}"#, r#"{"alg":"ES256","typ":"jwt"}"#] {
        assert_eq!(read(Profile::Rfc9068, header, json!({})), Some(Reason::NotAnAccessToken), "{header}");
        assert_eq!(read(Profile::Lax, header, json!({})), None, "{header}");
    }
    for name in ["iss", "sub", "client_id", "jti", "iat"] {
        assert_eq!(read(Profile::Rfc9068, AT_JWT, json!({name: null})), Some(Reason::MissingClaim), "{name}");
        let lax = read(Profile::Lax, AT_JWT, json!({name: null, "scope": "a"}));
        assert_eq!(lax, None, "{name}");
    }
    for name in
        ["kb+jwt", "oauth-authz-req+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt"]
    {
        let header = format!(r#"{{"alg":"ES256","typ":"{name}"}}"#);
        assert_eq!(read(Profile::Lax, &header, json!({})), Some(Reason::NotAnAccessToken), "{name}");
    }
}

/// If an ID token passed, an app that got it to know its user could call APIs with it.
#[test]
fn r069_an_id_token_is_no_access_token() {
    for edits in [
        json!({"at_hash": "x"}),
        json!({"nonce": "x"}),
        json!({"c_hash": "x"}),
        json!({"s_hash": "x", "scope": "openid"}),
        json!({"nonce": "x", "aud": ["orders-api", "app"]}),
        // No claim names the client.
        json!({"nonce": "x", "client_id": null, "scope": "openid"}),
        json!({"client_id": null}),
        json!({"events": {}}),
        json!({"events": {}, "typ": "Bearer"}),
        json!({"typ": "ID"}),
        json!({"token_use": "id"}),
        json!({"client_id": null, "scp": null, "azp": "app"}),
    ] {
        let mut edits = edits;
        if edits.get("aud").is_none() {
            edits["aud"] = json!("app");
        }
        assert_eq!(read(Profile::Lax, JWT, edits.clone()), Some(Reason::NotAnAccessToken), "{edits}");
    }
}

/// Tokens as servers issue them. If one claim decided whatever else they say, no token of some servers would pass, or the ID tokens of
/// others.
#[test]
fn r069_r161_access_tokens_and_id_tokens_of_real_servers() {
    let (access, other) = (None, Some(Reason::NotAnAccessToken));
    for (source, header, claims, expected) in [
        (
            "keycloak#26893, before 25",
            JWT,
            json!({"typ": "Bearer", "azp": "app", "nonce": "n", "scope": "openid", "aud": "orders-api",
            "session_state": "s", "realm_access": {"roles": []}}),
            access,
        ),
        (
            "keycloak#26893: `aud` is the client, too",
            JWT,
            json!({"typ": "Bearer", "azp": "app", "nonce": "n", "scope": "a",
            "aud": ["app", "orders-api"]}),
            access,
        ),
        ("Keycloak, lightweight", JWT, json!({"typ": "Bearer", "azp": "app", "aud": "orders-api"}), access),
        (
            "Keycloak, ID token",
            JWT,
            json!({"typ": "ID", "azp": "app", "nonce": "n", "at_hash": "h", "aud": "app"}),
            other,
        ),
        (
            "Keycloak, ID token with a scope mapped into it",
            JWT,
            json!({"typ": "ID", "azp": "app", "scope": "a", "aud": "app"}),
            other,
        ),
        (
            "Keycloak, refresh token",
            JWT,
            json!({"typ": "Refresh", "azp": "app", "scope": "a", "aud": "https://login"}),
            other,
        ),
        (
            "Keycloak, logout token",
            JWT,
            json!({"typ": "Logout", "events": {}, "aud": "app", "sid": "s"}),
            other,
        ),
        (
            "Auth0, user",
            JWT,
            json!({"aud": ["orders-api", "https://t.auth0.com/userinfo"], "azp": "app", "scope": "openid"}),
            access,
        ),
        (
            "mcp-auth/js#28: Auth0, machine",
            JWT,
            json!({"aud": "orders-api", "azp": "app", "gty": "client-credentials",
            "sub": "app@clients"}),
            access,
        ),
        (
            "Auth0, machine with scope",
            JWT,
            json!({"aud": "orders-api", "azp": "app", "gty": "client-credentials", "scope": "a"}),
            access,
        ),
        ("Auth0, RFC 9068", AT_JWT, json!({"aud": "orders-api", "client_id": "app", "jti": "j"}), access),
        ("Auth0, ID token", JWT, json!({"aud": "app", "nonce": "n", "sid": "s", "nickname": "a"}), other),
        (
            "Auth0, ID token of the code flow",
            JWT,
            json!({"aud": "app", "at_hash": "h", "email": "a@b.c"}),
            other,
        ),
        ("Auth0, ID token without either", JWT, json!({"aud": "app", "sid": "s", "email": "a@b.c"}), other),
        (
            "Entra ID, user",
            JWT,
            json!({"aud": "api", "azp": "app", "azpacr": "0", "scp": "read", "ver": "2.0", "roles": ["r"]}),
            access,
        ),
        (
            "Entra ID 1.0, user",
            JWT,
            json!({"aud": "api://a", "appid": "app", "appidacr": "1", "scp": "read", "ver": "1.0"}),
            access,
        ),
        (
            "Entra ID, app without roles",
            JWT,
            json!({"aud": "api", "azp": "app", "azpacr": "1", "oid": "o", "ver": "2.0"}),
            access,
        ),
        ("Entra ID, app", JWT, json!({"aud": "api", "azp": "app", "idtyp": "app", "roles": ["r"]}), access),
        (
            "Entra ID, ID token",
            JWT,
            json!({"aud": "app", "nonce": "n", "oid": "o", "tid": "t", "ver": "2.0", "roles": ["r"]}),
            other,
        ),
        (
            "Entra ID, ID token without nonce",
            JWT,
            json!({"aud": "app", "oid": "o", "tid": "t", "ver": "2.0", "roles": ["r"]}),
            other,
        ),
        (
            "AD FS, without a scope",
            JWT,
            json!({"aud": "microsoft:identityserver:api", "appid": "app", "apptype": "Public",
            "authmethod": "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/windows",
            "auth_time": "2019-06-05T20:30:17.507Z", "ver": "1.0"}),
            access,
        ),
        (
            "AD FS, ID token",
            JWT,
            json!({"aud": "app", "appid": "app", "apptype": "Confidential", "auth_time": NOW, "sid": "S-1-1", "unique_name": "a"}),
            other,
        ),
        (
            "AD FS, ID token with nonce and scope",
            JWT,
            json!({"aud": "app", "appid": "app", "apptype": "Confidential", "scp": "openid", "nonce": "n"}),
            other,
        ),
        (
            "Google, ID token",
            JWT,
            json!({"aud": "app", "azp": "app", "at_hash": "h", "email": "a@b.c"}),
            other,
        ),
        (
            "Google, ID token of an Android app for its server",
            JWT,
            json!({"aud": "server", "azp": "app", "email": "a@b.c"}),
            other,
        ),
        ("Google, the same with a nonce", JWT, json!({"aud": "server", "azp": "app", "nonce": "n"}), other),
        (
            "Okta",
            r#"{"alg":"RS256","kid":"k"}"#,
            json!({"aud": "api://default", "cid": "app", "uid": "u", "scp": ["a"], "ver": 1}),
            access,
        ),
        (
            "Okta, ID token",
            r#"{"alg":"RS256","kid":"k"}"#,
            json!({"aud": "app", "nonce": "n", "at_hash": "h", "idp": "i", "amr": ["pwd"]}),
            other,
        ),
        (
            "Cognito",
            r#"{"alg":"RS256","kid":"k"}"#,
            json!({"token_use": "access", "client_id": "app", "scope": "a", "event_id": "e"}),
            access,
        ),
        (
            "Cognito, ID token",
            r#"{"alg":"RS256","kid":"k"}"#,
            json!({"token_use": "id", "aud": "app", "at_hash": "h", "event_id": "e"}),
            other,
        ),
        (
            "Curity",
            JWT,
            json!({"purpose": "access_token", "aud": "orders-api", "scope": "a", "azp": "app", "delegationId": "d"}),
            access,
        ),
        (
            "Curity, ID token",
            JWT,
            json!({"purpose": "id", "aud": "app", "azp": "app", "nonce": "n", "at_hash": "h"}),
            other,
        ),
        (
            "ForgeRock, ID token",
            JWT,
            json!({"tokenName": "id_token", "aud": "app", "azp": "app", "at_hash": "h"}),
            other,
        ),
        (
            "Glewlwyd 2.7.5",
            AT_JWT,
            json!({"type": "access_token", "aud": "a", "client_id": "app", "scope": "a"}),
            access,
        ),
        ("LemonLDAP::NG 2.16.1", JWT, json!({"aud": ["app"], "client_id": "app", "scope": "a"}), access),
        (
            "spring-security-oauth#363",
            JWT,
            json!({"user_name": "alice", "client_id": "app", "scp": ["a"], "aud": ["orders-api"], "jti": "j"}),
            access,
        ),
        (
            "spring-security-oauth#363, refresh token",
            JWT,
            json!({"user_name": "alice", "client_id": "app", "scp": ["a"], "aud": ["orders-api"], "jti": "k", "ati": "j"}),
            other,
        ),
        (
            "UAA, RefreshTokenCreator",
            JWT,
            json!({"user_id": "u", "client_id": "app", "cid": "app", "granted_scopes": ["a"], "aud": ["orders-api"], "jti": "j-r"}),
            other,
        ),
        (
            "Casdoor, refresh token",
            JWT,
            json!({"tokenType": "refresh-token", "aud": ["app"], "scope": "a"}),
            other,
        ),
        (
            "a server that copies nonce",
            JWT,
            json!({"aud": "orders-api", "client_id": "app", "scope": "a", "nonce": "n"}),
            access,
        ),
        (
            "RFC 9396 §9.1",
            JWT,
            json!({"aud": "orders-api", "azp": "app", "authorization_details": []}),
            access,
        ),
        (
            "Dex: its access tokens are ID tokens",
            JWT,
            json!({"aud": "app", "at_hash": "h", "email": "a@b.c"}),
            other,
        ),
    ] {
        assert_eq!(read_bare(Profile::Lax, header, claims.clone()), expected, "{source}");
    }
}

/// JWTs of issuers that are no OAuth servers: Envoy's `jwt_authn` takes them, and workloads and their gateways live by them. ID tokens
/// pass as well, so the operator has to ask for it.
#[test]
fn r162_any_jwt_of_the_issuer_passes_only_where_the_operator_says_so() {
    let other = Some(Reason::NotAnAccessToken);
    let no_type = r#"{"alg":"RS256","kid":"k"}"#;
    for (source, header, claims) in [
        (
            "oauth2-proxy#2634: Kubernetes",
            no_type,
            json!({"aud": ["orders-api"], "jti": "j", "sub": "system:serviceaccount:a:b",
            "kubernetes.io": {"namespace": "a", "serviceaccount": {"name": "b"}}}),
        ),
        (
            "SPIFFE JWT-SVID §2.3",
            r#"{"alg":"ES256","kid":"k","typ":"JOSE"}"#,
            json!({"aud": ["orders-api"], "sub": "spiffe://a/b"}),
        ),
        (
            "GitHub Actions",
            r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#,
            json!({"aud": "orders-api", "sub": "repo:a/b:ref:c", "event_name": "push",
            "repository": "a/b", "job_workflow_ref": "a/b/.github/workflows/c.yml@d"}),
        ),
        ("GitLab CI", JWT, json!({"aud": "orders-api", "sub": "project_path:a/b", "user_login": "a"})),
        (
            "Firebase",
            JWT,
            json!({"aud": "project", "sub": "u", "user_id": "u", "firebase": {"sign_in_provider": "password"}}),
        ),
        (
            "Supabase",
            JWT,
            json!({"aud": "authenticated", "role": "authenticated", "aal": "aal1", "session_id": "s"}),
        ),
        (
            "Clerk",
            JWT,
            json!({"aud": "orders-api", "azp": "https://app.example.com", "sid": "s", "sts": "active"}),
        ),
        (
            "Cloudflare Access",
            JWT,
            json!({"aud": ["orders-api"], "type": "app", "email": "a@b.c", "identity_nonce": "n"}),
        ),
        ("Google, ID token", JWT, json!({"aud": "app", "azp": "app", "at_hash": "h", "nonce": "n"})),
    ] {
        assert_eq!(read_bare(Profile::Any, header, claims.clone()), None, "{source}");
        assert_eq!(read_bare(Profile::Lax, header, claims.clone()), other, "{source}");
        assert_eq!(read_bare(Profile::Rfc9068, header, claims), other, "{source}");
    }
    for (source, header, claims) in [
        ("a word for another kind", JWT, json!({"aud": "a", "typ": "Refresh"})),
        ("OpenID Connect Back-Channel Logout §2.4", JWT, json!({"aud": "a", "events": {}})),
        ("RFC 9449 §4.2", r#"{"alg":"ES256","typ":"dpop+jwt"}"#, json!({"aud": "a"})),
        ("RFC 8417 §2.3", r#"{"alg":"ES256","typ":"secevent+jwt"}"#, json!({"aud": "a"})),
        ("RFC 9701 §5", r#"{"alg":"ES256","typ":"token-introspection+jwt"}"#, json!({"aud": "a"})),
        ("RFC 9101 §10.8", r#"{"alg":"ES256","typ":"oauth-authz-req+jwt"}"#, json!({"aud": "a"})),
    ] {
        assert_eq!(read_bare(Profile::Any, header, claims), other, "{source}");
    }
    assert_eq!(read(Profile::Any, JWT, json!({"exp": null})), Some(Reason::MissingExpiration));
    assert_eq!(read(Profile::Any, JWT, json!({"iat": NOW + 61})), Some(Reason::NotYetValid));
}

/// Entra ID puts the user's app roles into ID tokens as well, and a page and its API may be one registration there, with one `aud`. If
/// roles alone made an access token, rules that ask for a role would let ID tokens in.
#[test]
fn r069_roles_alone_do_not_make_an_access_token() {
    for (edits, expected) in [
        (json!({"roles": ["admin"], "oid": "1", "tid": "2", "ver": "2.0"}), Some(Reason::NotAnAccessToken)),
        (json!({"permissions": ["read:orders"]}), Some(Reason::NotAnAccessToken)),
        // Tokens of an app alone have no `scp` there.
        (json!({"roles": ["admin"], "azp": "app", "idtyp": "app"}), None),
        (json!({"roles": ["admin"], "appid": "app", "ver": "1.0"}), None),
        (json!({"roles": ["admin"], "scp": "orders.read", "azp": "app"}), None),
        (json!({"permissions": ["read:orders"], "azp": "app"}), None),
    ] {
        let mut edits = edits;
        edits["client_id"] = Value::Null;
        assert_eq!(read(Profile::Lax, JWT, edits.clone()), expected, "{edits}");
    }
    let typed = json!({"client_id": null, "roles": ["admin"]});
    assert_eq!(read(Profile::Lax, AT_JWT, typed), None, "its type says what it is");
}
