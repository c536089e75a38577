use serde_json::json;

use super::*;
use crate::bearer::AccessToken;
use crate::request::AuthorizationField;
use crate::testing::{self, at, test};

fn key(token: &str) -> TokenKey {
    let field = format!("Bearer {token}");
    TokenKey::of(AccessToken::parse(AuthorizationField::Once(field.as_bytes()), 100).expect("a token"))
}

fn entry(validity: Validity) -> Entry {
    Entry { fresh_until: at(60), validity, jwt: testing::jwt(json!({})) }
}

#[test]
fn what_is_encoded_is_decoded() {
    let fingerprint = Fingerprint::of(&["a"]);
    for validity in [
        Validity::default(),
        Validity { expires: Some(at(1)), not_before: None },
        Validity { expires: Some(at(1)), not_before: Some(at(0)) },
    ] {
        let bytes = entry(validity).encode(&fingerprint, &key("t"));
        assert_eq!(Entry::decode(&bytes, &fingerprint, &key("t")), Some(entry(validity)));
    }
}

/// If an entry were trusted by its key alone, a host that compares checksums would hand out another user's JWT.
#[test]
fn r052_an_entry_is_recognised_by_its_token_and_configuration() {
    let bytes = entry(Validity::default()).encode(&Fingerprint::of(&["a"]), &key("t"));
    assert_eq!(Entry::decode(&bytes, &Fingerprint::of(&["a"]), &key("other")), None);
    assert_eq!(Entry::decode(&bytes, &Fingerprint::of(&["b"]), &key("t")), None);
    for end in 0..bytes.len() {
        assert_eq!(Entry::decode(&bytes[..end], &Fingerprint::of(&["a"]), &key("t")), None, "{end} bytes");
    }
    let mut other_version = bytes;
    other_version[0] = 9;
    assert_eq!(Entry::decode(&other_version, &Fingerprint::of(&["a"]), &key("t")), None);
}

#[test]
fn facts_of_a_fingerprint_do_not_run_together() {
    assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
    assert_ne!(Fingerprint::of(&["ab"]), Fingerprint::of(&["ab", ""]));
}
