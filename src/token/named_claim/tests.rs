use serde_json::json;

use super::*;
use crate::json::Object;
use crate::testing::test;
use crate::token::claims::ClaimMapping;

fn named(is_base64url: bool) -> NamedClaim {
    NamedClaim { name: "x-user-id".to_owned(), pointer: "/c".to_owned(), is_base64url }
}

fn value(claim: Value, is_base64url: bool) -> Option<String> {
    let payload = Object::parse(json!({"c": claim}).to_string().as_bytes()).expect("an object");
    let claim_mapping = ClaimMapping { asked: vec!["/c".to_owned()], ..ClaimMapping::default() };
    named(is_base64url).value(&Claims::read(&payload, &claim_mapping).expect("claims"))
}

/// If a line break came through, a claim could end its field and begin another.
#[test]
fn r076_a_value_is_as_it_is_or_encoded_or_left_out_and_never_split() {
    for (claim, plain, encoded) in [
        (json!("alice"), Some("alice"), Some("YWxpY2U")),
        (json!("a b"), Some("a b"), Some("YSBi")),
        (json!("a\r\nx-admin: 1"), None, Some("YQ0KeC1hZG1pbjogMQ")),
        (json!("a\u{0}"), None, Some("YQA")),
        (json!("J\u{f6}rg"), None, Some("SsO2cmc")),
        (json!(" a"), None, Some("IGE")),
        (json!(""), None, Some("")),
        (json!(7), Some("7"), Some("Nw")),
        (json!(true), Some("true"), Some("dHJ1ZQ")),
        (json!(["a", "b"]), Some("WyJhIiwiYiJd"), Some("WyJhIiwiYiJd")),
        (json!({"a": "\n"}), Some("eyJhIjoiXG4ifQ"), Some("eyJhIjoiXG4ifQ")),
        (json!(null), None, None),
    ] {
        assert_eq!(value(claim.clone(), false).as_deref(), plain, "{claim}");
        assert_eq!(value(claim.clone(), true).as_deref(), encoded, "{claim}");
    }
}
