use serde_json::{Value, json};

use super::*;
use crate::testing::{configured, merge, parse, signer, test};

/// A configuration in which the fields that matter to the identity are written out.
fn base() -> Value {
    configured(json!({
        "introspection": {
            "parameters": {"tenant": "a"},
            "headers": {"x-api-key": "a"},
            "response": {"accept": "application/token-introspection+jwt"},
        },
        "token": {"issuer": "https://login.example.com"},
        "keys": {"jwks_uri": "https://login.example.com/jwks"},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        "cache": {"no_store_ttl": "1s"},
    }))
}

fn fingerprint(configuration: &Value) -> Fingerprint {
    let settings = parse(configuration).expect("a configuration without errors");
    settings.servers[0].fingerprint(&settings)
}

fn keys_fingerprint(configuration: &Value) -> Fingerprint {
    let settings = parse(configuration).expect("a configuration without errors");
    match &settings.servers[0].keys {
        Some(KeySettings::Published(keys)) => settings.servers[0].keys_fingerprint(keys),
        _ => panic!("no published keys"),
    }
}

fn with(edits: &Value) -> Value {
    let mut configuration = base();
    merge(&mut configuration, edits.clone());
    configuration
}

/// If one of these were not part of the identity, a response of another server, or one that was read differently, would still be used after
/// a change.
#[test]
fn r052_what_decides_about_answers_is_part_of_the_identity() {
    let edits = [
        json!({"introspection": {"endpoint": "http://login.example.com/oauth/v2/introspect"}}),
        json!({"introspection": {"endpoint": "https://other.example.com/oauth/v2/introspect"}}),
        json!({"introspection": {"endpoint": "https://login.example.com/other"}}),
        json!({"introspection": {"upstream": "other"}}),
        json!({"introspection": {"auth_method": "client_secret_post"}}),
        json!({"introspection": {"auth_method": "client_secret_basic_raw"}}),
        json!({"introspection": {"client_id": "other"}}),
        json!({"introspection": {"parameters": {"tenant": "b"}}}),
        json!({"introspection": {"parameters": {"other": "a"}}}),
        json!({"introspection": {"headers": {"x-api-key": "b"}}}),
        json!({"introspection": {"token_type_hint": false}}),
        json!({"introspection": {"response": {"accept": "application/jwt"}}}),
        json!({"introspection": {"response": {"accept": "application/json"}}}),
        json!({"introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}}}),
        json!({"introspection": {"response": {"max_jwt_length": 1024}}}),
        json!({"introspection": {"response": {"require_signed": false}}}),
        json!({"token": {"issuer": "https://other.example.com"}}),
        json!({"token": {"scope_claim": "scp"}}),
        json!({"token": {"allow_scope_list": true}}),
        json!({"token": {"require_token_type": true}}),
        json!({"token": {"allow_bearer_type": true}}),
        json!({"token": {"jwts": "refuse"}}),
        json!({"token": {"jwts": "verify", "audience": ["a"]}}),
        json!({"token": {"jwts": "verify", "audience": ["a"], "jwt_profile": "lax"}}),
        json!({"claim_to_headers": [{"header": "x-user", "pointer": "/username"}]}),
        json!({"rules": [{"path": "/", "claims": [{"pointer": "/department", "present": true}]}]}),
        json!({"cache": {"max_entries": 1000}}),
        json!({"cache": {"max_ttl": "1m"}}),
        json!({"cache": {"no_store_ttl": "2s"}}),
        json!({"keys": {"jwks_uri": null, "hmac_secret": "0123456789abcdef0123456789abcdef"}}),
        json!({"keys": {"jwks_uri": null, "hmac_secret": "0123456789abcdef0123456789abcdeg"}}),
        json!({"keys": {"jwks_uri": null, "jwks": {"keys": [signer::public(&signer::p256(), json!({}))]}}}),
    ];
    assert_all_differ(&edits, fingerprint);
}

/// If one of these were not part of the identity, keys of another server would verify signatures.
#[test]
fn r052_what_decides_about_keys_is_part_of_their_identity_and_of_the_whole() {
    let edits = [
        json!({"keys": {"jwks_uri": "https://login.example.com/other"}}),
        json!({"keys": {"jwks_uri": "https://other.example.com/jwks"}}),
        json!({"keys": {"jwks_uri": "http://login.example.com/jwks"}}),
        json!({"keys": {"upstream": "other"}}),
        json!({"keys": {"jwks_uri": null, "metadata_url": "https://login.example.com/jwks"}}),
        json!({"keys": {"algorithms": ["ES256"]}}),
        json!({"keys": {"algorithms": ["ES256", "RS256"]}}),
    ];
    assert_all_differ(&edits, keys_fingerprint);
    assert_all_differ(&edits, fingerprint);
}

/// If one of these were part of the identity, changing it would empty the cache.
#[test]
fn what_decides_nothing_leaves_the_cache_warm() {
    for edits in [
        json!({"introspection": {"client_secret": "another"}}),
        json!({"introspection": {"timeout": "1s", "retries": 0, "forward_traceparent": true}}),
        json!({"introspection": {"max_concurrent": 1, "max_per_second": 1, "max_waiting": 1}}),
        json!({"introspection": {"circuit_breaker": {"failures": 1, "open_for": "1s"}}}),
        json!({"token": {"audience": ["a"], "leeway": "1s", "require_exp": true, "allow_missing_iss": true}}),
        json!({"keys": {"max_age": "1m", "max_stale": "1m", "cooldown": "1s", "timeout": "1s"}}),
        json!({"cache": {"inactive_ttl": "1s", "refresh_ahead": "1s", "stale_if_error": "1s"}}),
        json!({"cache": {"max_bytes": 67_108_864, "shared_max_bytes": 67_108_864}}),
        json!({"rules": [{"path": "/", "scopes": ["a"], "audience": ["b"]}], "realm": "other"}),
    ] {
        assert_eq!(fingerprint(&with(&edits)), fingerprint(&base()), "{edits}");
        assert_eq!(keys_fingerprint(&with(&edits)), keys_fingerprint(&base()), "{edits}");
    }
}

fn assert_all_differ(edits: &[Value], identity: fn(&Value) -> Fingerprint) {
    let mut seen = vec![identity(&base())];
    for edits in edits {
        let identity = identity(&with(edits));
        assert!(!seen.contains(&identity), "{edits}");
        seen.push(identity);
    }
}
