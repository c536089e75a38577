use serde_json::json;

use super::*;
use crate::testing::{self, NOW, jws, test};
use crate::time::Timestamp;

fn refusal(text: &str) -> Option<Reason> {
    PhantomToken::parse(text, &ClaimMapping::default()).err().map(|error| error.reason)
}

#[test]
fn r039_the_text_stays_as_it_is() {
    let jwt = testing::jwt(json!({"pad": "x".repeat(16_000)}));
    let parsed = PhantomToken::parse(&jwt, &ClaimMapping::default()).expect("a JWT");
    assert_eq!(parsed.jws.text(), jwt);
}

/// If an introspection response of an old draft were forwarded, services would take it for an access token.
#[test]
fn r040_a_jwt_that_says_active_is_no_access_token() {
    assert_eq!(refusal(&testing::jwt(json!({"active": false}))), Some(Reason::Inactive));
    for active in [json!(true), json!("false"), json!(0)] {
        assert_eq!(refusal(&testing::jwt(json!({"active": active}))), Some(Reason::UnexpectedResponse));
    }
    let header = r#"{"alg":"ES256"}"#;
    for payload in [r#"{"active":null}"#, r#"{"iss":"a","token_introspection":{"active":true}}"#] {
        assert_eq!(refusal(&jws(header, payload)), Some(Reason::UnexpectedResponse), "{payload}");
    }
}

#[test]
fn r044_r059_jwts_of_other_kinds_and_unsigned_ones_are_refused() {
    let payload = testing::claims().to_string();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"NonE"}"#,
        r#"{"alg":"ES256","typ":"token-introspection+jwt"}"#,
        r#"{"alg":"ES256","typ":"application/Token-Introspection+JWT"}"#,
        r#"{"alg":"ES256","typ":"token-introspection+jwt; charset=utf-8"}"#,
        r#"{"alg":" none"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"ES256","crit":["exp"]}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","x":1,"x":2}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
        r#"{"alg":"ES256","typ":"logout+jwt"}"#,
        r#"{"typ":"at+jwt"}"#,
        r#"{"alg":5}"#,
        "[]",
        "{",
    ] {
        assert_eq!(refusal(&jws(header, &payload)), Some(Reason::UnexpectedResponse), "{header}");
    }
    for kind in ["rt+jwt", "application/rt+jwt", "id+jwt", "Refresh", "id_token"] {
        let header = json!({"alg": "ES256", "typ": kind}).to_string();
        assert_eq!(refusal(&jws(&header, &payload)), Some(Reason::NotAnAccessToken), "{header}");
    }
    let signed = jws(r#"{"alg":"ES256"}"#, &payload);
    assert_eq!(refusal(&signed), None);
    let (unsigned, _) = signed.rsplit_once('.').expect("a signature");
    assert_eq!(refusal(&format!("{unsigned}.")), Some(Reason::UnexpectedResponse));
}

#[test]
fn r041_a_payload_that_means_two_things_is_refused() {
    let header = r#"{"alg":"ES256"}"#;
    for payload in [
        r#"{"scope":"a","scope":"b"}"#,
        r#"{"exp":1,"exp":2}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"exp":"soon"}"#,
        r#"{"aud":5}"#,
        r#"{"aud":["a",5]}"#,
        r#"{"iss":["a"]}"#,
        r#"{"scope":["a"]}"#,
        r#"["a"]"#,
        r#"{"a":1} "x""#,
        "",
    ] {
        assert_eq!(refusal(&jws(header, payload)), Some(Reason::UnexpectedResponse), "{payload}");
    }
    assert_eq!(refusal(&jws(header, "{}")), None);
}

#[test]
fn r031_dates_may_have_a_fraction() {
    let jwt = jws(r#"{"alg":"ES256"}"#, &format!(r#"{{"exp":{NOW}.5,"nbf":{NOW}.25}}"#));
    let validity = PhantomToken::parse(&jwt, &ClaimMapping::default()).expect("a JWT").claims.validity();
    let at = |milliseconds| Some(Timestamp::from_millis(NOW * 1000 + milliseconds));
    assert_eq!((validity.expires, validity.not_before), (at(500), at(250)));
}

#[test]
fn r098_a_sender_constrained_token_is_no_bearer_token() {
    assert_eq!(refusal(&testing::jwt(json!({"cnf": {"kid": "x"}}))), Some(Reason::ProofRequired));
    assert_eq!(refusal(&testing::jwt(json!({"typ": "Refresh"}))), Some(Reason::NotAnAccessToken));
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// No input causes a panic, and only texts of three parts pass.
    #[test]
    fn no_text_makes_it_panic(text in "[a-zA-Z0-9._=-]{0,200}") {
        if PhantomToken::parse(&text, &ClaimMapping::default()).is_ok() {
            proptest::prop_assert_eq!(text.split('.').count(), 3);
        }
    }

    #[test]
    fn no_payload_makes_it_panic(payload in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let payload = String::from_utf8_lossy(&payload);
        let _ = PhantomToken::parse(&jws(r#"{"alg":"ES256"}"#, &payload), &ClaimMapping::default());
    }
}
