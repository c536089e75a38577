use serde_json::json;

use super::*;
use crate::json::Object;
use crate::testing::test;

fn header(is_base64url: bool) -> ClaimHeader {
    ClaimHeader { name: "x-user-id".to_owned(), pointer: "/c".to_owned(), is_base64url }
}

fn value(claim: Value, is_base64url: bool) -> Option<String> {
    let payload = Object::parse(json!({"c": claim}).to_string().as_bytes()).expect("an object");
    header(is_base64url).value(&Claims::default().with_asked(&payload, &["/c".to_owned()]))
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

#[test]
fn r075_imitations_are_seen_in_any_case_and_with_other_marks() {
    for name in ["x-user-id", "X-User-Id", "x_user_id", "X_USER-ID", "x.user.id"] {
        assert!(header(false).is_imitated_by(name.as_bytes()), "{name}");
    }
    for name in ["x-user-i", "x-user-id2", "xuserid", "x-user-ie"] {
        assert!(!header(false).is_imitated_by(name.as_bytes()), "{name}");
    }
}
