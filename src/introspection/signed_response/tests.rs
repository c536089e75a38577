use serde_json::{Value, json};

use super::*;
use crate::testing::{NOW, at, jws, test};

fn open(typ: &str, edits: Value) -> Result<Object, Reason> {
    let mut payload = json!({
        "iss": "https://login.example.com", "aud": "gateway", "iat": NOW,
        "token_introspection": {"active": true, "scope": "a"},
    });
    for (name, value) in edits.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(payload.as_object_mut().and_then(|members| members.remove(name))),
            value => payload[name] = value.clone(),
        }
    }
    let text = jws(&json!({"alg": "ES256", "typ": typ}).to_string(), &payload.to_string());
    let expected = SignedResponse {
        issuers: vec!["https://login.example.com".to_owned()],
        audience: "gateway".to_owned(),
        required: true,
    };
    expected.open(&text, at(0)).map(|(_, response)| response).map_err(|error| error.reason)
}

/// If a response for another resource server, or an old one, were accepted, an eavesdropper could replay it.
#[test]
fn r043_a_signed_response_is_the_servers_for_this_gateway_and_of_now() {
    assert!(open(MEDIA_TYPE, json!({})).is_ok());
    assert!(open("application/token-introspection+JWT", json!({"aud": ["other", "gateway"]})).is_ok());
    for edits in [
        json!({"iss": "https://evil.example.com"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": ["other"]}),
        json!({"aud": null}),
        json!({"iat": NOW - 61}),
        json!({"iat": NOW + 61}),
        json!({"iat": null}),
        json!({"exp": NOW - 61}),
        json!({"nbf": NOW + 61}),
        json!({"token_introspection": null}),
        json!({"token_introspection": "active"}),
        json!({"token_introspection": [{"active": true}]}),
    ] {
        assert_eq!(open(MEDIA_TYPE, edits.clone()).err(), Some(Reason::UnexpectedResponse), "{edits}");
    }
    for typ in ["JWT", "at+jwt", ""] {
        assert_eq!(open(typ, json!({})).err(), Some(Reason::UnexpectedResponse), "{typ}");
    }
    let answer = SignedResponse { issuers: vec![String::new()], audience: String::new(), required: true };
    for text in ["", "a.b.c", r#"{"active":true}"#] {
        assert_eq!(
            answer.open(text, at(0)).err().map(|error| error.reason),
            Some(Reason::UnexpectedResponse),
            "{text}"
        );
    }
}

/// If claims outside `token_introspection` counted, the wrapper's own lifetime would be the token's.
#[test]
fn r046_the_outer_jwt_says_nothing_of_the_token() {
    let inside =
        open(MEDIA_TYPE, json!({"sub": "mallory", "scope": "admin", "exp": NOW + 5})).expect("an answer");
    assert_eq!((inside.has("sub"), inside.has("exp")), (false, false));
    assert_eq!(inside.get("scope"), Some(&json!("a")));
}
