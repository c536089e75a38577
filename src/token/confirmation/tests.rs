use serde_json::json;

use super::*;
use crate::testing::test;

fn object(value: &Value) -> Object {
    Object::of(value).expect("an object")
}

fn confirmation(cnf: Value) -> Result<Confirmation, Reason> {
    Confirmation::read(&object(&json!({"cnf": cnf})))
}

fn presenter(key: Option<&str>, certificate: Option<&str>) -> Presenter {
    Presenter { key: key.map(str::to_owned), certificate: certificate.map(str::to_owned) }
}

/// If a bound token passed in other hands, binding it would be of no use.
#[test]
fn r089_r090_r096_r098_a_bound_token_is_its_senders_alone() {
    let (stolen, other) = (Err(Reason::ProofRequired), Err(Reason::ConfirmationMismatch));
    for (cnf, key, certificate, expected) in [
        (json!(null), None, None, Ok(())),
        (json!(null), None, Some("c"), Ok(())),
        (json!(null), Some("k"), None, other),
        (json!({"jkt": "k"}), Some("k"), None, Ok(())),
        (json!({"jkt": "k"}), Some("x"), None, other),
        (json!({"jkt": "k"}), None, None, stolen),
        (json!({"jkt": "k"}), None, Some("k"), stolen),
        (json!({"jkt": "k", "kc-jkt-type": "DPoP"}), Some("k"), None, Ok(())),
        (json!({"jkt": "k", "kc-jkt-type": "DPoP"}), Some("x"), None, other),
        (json!({"jkt": "k", "kc-jkt-type": "DPoP"}), None, None, stolen),
        (json!({"x5t#S256": "c"}), None, Some("c"), Ok(())),
        (json!({"x5t#S256": "c"}), None, Some("x"), stolen),
        (json!({"x5t#S256": "c"}), None, None, stolen),
        (json!({"x5t#S256": "c"}), Some("k"), Some("c"), other),
        (json!({"jkt": "k", "x5t#S256": "c"}), Some("k"), Some("c"), Ok(())),
        (json!({"jkt": "k", "x5t#S256": "c"}), Some("k"), None, stolen),
        (json!({"jkt": "k", "x5t#S256": "c"}), None, Some("c"), stolen),
    ] {
        let confirmation = confirmation(cnf.clone()).expect("a binding");
        assert_eq!(
            confirmation.validate(&presenter(key, certificate)),
            expected,
            "{cnf} {key:?} {certificate:?}"
        );
    }
}

#[test]
fn r098_a_binding_of_another_kind_cannot_be_verified() {
    for cnf in [
        json!({"kid": "a"}),
        json!({"jwk": {}}),
        json!({}),
        json!("k"),
        json!({"jkt": 5}),
        json!({"jkt": "k", "x": "y"}),
        json!({"jkt": "k", "kc-jkt-type": "attestation"}),
        json!({"jkt": "k", "kc-jkt-type": null}),
        json!({"kc-jkt-type": "DPoP"}),
    ] {
        assert_eq!(confirmation(cnf.clone()), Err(Reason::ProofRequired), "{cnf}");
    }
}

#[test]
fn what_two_say_of_one_token_must_agree() {
    let read = |cnf| confirmation(cnf).expect("a binding");
    assert_eq!(read(json!({"jkt": "k"})).and(read(json!(null))), Ok(read(json!({"jkt": "k"}))));
    assert_eq!(read(json!(null)).and(read(json!({"jkt": "k"}))), Ok(read(json!({"jkt": "k"}))));
    assert_eq!(read(json!({"jkt": "k"})).and(read(json!({"jkt": "x"}))), Err(Reason::UnexpectedResponse));
}

#[test]
fn r091_a_bound_token_is_called_a_dpop_token() {
    let (bound, free) = (confirmation(json!({"jkt": "k"})).expect("a binding"), Confirmation::default());
    for (token_type, confirmation, tolerates, expected) in [
        (json!("DPoP"), &bound, false, Ok(())),
        (json!("Bearer"), &bound, false, Err(Reason::ProofRequired)),
        (json!("bearer"), &bound, true, Ok(())),
        (json!("DPoP"), &free, false, Err(Reason::ProofRequired)),
        (json!("Bearer"), &free, false, Ok(())),
        // Duende says it of every token, bound or not.
        (json!("access_token"), &bound, false, Ok(())),
        (json!("access_token"), &free, false, Ok(())),
    ] {
        assert_eq!(validate_token_type(Some(&token_type), confirmation, tolerates), expected, "{token_type}");
    }
    assert_eq!(validate_token_type(None, &bound, false), Ok(()));
}
