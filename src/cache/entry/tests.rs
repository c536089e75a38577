use serde_json::json;

use super::*;
use crate::json::Object;
use crate::testing::{self, at, test};
use crate::token::claims::ClaimMapping;

fn key(token: &str) -> TokenKey {
    TokenKey::of(token)
}

fn entry(claims: serde_json::Value) -> Entry {
    let claims = Object::parse(claims.to_string().as_bytes()).expect("an object");
    let claims = Claims::read(&claims, &ClaimMapping::default()).expect("claims");
    let lifetime = Lifetime { fresh_until: at(60), usable_until: at(90) };
    Entry {
        lifetime,
        claims,
        jwt: Some(testing::jwt(json!({}))),
        is_self_contained: false,
        verified_by: None,
    }
}

/// If a claim were lost in the encoding, another worker would let in what the first refuses.
#[test]
fn what_is_encoded_is_decoded() {
    let fingerprint = Fingerprint::of(&["a"]);
    for claims in [
        json!({}),
        json!({"exp": 1e300, "nbf": 0}),
        json!({"exp": testing::NOW as f64 + 0.5, "nbf": testing::NOW, "iss": "i", "aud": ["a", "b"], "scope": "a b"}),
        json!({"aud": [], "scope": ""}),
    ] {
        let bytes = entry(claims.clone()).encode(&fingerprint, &key("t"));
        assert_eq!(Entry::decode(&bytes, &fingerprint, &key("t")), Some(entry(claims)));
    }
    for (jwt, is_self_contained) in
        [(None, false), (Some(String::new()), false), (Some("a.b.c".to_owned()), true)]
    {
        let entry = Entry { jwt, is_self_contained, ..entry(json!({})) };
        let bytes = entry.encode(&fingerprint, &key("t"));
        assert_eq!(Entry::decode(&bytes, &fingerprint, &key("t")), Some(entry));
    }
    let verified = Entry { verified_by: Some(Fingerprint::of(&["key"])), ..entry(json!({})) };
    let bytes = verified.encode(&fingerprint, &key("t"));
    assert_eq!(Entry::decode(&bytes, &fingerprint, &key("t")), Some(verified));
}

/// If an entry were trusted by its key alone, a host that compares checksums would hand out another user's JWT.
#[test]
fn r052_an_entry_is_recognised_by_its_token_and_configuration() {
    let bytes = entry(json!({})).encode(&Fingerprint::of(&["a"]), &key("t"));
    assert_eq!(Entry::decode(&bytes, &Fingerprint::of(&["a"]), &key("other")), None);
    assert_eq!(Entry::decode(&bytes, &Fingerprint::of(&["b"]), &key("t")), None);
    for end in 0..bytes.len() {
        assert_eq!(Entry::decode(&bytes[..end], &Fingerprint::of(&["a"]), &key("t")), None, "{end} bytes");
    }
    let mut other_version = bytes;
    other_version[0] = 9;
    assert_eq!(Entry::decode(&other_version, &Fingerprint::of(&["a"]), &key("t")), None);
}

/// If the last bytes of a value are replaced, its length stays the same. Here, the replacement would also end the header field.
#[test]
fn an_entry_whose_end_was_replaced_is_no_entry() {
    let fingerprint = Fingerprint::of(&["a"]);
    let mut bytes = entry(json!({})).encode(&fingerprint, &key("t"));
    bytes.truncate(bytes.len() - 5);
    bytes.extend(b"a\r\nb:");
    assert_eq!(Entry::decode(&bytes, &fingerprint, &key("t")), None);
}

#[test]
fn facts_of_a_fingerprint_do_not_run_together() {
    assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
    assert_ne!(Fingerprint::of(&["ab"]), Fingerprint::of(&["ab", ""]));
}
