use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::testing::{self, jws, test};

/// Such a JWT was sent to the gateway itself, as a response about another token. If it were introspected, a careless server might take it
/// for that token.
#[test]
fn r045_an_introspection_response_is_no_token_to_present() {
    let is_of_other_kind =
        |token: &str| JoseHeader::of(token).is_some_and(|header| header.is_of_other_kind());
    let with_type = |name: &str| jws(&format!(r#"{{"alg":"ES256","typ":"{name}"}}"#), "{}");
    for name in [
        "token-introspection+jwt",
        "application/token-introspection+jwt",
        "Application/Token-Introspection+JWT; charset=utf-8",
        "Logout+JWT",
        "dpop+jwt",
    ] {
        assert!(is_of_other_kind(&with_type(name)), "{name}");
    }
    for header in [
        r#"{"alg":"ES256","typ":"JWT","typ":"dpop+jwt"}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt","typ":"JWT"}"#,
        r#"{"ALG":"ES256","Typ":"dpop+jwt"}"#,
        r#"{"typ":"dpop+jwt","alg":null} and more"#,
    ] {
        assert!(is_of_other_kind(&jws(header, "{}")), "{header}");
    }
    for token in [with_type("at+jwt"), with_type("JWT"), "opaque".to_owned(), "a.b.c".to_owned()] {
        assert!(!is_of_other_kind(&token), "{token}");
    }
}

/// If another spelling of a JWT were an opaque token, a leaked phantom token could be presented from outside where JWTs are
/// refused: many servers decode leniently, and would say that it is active.
#[test]
fn r124_a_jwt_is_one_in_any_spelling() {
    let jwt = testing::jwt(serde_json::json!({}));
    let (header, rest) = jwt.split_once('.').expect("three parts");
    let text = r#" {"alg":"ES256","x":"\u00fb\u00ff~~~???>>>"}"#;
    let padded = STANDARD.encode(text);
    for token in [
        jwt.clone(),
        format!("{jwt}=="),
        format!("{header}=.{rest}"),
        format!("{header}~.{rest}"),
        format!("{header}A.{rest}"),
        format!("{padded}.{rest}"),
        format!("{}.{rest}", padded.trim_end_matches('=')),
        format!("{}.{rest}", STANDARD.encode(format!("\u{feff}{text}"))),
        format!("{header}."),
        format!("{header}..iv.text.tag"),
        format!("{jwt}~disclosure~"),
    ] {
        assert!(JoseHeader::of(&token).is_some(), "{token}");
    }
    let encrypted = format!("{}..iv.text.tag", STANDARD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#));
    assert!(JoseHeader::of(&encrypted).is_some_and(|header| header.is_encrypted()));
    for opaque in
        ["", ".", "opaque", "a.b.c", "v2.local.AAAA", "3.14.15", "e30.e30.e30", "W10.e30.", "MQ.e30."]
    {
        assert!(JoseHeader::of(opaque).is_none(), "{opaque}");
    }
}
