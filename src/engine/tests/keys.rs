//! Scenarios with signatures: phantom tokens, signed responses and JWT access tokens, and the keys that verify them.

use serde_json::{Value, json};

use super::{Action, Asked, Call, Capabilities, StreamId, Worker, bearer, outcome};
use crate::host::NoSharedData;
use crate::http::request_head::{Presented, RequestHead};
use crate::testing::signer::{key_set, p256, p384, p521, public, sign, signed_jwt};
use crate::testing::{self, MemorySharedData, NOW, test};

fn published(edits: Value) -> Value {
    let mut configuration = json!({
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "keys": {"jwks_uri": "https://login.example.com/jwks", "cooldown": "30s", "max_age": "10m", "max_stale": "1h"},
        "cache": {"max_ttl": "2m"},
    });
    testing::merge(&mut configuration, edits);
    configuration
}

fn verifying(edits: Value) -> Value {
    let mut configuration = published(json!({"token": {"jwts": "verify"}}));
    testing::merge(&mut configuration, edits);
    configuration
}

fn access_token(edits: Value) -> String {
    let mut claims = testing::claims();
    testing::merge(&mut claims, json!({"client_id": "app", "jti": "1"}));
    testing::merge(&mut claims, edits);
    signed_jwt("k1", &claims)
}

#[test]
fn r041_a_phantom_token_has_to_have_its_issuers_signature() {
    let mut worker = Worker::new(published(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let genuine = access_token(json!({}));
    worker.answer_with(genuine.clone());
    assert_eq!(worker.get(0, "a"), bearer(&genuine));
    assert!(matches!(worker.asked.as_slice(), [Asked::Token, Asked::Keys]), "{:?}", worker.asked);
    assert_eq!(worker.get(0, "b"), bearer(&genuine));
    assert_eq!(worker.documents(), 1, "the keys are there already");
    worker.answer_with(testing::jws(r#"{"alg":"ES256","kid":"k1"}"#, &testing::claims().to_string()));
    assert_eq!(worker.get(0, "c"), "response_signature_invalid", "not the client's fault");
}

#[test]
fn r041_r059_keys_can_be_in_the_configuration() {
    let set: Value = serde_json::from_str(&key_set("k1")).expect("JSON");
    let mut worker = Worker::new(
        published(json!({"keys": {"jwks_uri": null, "cooldown": null, "jwks": set}})),
        &NoSharedData,
    );
    let genuine = access_token(json!({}));
    worker.answer_with(genuine.clone());
    assert_eq!(worker.get(0, "a"), bearer(&genuine));
    worker.answer_with(testing::jwt(json!({})));
    assert_eq!(worker.get(0, "b"), "response_signature_invalid");
    assert_eq!(worker.documents(), 0);
}

/// Requirements of servers that publish keys: `auth0/jwks-rsa-java#77` (406 for any media type other than that of RFC 7517 §8.5.1), and
/// firewalls that refuse a request without `User-Agent` (`envoyproxy/envoy#27127`, `envoyproxy/gateway#9512`; AWS' common rule set).
#[test]
fn r192_keys_and_metadata_are_asked_for_as_their_server_wants() {
    let own = concat!("phantom-token/", env!("CARGO_PKG_VERSION"));
    let discovered = json!({"jwks_uri": null, "metadata_url": "https://login.example.com/.well-known/openid-configuration"});
    let fields = |keys: Value| {
        let mut worker = Worker::new(verifying(json!({"keys": keys})), &NoSharedData);
        let token = bearer(&access_token(json!({})));
        let authorization = Presented::Once(token.as_bytes());
        let head = RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() };
        worker.start(0, &head);
        let call = worker.call(0).expect("a call");
        ["accept", "user-agent", "x-tenant", "authorization"].map(|name| {
            let values = call.request.headers().filter(|(own, _)| *own == name).map(|(_, value)| value);
            values.collect::<Vec<_>>().join("; ")
        })
    };
    let of_keys = "application/json, application/jwk-set+json";
    assert_eq!(fields(json!({})), [of_keys, own, "", ""]);
    assert_eq!(fields(discovered.clone()), ["application/json", own, "", ""]);
    let headers = json!({"headers": {"x-tenant": "acme", "user-agent": "gateway"}});
    assert_eq!(fields(headers.clone()), [of_keys, "gateway", "acme", ""]);
    let mut with_headers = discovered;
    testing::merge(&mut with_headers, headers);
    assert_eq!(fields(with_headers), ["application/json", "gateway", "acme", ""]);
}

/// A server that limits the lifetime of its keys replaces them within that time (RFC 9111 §4.2): if that were ignored, a withdrawn key
/// would verify tokens for `keys.max_age`. A server that forbids caching is asked at the configured interval, not for each token.
#[test]
fn r193_keys_are_kept_no_longer_than_their_server_says() {
    for (fields, fetches) in [
        (&[][..], 1),
        (&[("cache-control", "max-age=120")], 2),
        (&[("cache-control", "max-age=120"), ("age", "60")], 4),
        (&[("expires", "Thu, 01 Jan 2026 00:02:00 GMT"), ("date", "Thu, 01 Jan 2026 00:00:00 GMT")], 2),
        // No more often than `keys.cooldown`, 30s, and no more rarely than `keys.max_age`, 10m.
        (&[("cache-control", "max-age=1")], 6),
        (&[("cache-control", "max-age=86400")], 1),
        // As Keycloak does.
        (&[("cache-control", "no-cache")], 1),
        (&[("cache-control", "no-store, max-age=0")], 1),
    ] {
        let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
        worker.keys = key_set("k1");
        worker.key_fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let token = access_token(json!({}));
        for seconds in (0..170).step_by(2) {
            assert_eq!(worker.get(seconds, &token), bearer(&token), "{fields:?}");
            worker.refresh(seconds);
        }
        assert_eq!(worker.documents(), fetches, "{fields:?}");
    }
}

/// If each random `kid` caused a fetch, any client could make the gateway attack its own server.
#[test]
fn r063_an_unknown_key_costs_one_refresh_per_cooldown() {
    let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let genuine = access_token(json!({}));
    assert_eq!(worker.get(0, &genuine), bearer(&genuine));
    assert_eq!((worker.introspections(), worker.documents()), (0, 1));
    for (seconds, documents) in [(0, 1), (29, 1), (30, 2), (31, 2), (59, 2), (60, 3)] {
        let unknown = signed_jwt(
            &format!("other-{seconds}"),
            &serde_json::from_str(&claims_of(&genuine)).expect("JSON"),
        );
        assert_eq!(worker.get(seconds, &unknown), "invalid_signature", "{seconds}");
        assert_eq!(worker.documents(), documents, "{seconds}");
    }
}

#[test]
fn r066_a_new_key_is_accepted_within_the_cooldown_and_a_removed_one_refused_after_the_refresh() {
    let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
    worker.keys = key_set("old");
    let claims = serde_json::from_str(&claims_of(&access_token(json!({})))).expect("JSON");
    let (old, new) = (signed_jwt("old", &claims), signed_jwt("new", &claims));
    assert_eq!(worker.get(0, &old), bearer(&old));
    worker.keys = key_set("new");
    assert_eq!(worker.get(5, &new), "invalid_signature", "too early to ask");
    assert_eq!(worker.get(29, &old), bearer(&old), "cached, and its key is still known");
    assert_eq!(worker.get(30, &new), bearer(&new));
    assert_eq!(worker.get(31, &old), "invalid_signature", "although it was in the cache");
}

/// A server that withdraws all of its keys is not down: what they verified is no longer valid. An empty set is not the client's fault.
#[test]
fn r066_r153_an_empty_set_takes_all_keys_back() {
    let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let token = access_token(json!({"exp": NOW + 3600}));
    assert_eq!(worker.get(0, &token), bearer(&token));
    worker.keys = r#"{"keys":[]}"#.to_owned();
    assert_eq!(worker.get(600, &access_token(json!({"jti": "2"}))), "jwks_unavailable");
    assert_eq!(worker.get(600, &token), "jwks_unavailable");
    assert_eq!(worker.documents(), 2, "not asked again at once");
    worker.keys = key_set("k1");
    assert_eq!(worker.get(630, &token), bearer(&token));
}

/// If the error blamed the client's signature, clients would log in again and again, and operators would look in the wrong place.
#[test]
fn r153_a_set_in_which_no_key_is_of_use_is_the_servers_fault() {
    for (keys, source) in [
        (json!([]), "none at all"),
        (json!([{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "k1"}]), "unknown kinds alone"),
        (json!([public(&p256(), json!({"use": "enc", "kid": "k1"}))]), "dotkom/onlineweb4#2982"),
        (json!([public(&p256(), json!({"alg": "RS256", "kid": "k1"}))]), "jsonwebtoken.github.io#578"),
        (
            json!([{"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "kid": "k1"}]),
            "a secret",
        ),
        (json!(["k1", 5, null]), "what is no key"),
    ] {
        let keys = json!({"keys": keys}).to_string();
        let token = access_token(json!({}));
        let mut presented = Worker::new(verifying(json!({})), &NoSharedData);
        presented.keys = keys.clone();
        assert_eq!(presented.get(0, &token), "jwks_unavailable", "{source}");
        assert_eq!(presented.get(29, &token), "jwks_unavailable", "{source}");
        assert_eq!(presented.documents(), 1, "{source}: not asked again at once");
        let mut answered = Worker::new(published(json!({})), &NoSharedData);
        answered.keys = keys;
        answered.answer_with(token.clone());
        assert_eq!(answered.get(0, "a"), "jwks_unavailable", "{source}");
        answered.keys = key_set("k1");
        assert_eq!(answered.get(30, "a"), bearer(&token), "{source}");
    }
}

/// If a `kid` that is not in the set caused a fetch although a key without one verifies, servers that only name the key in the token would
/// be asked again and again.
#[test]
fn r151_a_key_without_a_name_costs_no_other_fetch() {
    let mut worker = Worker::new(verifying(json!({"cache": {"max_ttl": "0s"}})), &NoSharedData);
    worker.keys = json!({"keys": [public(&p256(), json!({"kid": null}))]}).to_string();
    for seconds in [0, 31, 62, 93] {
        let token = access_token(json!({"jti": seconds.to_string()}));
        assert_eq!(worker.get(seconds, &token), bearer(&token), "{seconds}");
    }
    assert_eq!(worker.documents(), 1);
}

/// A token verified with one secret must not be valid once another is configured: secrets are changed for a reason.
#[test]
fn r052_what_one_secret_verified_is_not_verified_by_another() {
    let shared = MemorySharedData::default();
    let configuration = |secret: &str| {
        let keys = json!({"jwks_uri": null, "cooldown": null, "max_age": null, "max_stale": null, "hmac_secret": secret.repeat(32)});
        let mut configuration = verifying(json!({"keys": keys}));
        testing::merge(&mut configuration, json!({"token": {"jwt_profile": "lax"}}));
        configuration
    };
    let secret = "a".repeat(32);
    let token = sign("HS256", &json!({"alg": "HS256"}), &testing::claims().to_string(), secret.as_bytes());
    assert_eq!(Worker::new(configuration("a"), &shared).get(0, &token), bearer(&token));
    assert_eq!(Worker::new(configuration("b"), &shared).get(0, &token), "invalid_signature");
}

#[test]
fn r064_the_last_good_keys_serve_while_none_can_be_fetched() {
    let mut worker = Worker::new(verifying(json!({"cache": {"max_ttl": "0s"}})), &NoSharedData);
    let token = access_token(json!({"exp": NOW + 100_000}));
    assert_eq!(worker.get(0, &token), "jwks_unavailable", "never loaded");
    assert_eq!(worker.get(4, &token), "jwks_unavailable");
    assert_eq!(worker.documents(), 1, "not asked again at once");
    worker.keys = key_set("k1");
    assert_eq!(worker.get(5, &token), bearer(&token));
    for broken in [String::new(), "<html>".to_owned(), "{}".to_owned()] {
        worker.keys = broken;
        assert_eq!(worker.get(5 + 600, &token), bearer(&token), "old, but good");
    }
    let before = worker.documents();
    assert_eq!(worker.get(5 + 3599, &token), bearer(&token));
    assert_eq!(worker.documents(), before + 1);
    assert_eq!(worker.get(5 + 3630, &token), "jwks_unavailable", "too old");
    worker.keys = key_set("k1");
    assert_eq!(worker.get(5 + 3700, &token), bearer(&token));
}

#[test]
fn r063_workers_share_the_keys() {
    let shared = MemorySharedData::default();
    let mut first = Worker::new(verifying(json!({})), &shared);
    first.keys = key_set("k1");
    let token = access_token(json!({}));
    assert_eq!(first.get(0, &token), bearer(&token));
    let mut second = Worker::new(verifying(json!({"cache": {"max_ttl": "1m"}})), &shared);
    assert_eq!(second.get(0, &token), bearer(&token), "of another cache, but with the same keys");
    assert_eq!(second.documents(), 0);
    // A fetch by another worker counts as this worker's attempt, and its newer keys are found without a fetch.
    first.keys = key_set("k2");
    let newer = signed_jwt("k2", &serde_json::from_str(&claims_of(&token)).expect("JSON"));
    assert_eq!(first.get(30, &newer), bearer(&newer));
    assert_eq!(second.get(31, &newer), bearer(&newer));
    assert_eq!(second.documents(), 0);
    let mut other_server = Worker::new(
        verifying(
            json!({"keys": {"jwks_uri": "https://login.example.com/other"}, "cache": {"max_ttl": "3m"}}),
        ),
        &shared,
    );
    assert_eq!(other_server.get(31, &newer), "jwks_unavailable", "keys of another place are not its own");
}

/// Shared data may contain anything.
#[test]
fn r038_whatever_is_among_the_keys_in_shared_data_verifies_nothing() {
    let shared = MemorySharedData::default();
    shared.one_key_for_all.set(true);
    let token = access_token(json!({}));
    let configuration = verifying(json!({"cache": {"max_ttl": "0s"}}));
    let mut worker = Worker::new(configuration.clone(), &shared);
    worker.keys = key_set("k1");
    assert_eq!(worker.get(0, &token), bearer(&token));
    let (good, _) = shared.values.borrow().get("").cloned().expect("keys");
    for end in 0..good.len() {
        shared.values.borrow_mut().insert(String::new(), (good[..end].to_vec(), 1));
        assert_eq!(Worker::new(configuration.clone(), &shared).get(0, &token), "jwks_unavailable", "{end}");
    }
    let mut of_the_future = good.clone();
    of_the_future[32] = 0x7f;
    shared.values.borrow_mut().insert(String::new(), (of_the_future, 1));
    assert_eq!(Worker::new(configuration, &shared).get(0, &token), "jwks_unavailable");
}

/// If this failed, a host without space for shared data would stop the filter, although the configuration does not use it.
#[test]
fn r144_keys_are_not_shared_where_nothing_is() {
    for (shared, expected) in [(true, 1), (false, 0)] {
        let data = MemorySharedData::default();
        let configuration = verifying(json!({"cache": {"shared": shared, "max_ttl": "0s"}}));
        let token = access_token(json!({}));
        let mut worker = Worker::new(configuration, &data);
        worker.keys = key_set("k1");
        assert_eq!(worker.get(0, &token), bearer(&token));
        assert_eq!(data.values.borrow().len(), expected, "shared: {shared}");
    }
}

/// If metadata of another issuer were accepted, or led to another host, an attacker who can forge one response could make every
/// token pass.
#[test]
fn r104_r112_discovered_metadata_are_the_issuers_own_and_lead_nowhere_else() {
    let discovering = |edits| {
        let discovery = "https://login.example.com/.well-known/openid-configuration";
        let mut configuration = verifying(json!({"keys": {"jwks_uri": null, "metadata_url": discovery}}));
        testing::merge(&mut configuration, edits);
        configuration
    };
    let token = access_token(json!({}));
    let metadata = |issuer: &str, jwks_uri: &str| json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
    let mut worker = Worker::new(discovering(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    worker.metadata = metadata("https://login.example.com", "https://login.example.com/keys?v=1");
    assert_eq!(worker.get(0, &token), bearer(&token));
    assert_eq!(worker.asked, [Asked::Metadata, Asked::Keys]);
    for (issuer, jwks_uri) in [
        ("https://login.example.com/", "https://login.example.com/keys"),
        ("https://evil.example.com", "https://login.example.com/keys"),
        ("https://login.example.com", "https://evil.example.com/keys"),
        ("https://login.example.com", "https://login.example.com.evil.com/keys"),
        ("https://login.example.com", "https://login.example.com@evil.com/keys"),
        ("https://login.example.com", "https://login.example.com:8443/keys"),
        ("https://login.example.com", "http://login.example.com/keys"),
        ("https://login.example.com", "https://login.example.com"),
        ("https://login.example.com", "https://login.example.com/a b"),
    ] {
        let mut worker = Worker::new(discovering(json!({})), &NoSharedData);
        worker.keys = key_set("k1");
        worker.metadata = metadata(issuer, jwks_uri);
        assert_eq!(worker.get(0, &token), "jwks_unavailable", "{issuer} {jwks_uri}");
        assert_eq!(worker.asked, [Asked::Metadata], "{issuer} {jwks_uri}");
        assert_eq!(worker.get(1, &token), "jwks_unavailable");
        assert_eq!(worker.documents(), 1, "not asked again at once");
    }
}

#[test]
fn r067_a_jwt_access_token_is_verified_and_forwarded_as_it_is() {
    let rules = json!([{"path": "/", "scopes": ["orders:read"]}, {"path": "/admin", "scopes": ["admin"]}]);
    let mut worker = Worker::new(verifying(json!({"rules": rules})), &NoSharedData);
    worker.keys = key_set("k1");
    let token = access_token(json!({}));
    assert_eq!(worker.get(0, &token), bearer(&token));
    assert_eq!(worker.get(1, &token), bearer(&token));
    assert_eq!(worker.asked, [Asked::Keys], "nobody is asked about the token itself");
    assert_eq!(worker.request(1, "GET", "/admin", Some(&bearer(&token))), "insufficient_scope");
    assert_eq!(worker.get(605, &token), "expired");
    for (edits, expected) in [
        (json!({"iss": "https://other.example.com"}), "wrong_issuer"),
        (json!({"aud": "payments-api"}), "wrong_audience"),
        (json!({"aud": null}), "wrong_audience"),
        (json!({"exp": null}), "missing_expiration"),
        (json!({"exp": NOW - 10}), "expired"),
        (json!({"jti": null}), "missing_claim"),
    ] {
        assert_eq!(worker.get(0, &access_token(edits.clone())), expected, "{edits}");
    }
}

#[test]
fn r059_r060_r061_r069_what_is_not_signed_as_it_must_be_is_refused_without_asking() {
    let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let token = access_token(json!({}));
    assert_eq!(worker.get(0, &token), bearer(&token));
    let payload = claims_of(&token);
    for header in [
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "nOnE", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "at+jwt", "kid": "k1"}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "crit": ["x"], "x": 1}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "b64": false}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}),
    ] {
        let forged = testing::jws(&header.to_string(), &payload);
        let is_understood = header.get("crit").is_none() && header.get("b64").is_none();
        let reason = if is_understood { "invalid_signature" } else { "malformed_jwt" };
        assert_eq!(worker.get(0, &forged), reason, "{header}");
    }
    let id_token = sign("ES256", &json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), &payload, b"");
    assert_eq!(worker.get(0, &id_token), "not_an_access_token");
    assert_eq!(worker.asked, [Asked::Keys]);
}

/// Opaque tokens and JWTs coexist while a server is migrated from one to the other.
#[test]
fn r071_opaque_tokens_are_introspected_beside_jwts_dots_or_not() {
    let mut worker = Worker::new(verifying(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let phantom = access_token(json!({"sub": "bob"}));
    worker.answer_with(phantom.clone());
    for token in ["opaque", "a.b.c", "v2.local.AAAA", "abcd.efgh.ijkl"] {
        assert_eq!(worker.get(0, token), bearer(&phantom), "{token}");
    }
    assert_eq!(worker.introspections(), 4);
    let mut without_introspection = verifying(json!({"keys": {"upstream": "authorization-server"}}));
    without_introspection["introspection"] = Value::Null;
    let mut only_jwts = Worker::new(without_introspection, &NoSharedData);
    assert_eq!(only_jwts.get(0, "opaque"), "not_a_jwt");
    assert!(only_jwts.asked.is_empty());
}

#[test]
fn jwts_can_be_refused_or_introspected_like_any_token() {
    let token = access_token(json!({}));
    let mut refusing = Worker::new(json!({"token": {"jwts": "refuse"}}), &NoSharedData);
    assert_eq!(refusing.get(0, &token), "jwt_not_accepted");
    assert_eq!(refusing.get(0, &testing::jws(r#"{"alg":"none"}"#, "{}")), "jwt_not_accepted");
    assert!(refusing.asked.is_empty());
    assert!(refusing.get(0, "opaque").starts_with("Bearer"));
    let mut usual = Worker::new(json!({}), &NoSharedData);
    assert!(usual.get(0, &token).starts_with("Bearer"));
    assert_eq!(usual.introspections(), 1);
}

fn signed_answers(edits: Value) -> Value {
    let response = json!({"accept": "application/token-introspection+jwt"});
    let mut configuration = published(json!({
        "introspection": {"response": response},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    }));
    testing::merge(&mut configuration, edits);
    configuration
}

fn signed_answer(inside: Value) -> String {
    let payload = json!({"iss": "https://login.example.com", "aud": "gateway", "iat": NOW, "token_introspection": inside});
    let header = json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": "k1"});
    sign("ES256", &header, &payload.to_string(), b"")
}

fn media_type(name: &str) -> Vec<(&'static str, String)> {
    vec![("content-type", name.to_owned())]
}

#[test]
fn r043_r044_a_signed_response_is_verified_and_never_forwarded() {
    let mut worker = Worker::new(signed_answers(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    let mut active = testing::claims();
    active["active"] = json!(true);
    let signed = |body: String| {
        ("200".to_owned(), body, media_type("application/token-introspection+jwt; charset=utf-8"))
    };
    worker.answer = signed(signed_answer(active.clone()));
    assert_eq!(worker.get(0, "a"), r#"[("x-user", "alice")]"#, "claims, and no token at all");
    for (edits, expected) in [
        (json!({"active": false}), "inactive"),
        (json!({"active": "true"}), "unexpected_response"),
        (json!({"exp": NOW - 10}), "expired"),
        (json!({"aud": "payments-api"}), "wrong_audience"),
        (json!({"token_type": "refresh_token"}), "not_an_access_token"),
    ] {
        let mut inside = active.clone();
        testing::merge(&mut inside, edits.clone());
        worker.answer = signed(signed_answer(inside));
        assert_eq!(worker.get(0, &format!("t{expected}")), expected, "{edits}");
    }
    let (message, _) = worker.answer.1.rsplit_once('.').expect("a signature");
    let mut inside = active.clone();
    inside["sub"] = json!("mallory");
    let forged = testing::jws(
        r#"{"alg":"ES256","typ":"token-introspection+jwt","kid":"k1"}"#,
        &json!({"iss": "https://login.example.com", "aud": "gateway", "iat": NOW, "token_introspection": inside}).to_string(),
    );
    assert!(!message.is_empty());
    worker.answer = signed(forged);
    assert_eq!(worker.get(0, "forged"), "response_signature_invalid");
    worker.answer = signed(signed_answer(active));
    assert!(worker.get(0, "forged").contains("alice"), "the failure was not kept");
}

/// If a plain response were accepted where a signed one is requested, an attacker in between could strip the signature.
#[test]
fn r047_a_plain_answer_is_no_signed_one() {
    let mut active = testing::claims();
    active["active"] = json!(true);
    for (required, expected) in
        [(json!(true), "unexpected_response"), (json!(false), r#"[("x-user", "alice")]"#)]
    {
        let edits = json!({"introspection": {"response": {"require_signed": required}}});
        let mut worker = Worker::new(signed_answers(edits), &NoSharedData);
        worker.answer = ("200".to_owned(), active.to_string(), media_type("application/json"));
        assert_eq!(worker.get(0, "a"), expected, "{required}");
    }
}

#[test]
fn r042_json_without_a_jwt_gives_claims_where_they_are_forwarded() {
    let configuration = json!({
        "introspection": {"response": {"accept": "application/json"}},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    });
    let shared = MemorySharedData::default();
    let (mut worker, mut other) =
        (Worker::new(configuration.clone(), &shared), Worker::new(configuration, &shared));
    let mut active = testing::claims();
    active["active"] = json!(true);
    worker.answer = ("200".to_owned(), active.to_string(), media_type("application/json"));
    assert_eq!(worker.get(0, "a"), r#"[("x-user", "alice")]"#);
    assert_eq!(other.get(0, "a"), r#"[("x-user", "alice")]"#, "from shared data");
    worker.answer.1 = r#"{"active":false,"sub":"alice"}"#.to_owned();
    assert_eq!(worker.get(0, "b"), "inactive");
}

pub(super) fn claims_of(jwt: &str) -> String {
    use base64::Engine;
    let payload = jwt.split('.').nth(1).expect("a payload");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    String::from_utf8(bytes).expect("text")
}

/// On a host where requests cannot share a response, each would fetch the keys; and a request that may not fetch them must not try again
/// and again.
#[test]
fn r063_a_query_not_sent_is_a_result() {
    let mut worker = Worker::with_capabilities(verifying(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    let token = access_token(json!({}));
    assert_eq!(worker.get(0, &token), bearer(&token));
    let unknown = signed_jwt("other", &serde_json::from_str(&claims_of(&token)).expect("JSON"));
    let (_, first) = start(&mut worker, 40, &unknown);
    assert!(first.is_none(), "it waits");
    call(&mut worker, 40, Asked::Keys);
    let (_, second) = start(&mut worker, 40, &unknown);
    assert_eq!(outcome(&second.expect("it is decided")), "invalid_signature", "they are fetched already");
    assert!(worker.call(40).is_none());
}

/// A host with separate streams: each sends its calls in its own name, and the end of a call is lost with its stream.
const SEPARATE_STREAMS: Capabilities =
    Capabilities { switches_streams: false, outlives_streams: false, ..Capabilities::ALL };

/// Starts a request with this token. Returns no action if it waits.
fn start(worker: &mut Worker<'_>, seconds: u64, token: &str) -> (StreamId, Option<Action>) {
    let authorization = bearer(token);
    let authorization = Presented::Once(authorization.as_bytes());
    worker
        .start(seconds, &RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() })
}

/// Returns the next call, and checks what it asks for.
fn call(worker: &mut Worker<'_>, seconds: u64, asked: Asked) -> Call {
    let call = worker.call(seconds).expect("a call");
    assert_eq!(Asked::of(&call), asked);
    call
}

/// If a query whose client has left stayed open, one client that comes and goes could keep new keys out, and removed ones in
/// (R66).
#[test]
fn r063_r066_a_cancelled_stream_releases_the_key_fetch_slot() {
    let mut worker = Worker::with_capabilities(verifying(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    let token = access_token(json!({}));
    assert_eq!(worker.get(0, &token), bearer(&token));
    let other = signed_jwt("k2", &serde_json::from_str(&claims_of(&token)).expect("JSON"));
    let (first, _) = start(&mut worker, 40, &other);
    call(&mut worker, 40, Asked::Keys);
    assert!(start(&mut worker, 40, &other).1.is_some(), "the keys are fetched already");
    worker.driver.engine().on_stream_gone(first);
    assert!(start(&mut worker, 40, &other).1.is_none());
    call(&mut worker, 40, Asked::Keys);
}

/// If a token were introspected again while its requests wait for keys, a slow fetch of keys would multiply introspections by the number of
/// requests that arrive meanwhile.
#[test]
fn r023_r063_a_response_pending_keys_is_not_introspected_again() {
    let keys =
        json!({"keys": {"jwks_uri": "https://login.example.com/jwks", "upstream": "authorization-server"}});
    let mut worker = Worker::with_capabilities(keys, SEPARATE_STREAMS, &NoSharedData);
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    let (first, _) = start(&mut worker, 0, "opaque");
    let introspection = call(&mut worker, 0, Asked::Token);
    worker.respond(&introspection, 0);
    call(&mut worker, 0, Asked::Keys);
    let mut streams = vec![first];
    for _ in 0..3 {
        streams.push(start(&mut worker, 0, "opaque").0);
        call(&mut worker, 0, Asked::Keys);
    }
    let (_, one_too_many) = start(&mut worker, 0, "opaque");
    assert_eq!(outcome(&one_too_many.expect("it is decided")), "jwks_unavailable");
    assert_eq!(worker.introspections(), 1);
    streams.into_iter().for_each(|stream| worker.driver.engine().on_stream_gone(stream));
    assert_eq!(worker.refresh(0), 4, "keys are needed by whoever comes next");
    start(&mut worker, 0, "opaque");
    call(&mut worker, 0, Asked::Token);
}

/// If the time to live started when the keys arrive, a slow fetch of keys would let a revoked token live for longer than `max_ttl`.
#[test]
fn r049_r066_a_response_pending_keys_ages() {
    let mut worker = Worker::new(published(json!({"cache": {"max_ttl": "1m"}})), &NoSharedData);
    worker.keys = key_set("k1");
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    let (stream, _) = start(&mut worker, 0, "slow");
    let introspection = call(&mut worker, 0, Asked::Token);
    worker.respond(&introspection, 0);
    assert!(outcome(&worker.finish(30, stream)).starts_with("Bearer"));
    assert!(worker.get(59, "slow").starts_with("Bearer"));
    assert_eq!(worker.introspections(), 1);
    assert!(worker.get(60, "slow").starts_with("Bearer"));
    assert_eq!(worker.introspections(), 2, "a minute after the answer");
}

/// If a token verified for one request were valid for another after its key was withdrawn, the request that waited longer would pass by a
/// key that the server no longer publishes.
#[test]
fn r066_what_was_verified_for_another_request_counts_while_its_key_does() {
    let mut worker = Worker::with_capabilities(published(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    start(&mut worker, 0, "token");
    let introspection = call(&mut worker, 0, Asked::Token);
    worker.respond(&introspection, 0);
    let first = call(&mut worker, 0, Asked::Keys);
    start(&mut worker, 0, "token");
    let second = call(&mut worker, 0, Asked::Keys);
    worker.respond(&first, 0);
    assert!(next_action(&mut worker).starts_with("Bearer"));
    worker.keys = key_set("k2");
    worker.respond(&second, 1);
    assert_eq!(next_action(&mut worker), "response_signature_invalid");
}

fn next_action(worker: &mut Worker<'_>) -> String {
    let (_, action) = worker.driver.engine().poll_action().expect("a request is decided");
    outcome(&action)
}

/// If a request that may not wait decided for those that wait with the same response, valid tokens would be refused although their keys
/// arrive.
#[test]
fn r063_r066_a_request_that_cannot_wait_for_keys_decides_for_no_other() {
    let mut worker = Worker::with_capabilities(published(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    assert!(worker.get(0, "old").starts_with("Bearer"));
    worker.keys = key_set("k2");
    worker.answer_with(signed_jwt("k2", &testing::claims()));
    start(&mut worker, 40, "new");
    let introspection = call(&mut worker, 40, Asked::Token);
    worker.respond(&introspection, 40);
    let keys = call(&mut worker, 40, Asked::Keys);
    let (_, second) = start(&mut worker, 40, "new");
    assert_eq!(outcome(&second.expect("it is decided")), "response_signature_invalid");
    worker.respond(&keys, 40);
    assert!(next_action(&mut worker).starts_with("Bearer"));
}

/// If a response that waits for keys outlived a later one, a token revoked meanwhile would be cached when the keys arrive.
#[test]
fn r055_r066_a_response_pending_keys_does_not_outlive_a_revocation() {
    let mut worker = Worker::with_capabilities(published(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    for _ in 0..3 {
        start(&mut worker, 0, "token");
    }
    let [first, second, third] = [(); 3].map(|()| call(&mut worker, 0, Asked::Token));
    worker.respond(&first, 0);
    worker.respond(&second, 0);
    worker.answer_status("204");
    worker.respond(&third, 0);
    assert_eq!(next_action(&mut worker), "inactive");
    for _ in 0..2 {
        let keys = call(&mut worker, 0, Asked::Keys);
        worker.respond(&keys, 0);
        assert_eq!(next_action(&mut worker), "inactive", "the keys are good, the token is not any more");
    }
    worker.answer_status("503");
    assert_eq!(worker.get(0, "token"), "inactive", "nothing was cached");
}

/// If a token verified for one request were valid for another that still waits, although the server has revoked the token meanwhile, it
/// would be accepted once more.
#[test]
fn r055_r066_a_verified_response_does_not_outlive_a_revocation_for_those_who_wait() {
    let mut worker = Worker::with_capabilities(published(json!({})), SEPARATE_STREAMS, &NoSharedData);
    worker.keys = key_set("k1");
    worker.answer_with(signed_jwt("k1", &testing::claims()));
    start(&mut worker, 0, "token");
    start(&mut worker, 0, "token");
    let [first, last] = [(); 2].map(|()| call(&mut worker, 0, Asked::Token));
    worker.respond(&first, 0);
    let first = call(&mut worker, 0, Asked::Keys);
    start(&mut worker, 0, "token");
    let second = call(&mut worker, 0, Asked::Keys);
    worker.respond(&first, 0);
    assert!(next_action(&mut worker).starts_with("Bearer"));
    worker.answer_status("204");
    worker.respond(&last, 0);
    assert_eq!(next_action(&mut worker), "inactive");
    worker.respond(&second, 0);
    assert_eq!(next_action(&mut worker), "inactive", "it waited for the same response as the first");
}

/// If one request too many ended the fetch for the others, a cold start would last for as long as a flood does.
#[test]
fn r063_a_query_not_sent_changes_nothing_for_waiting_requests() {
    let discovery = "https://login.example.com/.well-known/oauth-authorization-server";
    let configuration = verifying(json!({"keys": {"jwks_uri": null, "metadata_url": discovery}}));
    let mut worker = Worker::with_capabilities(configuration, SEPARATE_STREAMS, &NoSharedData);
    worker.metadata =
        json!({"issuer": "https://login.example.com", "jwks_uri": "https://login.example.com/jwks"})
            .to_string();
    let token = access_token(json!({}));
    let mut calls = Vec::new();
    for _ in 0..4 {
        assert!(start(&mut worker, 0, &token).1.is_none());
        calls.push(call(&mut worker, 0, Asked::Metadata));
    }
    assert!(start(&mut worker, 0, &token).1.is_some(), "one too many");
    worker.respond(&calls[0], 0);
    call(&mut worker, 0, Asked::Keys);
    assert!(worker.driver.engine().poll_action().is_none(), "nobody else is decided");
}

fn without_key_id(edits: Value) -> String {
    let mut claims = testing::claims();
    testing::merge(&mut claims, json!({"client_id": "app", "jti": "1"}));
    testing::merge(&mut claims, edits);
    testing::jws(r#"{"alg":"ES256","typ":"at+jwt"}"#, &claims.to_string())
}

/// If invalid signatures were unlimited, any client could keep a worker busy with them. Cached tokens, and tokens refused because of their
/// claims, need no verification.
#[test]
fn r121_beyond_the_budget_of_wrong_signatures_nothing_new_is_verified() {
    let edits = json!({"token": {"max_failed_verifications_per_second": 3}});
    let mut worker = Worker::new(verifying(edits), &NoSharedData);
    worker.keys = key_set("k1");
    let (known, new) = (access_token(json!({})), access_token(json!({"jti": "2"})));
    assert_eq!(worker.get(0, &known), bearer(&known));
    for number in 0..3 {
        assert_eq!(worker.get(0, &without_key_id(json!({"jti": number.to_string()}))), "invalid_signature");
    }
    assert_eq!(worker.get(0, &without_key_id(json!({"jti": "9"}))), "verification_limit");
    assert_eq!(worker.get(0, &new), "verification_limit");
    assert_eq!(worker.get(0, &known), bearer(&known), "from the cache");
    assert_eq!(worker.get(0, &without_key_id(json!({"exp": NOW - 60}))), "expired");
    assert_eq!(worker.get(1, &new), bearer(&new), "a second later");
    for number in 10..20 {
        let token = access_token(json!({"jti": number.to_string()}));
        assert_eq!(worker.get(1, &token), bearer(&token), "signatures that are right cost nothing of it");
    }
}

/// Verification with P-384 takes ten times as long as with P-256. If both counted alike, a flood that names the slow key would take all of
/// a worker's time within a limit that was made for the fast one.
#[test]
fn r154_a_wrong_signature_counts_by_what_it_takes() {
    for (jwk, algorithm, refused) in [(p256(), "ES256", 20), (p384(), "ES384", 2), (p521(), "ES512", 2)] {
        let edits = json!({"token": {"max_failed_verifications_per_second": 20}});
        let mut worker = Worker::new(verifying(edits), &NoSharedData);
        worker.keys = json!({"keys": [public(&jwk, json!({"kid": "slow"}))]}).to_string();
        let mut claims = testing::claims();
        testing::merge(&mut claims, json!({"client_id": "app"}));
        let header = json!({"alg": algorithm, "typ": "at+jwt", "kid": "slow"});
        let signature = sign(algorithm, &header, "{}", b"");
        let (_, signature) = signature.rsplit_once('.').expect("a signature");
        let mut count = 0;
        while count < 30 {
            claims["jti"] = json!(count.to_string());
            let forged = testing::jws(&header.to_string(), &claims.to_string());
            let (message, _) = forged.rsplit_once('.').expect("a signature");
            if worker.get(0, &format!("{message}.{signature}")) == "verification_limit" {
                break;
            }
            count += 1;
        }
        assert_eq!(count, refused, "{algorithm}");
    }
}

/// If a signature were verified before all cheaper checks, each repetition of an expired JWT would cost a verification, whose result would
/// not be cached.
#[test]
fn r120_what_a_jwt_claims_is_validated_before_its_signature() {
    let rules =
        json!([{"path": "/", "audience": ["orders-api"]}, {"path": "/pay", "audience": ["payments-api"]}]);
    let mut worker = Worker::new(verifying(json!({"rules": rules})), &NoSharedData);
    for (path, edits, expected) in [
        ("/orders", json!({"exp": NOW - 60}), "expired"),
        ("/orders", json!({"nbf": NOW + 60}), "not_yet_valid"),
        ("/orders", json!({"iss": "https://other.example.com"}), "wrong_issuer"),
        ("/orders", json!({"aud": "another"}), "wrong_audience"),
        ("/pay", json!({}), "wrong_audience"),
        ("/orders", json!({"cnf": {"jkt": "k"}}), "proof_required"),
    ] {
        let forged = without_key_id(edits.clone());
        assert_eq!(worker.request(0, "GET", path, Some(&bearer(&forged))), expected, "{path} {edits}");
    }
    assert!(worker.asked.is_empty(), "nor are keys fetched for it");
}

/// If another encoding of a JWT counted as an opaque token, a JWT that is meant for services alone would be accepted from outside wherever
/// the server decodes leniently.
#[test]
fn r124_a_jwt_in_another_spelling_is_refused_as_a_jwt() {
    let jwt = access_token(json!({}));
    let (message, signature) = jwt.rsplit_once('.').expect("a signature");
    let mut other_bits = jwt.clone();
    other_bits.pop();
    other_bits.push('B');
    let other_alphabet = format!("{message}.+/{signature}");
    let encrypted = testing::jws(r#"{"alg":"dir","enc":"A256GCM"}"#, "{}") + ".aXY.dGFn";
    let spellings = [format!("{jwt}=="), format!("{jwt}~"), other_bits, other_alphabet, jwt];
    let mut refusing = Worker::new(json!({"token": {"jwts": "refuse"}}), &NoSharedData);
    for token in spellings.iter().chain([&encrypted]) {
        assert_eq!(refusing.get(0, token), "jwt_not_accepted", "{token}");
    }
    assert!(refusing.asked.is_empty());
    let mut verifier = Worker::new(verifying(json!({})), &NoSharedData);
    verifier.keys = key_set("k1");
    let phantom = access_token(json!({"sub": "bob"}));
    verifier.answer_with(phantom.clone());
    for token in spellings.iter().take(4) {
        assert_eq!(verifier.get(0, token), "malformed_jwt", "{token}");
    }
    assert_eq!(verifier.introspections(), 0);
    assert_eq!(verifier.get(0, &encrypted), bearer(&phantom), "only its issuer can read a JWE");
    let response = testing::jws(r#"{"alg":"ES256","typ":"token-introspection+jwt"}"#, "{}");
    for mode in ["introspect", "refuse", "verify"] {
        let mut worker = Worker::new(verifying(json!({"token": {"jwts": mode}})), &NoSharedData);
        for token in [format!("{response}="), format!("{response}~"), response.clone()] {
            assert_eq!(worker.get(0, &token), "not_an_access_token", "{mode} {token}");
        }
        assert!(worker.asked.is_empty());
    }
}
