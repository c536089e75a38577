use serde_json::json;

use super::*;
use crate::testing::test;

fn object(value: &Value) -> Object {
    Object::of(value).expect("an object")
}

fn binding(confirmation: Value) -> Result<Binding, Reason> {
    Binding::read(&object(&json!({"cnf": confirmation})))
}

fn sender(key: Option<&str>, certificate: Option<&str>) -> Sender {
    Sender { key: key.map(str::to_owned), certificate: certificate.map(str::to_owned) }
}

/// If a bound token passed in other hands, binding it would be of no use.
#[test]
fn r089_r090_r096_r098_a_bound_token_is_its_senders_alone() {
    let (stolen, other) = (Err(Reason::SenderConstrained), Err(Reason::WrongSender));
    for (confirmation, key, certificate, expected) in [
        (json!(null), None, None, Ok(())),
        (json!(null), None, Some("c"), Ok(())),
        (json!(null), Some("k"), None, other),
        (json!({"jkt": "k"}), Some("k"), None, Ok(())),
        (json!({"jkt": "k"}), Some("x"), None, other),
        (json!({"jkt": "k"}), None, None, stolen),
        (json!({"jkt": "k"}), None, Some("k"), stolen),
        (json!({"x5t#S256": "c"}), None, Some("c"), Ok(())),
        (json!({"x5t#S256": "c"}), None, Some("x"), stolen),
        (json!({"x5t#S256": "c"}), None, None, stolen),
        (json!({"x5t#S256": "c"}), Some("k"), Some("c"), other),
        (json!({"jkt": "k", "x5t#S256": "c"}), Some("k"), Some("c"), Ok(())),
        (json!({"jkt": "k", "x5t#S256": "c"}), Some("k"), None, stolen),
        (json!({"jkt": "k", "x5t#S256": "c"}), None, Some("c"), stolen),
    ] {
        let binding = binding(confirmation.clone()).expect("a binding");
        assert_eq!(
            binding.validate(&sender(key, certificate)),
            expected,
            "{confirmation} {key:?} {certificate:?}"
        );
    }
}

#[test]
fn r098_a_binding_of_another_kind_cannot_be_verified() {
    for confirmation in [
        json!({"kid": "a"}),
        json!({"jwk": {}}),
        json!({}),
        json!("k"),
        json!({"jkt": 5}),
        json!({"jkt": "k", "x": "y"}),
    ] {
        assert_eq!(binding(confirmation.clone()), Err(Reason::SenderConstrained), "{confirmation}");
    }
}

#[test]
fn what_two_say_of_one_token_must_agree() {
    let read = |confirmation| binding(confirmation).expect("a binding");
    assert_eq!(read(json!({"jkt": "k"})).and(read(json!(null))), Ok(read(json!({"jkt": "k"}))));
    assert_eq!(read(json!(null)).and(read(json!({"jkt": "k"}))), Ok(read(json!({"jkt": "k"}))));
    assert_eq!(read(json!({"jkt": "k"})).and(read(json!({"jkt": "x"}))), Err(Reason::UnexpectedResponse));
}

#[test]
fn r091_a_bound_token_is_called_a_dpop_token() {
    let (bound, free) = (binding(json!({"jkt": "k"})).expect("a binding"), Binding::default());
    for (token_type, binding, tolerates, expected) in [
        (json!("DPoP"), &bound, false, Ok(())),
        (json!("Bearer"), &bound, false, Err(Reason::SenderConstrained)),
        (json!("bearer"), &bound, true, Ok(())),
        (json!("DPoP"), &free, false, Err(Reason::SenderConstrained)),
        (json!("Bearer"), &free, false, Ok(())),
        (json!("N_A"), &free, false, Err(Reason::NotAnAccessToken)),
        (json!("N_A"), &bound, true, Err(Reason::SenderConstrained)),
    ] {
        assert_eq!(validate_token_type(Some(&token_type), binding, tolerates), expected, "{token_type}");
    }
    assert_eq!(validate_token_type(None, &bound, false), Ok(()));
}
