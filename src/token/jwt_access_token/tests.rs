use serde_json::json;

use super::*;
use crate::testing::{NOW, at, jws, test};

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
    profile.read(&Jws::parse(&text).expect("a JWS"), &ClaimMapping::default(), at(0)).err()
}

const AT_JWT: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;
const JWT: &str = r#"{"alg":"ES256","typ":"JWT"}"#;

#[test]
fn r067_what_decides_has_to_be_there() {
    for profile in [Profile::Rfc9068, Profile::Lax] {
        for (edits, expected) in [
            (json!({}), None),
            (json!({"exp": null}), Some(Reason::MissingExpiration)),
            (json!({"iat": NOW + 60}), None),
            (json!({"iat": NOW + 61}), Some(Reason::NotYetValid)),
            (json!({"aud": [1]}), Some(Reason::InvalidSignature)),
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
        json!({"events": {}}),
        json!({"client_id": null}),
        json!({"c_hash": "x"}),
        json!({"typ": "ID"}),
        json!({"token_use": "id"}),
        json!({"client_id": null, "scp": null, "azp": "app"}),
    ] {
        assert_eq!(read(Profile::Lax, JWT, edits.clone()), Some(Reason::NotAnAccessToken), "{edits}");
    }
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
