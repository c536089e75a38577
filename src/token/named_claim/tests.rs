use serde_json::json;

use super::*;
use crate::json::Object;
use crate::testing::test;
use crate::token::claims::ClaimMapping;

fn value(claim: Value, encoding: Encoding) -> Option<String> {
    let payload = Object::parse(json!({"c": claim}).to_string().as_bytes()).expect("an object");
    let claim_mapping = ClaimMapping { asked: vec!["/c".to_owned()], ..ClaimMapping::default() };
    let named = NamedClaim { name: "x-user-id".to_owned(), pointer: "/c".to_owned(), encoding };
    named.value(&Claims::read(&payload, &claim_mapping).expect("claims"))
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
        assert_eq!(value(claim.clone(), Encoding::Plain).as_deref(), plain, "{claim}");
        assert_eq!(value(claim.clone(), Encoding::Base64Url).as_deref(), encoded, "{claim}");
    }
}

/// If a list could be read as another one, members of a group named `a,admin` would become administrators; if it lost an
/// element, a service that excludes a group would let its members in.
#[test]
fn r183_a_list_is_readable_as_it_is_or_left_out() {
    // istio/istio#58433: roles as a field, readable.
    for (claim, comma, space) in [
        (json!(["a", "b"]), Some("a,b"), Some("a b")),
        (json!(["a"]), Some("a"), Some("a")),
        (json!("a"), Some("a"), Some("a")),
        (json!(["b", "a", "b"]), Some("b,a,b"), Some("b a b")),
        (json!([7, true, 1.5, "x"]), Some("7,true,1.5,x"), Some("7 true 1.5 x")),
        (json!(7), Some("7"), Some("7")),
        (json!(false), Some("false"), Some("false")),
        (json!(["Domain Admins", "b"]), Some("Domain Admins,b"), None),
        (json!(["cn=a,ou=b", "c"]), None, Some("cn=a,ou=b c")),
        (json!("a,admin"), None, Some("a,admin")),
        (json!("a admin"), Some("a admin"), None),
        (
            json!(["/realm/group", "a=b;c", "a|b"]),
            Some("/realm/group,a=b;c,a|b"),
            Some("/realm/group a=b;c a|b"),
        ),
        // RFC 9110 §5.6.1: space around an element, and an empty one, are no part of a list.
        (json!([" a", "b"]), None, None),
        (json!(["a ", "b"]), None, None),
        (json!(["", "b"]), None, None),
        (json!([]), None, None),
        (json!(""), None, None),
        // §5.6.4: quotes.
        (json!(["\"a", "b\""]), None, None),
        (json!(["a\\", "b"]), None, None),
        (json!(["a\r\nx-admin: 1"]), None, None),
        (json!(["a\u{0}b"]), None, None),
        (json!(["a\tb"]), None, None),
        (json!(["J\u{f6}rg", "b"]), None, None),
        (json!(["a\u{ff0c}b"]), None, None),
        (json!(["a", null]), None, None),
        (json!(["a", ["b"]]), None, None),
        (json!(["a", {"b": 1}]), None, None),
        (json!({"a": 1}), None, None),
        (json!(null), None, None),
    ] {
        assert_eq!(value(claim.clone(), Encoding::CommaSeparated).as_deref(), comma, "{claim}");
        assert_eq!(value(claim.clone(), Encoding::SpaceSeparated).as_deref(), space, "{claim}");
    }
}
