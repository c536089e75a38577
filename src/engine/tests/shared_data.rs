//! Scenarios with several workers of one proxy, and whatever else its shared data may hold.

use std::hash::{DefaultHasher, Hasher};

use serde_json::json;

use super::{Worker, bearer};
use crate::testing::{self, MemorySharedData, test};

#[test]
fn r052_workers_share_what_the_server_said() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (Worker::new(json!({}), &shared), Worker::new(json!({}), &shared));
    assert!(first.get(0, "opaque").starts_with("Bearer"));
    assert_eq!(second.get(1, "opaque"), first.get(1, "opaque"));
    assert_eq!(second.introspections(), 0);
    // The shared level has the same time to live as the local one.
    second.answer_status("204");
    let mut third = Worker::new(json!({}), &shared);
    third.answer_status("204");
    assert_eq!(third.get(300, "opaque"), "inactive");
}

#[test]
fn r051_r052_another_configuration_does_not_use_what_is_not_its_own() {
    for edit in [
        json!({"introspection": {"endpoint": "https://other.example.com/introspect"}}),
        json!({"introspection": {"client_id": "other"}}),
        json!({"introspection": {"upstream": "other"}}),
        json!({"introspection": {"response": {"jwt_field": "jwt"}}}),
        json!({"introspection": {"endpoint": "http://login.example.com/oauth/v2/introspect"}}),
        json!({"introspection": {"token_type_hint": false}}),
        json!({"introspection": {"parameters": {"tenant": "a"}}}),
        json!({"introspection": {"headers": {"x-tenant": "a"}}}),
        json!({"introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}}}),
        json!({"introspection": {"response": {"max_jwt_length": 4096}}}),
        json!({"cache": {"max_ttl": "1m"}}),
        json!({"cache": {"no_store_ttl": "1m"}}),
        json!({"rules": [{"path": "/", "claims": [{"pointer": "/sub", "present": true}]}]}),
        json!({"cache": {"shared": false}}),
    ] {
        let shared = MemorySharedData::default();
        let (mut first, mut second) = (Worker::new(json!({}), &shared), Worker::new(edit.clone(), &shared));
        assert!(first.get(0, "opaque").starts_with("Bearer"));
        second.get(0, "opaque");
        assert_eq!(second.introspections(), 1, "{edit}");
    }
    // Two resource servers that differ only by their tokens or by a header field.
    let asks_as = |token: &str, tenant: &str| {
        json!({"introspection": {
            "auth_method": "bearer_token", "client_id": null, "client_secret": null, "bearer_token": token,
            "headers": {"x-tenant": tenant},
        }})
    };
    for other in [asks_as("b", "1"), asks_as("a", "2")] {
        let shared = MemorySharedData::default();
        Worker::new(asks_as("a", "1"), &shared).get(0, "opaque");
        let mut second = Worker::new(other, &shared);
        second.get(0, "opaque");
        assert_eq!(second.introspections(), 1);
    }
    // Only the accepted media type differs; the member with the JWT is the same.
    let keycloak =
        |accept: &str| json!({"introspection": {"response": {"accept": accept, "jwt_field": "jwt"}}});
    let shared = MemorySharedData::default();
    Worker::new(keycloak("application/jwt"), &shared).get(0, "opaque");
    let mut second = Worker::new(keycloak("application/json"), &shared);
    second.get(0, "opaque");
    assert_eq!(second.introspections(), 1);
    // An additional rule causes no new introspection; its requirements are checked against the entry.
    let shared = MemorySharedData::default();
    let mut first = Worker::new(json!({}), &shared);
    let mut second = Worker::new(json!({"rules": [{"path": "/", "scopes": ["admin"]}]}), &shared);
    assert!(first.get(0, "opaque").starts_with("Bearer"));
    assert_eq!(second.get(0, "opaque"), "insufficient_scope");
    assert_eq!(second.introspections(), 0);
}

/// If claims beside the JWT were lost in shared data, a second worker would let in what the first refuses.
#[test]
fn r053_a_shared_hit_is_as_narrow_as_the_answer() {
    let configuration = json!({
        "introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}},
        "rules": [{"path": "/", "scopes": ["orders:read"]}, {"path": "/profile", "scopes": ["profile"]}],
    });
    let shared = MemorySharedData::default();
    let body =
        json!({"active": true, "jwt": testing::jwt(json!({})), "scope": "profile", "nbf": testing::NOW});
    let mut first = Worker::new(configuration.clone(), &shared);
    first.answer =
        ("200".to_owned(), body.to_string(), vec![("content-type", "application/json".to_owned())]);
    let mut second = Worker::new(configuration, &shared);
    for worker in [&mut first, &mut second] {
        assert!(worker.request(0, "GET", "/profile", Some("Bearer opaque")).starts_with("Bearer"));
        assert_eq!(worker.get(0, "opaque"), "insufficient_scope");
    }
    assert_eq!((first.introspections(), second.introspections()), (1, 0));
}

/// If the claims that rules ask about were lost in shared data, a second worker would refuse what the first lets in.
#[test]
fn r053_a_shared_hit_has_the_claims_that_rules_ask_about() {
    let configuration =
        json!({"rules": [{"path": "/", "claims": [{"pointer": "/sub", "one_of": ["alice"]}]}]});
    let shared = MemorySharedData::default();
    let (mut first, mut second) =
        (Worker::new(configuration.clone(), &shared), Worker::new(configuration, &shared));
    assert!(first.get(0, "opaque").starts_with("Bearer"));
    assert!(second.get(0, "opaque").starts_with("Bearer"));
    assert_eq!(second.introspections(), 0);
}

/// If an entry were accepted because of its key alone, one user would be forwarded with another user's JWT.
#[test]
fn r052_colliding_keys_never_mix_tokens_up() {
    let shared = MemorySharedData::default();
    shared.one_key_for_all.set(true);
    let (mut first, mut second) = (Worker::new(json!({}), &shared), Worker::new(json!({}), &shared));
    let (alice, bob) = (testing::jwt(json!({"sub": "alice"})), testing::jwt(json!({"sub": "bob"})));
    first.answer_with(alice.clone());
    second.answer_with(bob.clone());
    assert_eq!(first.get(0, "token-of-alice"), bearer(&alice));
    assert_eq!(second.get(0, "token-of-bob"), bearer(&bob));
    assert_eq!(first.get(0, "token-of-alice"), bearer(&alice));
    let mut third = Worker::new(json!({}), &shared);
    third.answer_status("204");
    assert_eq!(third.get(0, "token-of-alice"), "inactive", "overwritten by bob's");
}

#[test]
fn r057_the_keys_of_the_shared_data_are_bounded_and_hold_no_token() {
    let shared = MemorySharedData::default();
    let mut worker = Worker::new(json!({"cache": {"max_entries": 16}}), &shared);
    for token in 0..200 {
        worker.get(0, &format!("opaque-{token}"));
    }
    let values = shared.values.borrow();
    assert!(values.len() <= 16, "{}", values.len());
    for (key, (value, _)) in values.iter() {
        assert!(!key.contains("opaque") && !key.contains('/'), "{key}");
        assert!(!String::from_utf8_lossy(value).contains("opaque-"));
    }
}

/// Shared data may contain anything: another filter's values, an older version's, or garbage.
#[test]
fn r038_arbitrary_shared_data_grants_no_access() {
    let shared = MemorySharedData::default();
    shared.one_key_for_all.set(true);
    let mut worker = Worker::new(json!({}), &shared);
    worker.get(0, "opaque");
    let (good, _) = shared.values.borrow().get("").cloned().expect("an entry");
    for end in 0..good.len() {
        shared.values.borrow_mut().insert(String::new(), (good[..end].to_vec(), 1));
        let mut other = Worker::new(json!({}), &shared);
        other.answer_status("204");
        assert_eq!(other.get(0, "opaque"), "inactive", "{end} bytes of an entry");
    }
    // An entry that claims to be fresh for longer than any entry can be.
    let mut eternal = good.clone();
    eternal[74..82].copy_from_slice(&u64::MAX.to_be_bytes());
    let mut hasher = DefaultHasher::new();
    hasher.write(&eternal[73..]);
    eternal[65..73].copy_from_slice(&hasher.finish().to_be_bytes());
    shared.values.borrow_mut().insert(String::new(), (eternal, 1));
    let mut other = Worker::new(json!({}), &shared);
    other.answer_status("204");
    assert_eq!(other.get(0, "opaque"), "inactive");
}
