//! Scenarios with tokens that are bound to their senders.

use serde_json::{Value, json};

use super::{Worker, bearer};
use crate::host::NoSharedData;
use crate::http::request_head::{Presented, RequestHead};
use crate::testing::signer::{ed25519, p256, public, sign};
use crate::testing::{self, NOW, test};

/// The RFC 7638 thumbprint of the key that signs here.
const THUMBPRINT: &str = "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U";

fn configuration(mode: &str) -> Value {
    json!({
        "token": {"dpop": mode, "leeway": "0s"},
        "dpop": {"origins": ["https://api.example.com"], "shared": false},
        "rules": [{"path": "/"}, {"path": "/strict", "dpop": "required"}, {"path": "/open", "access": "public"}],
    })
}

fn proof(token: &str, id: &str) -> String {
    proof_by("ES256", &p256(), token, id)
}

fn proof_by(algorithm: &str, key: &Value, token: &str, id: &str) -> String {
    use base64::Engine;
    use sha2::Digest;
    let ath = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(token));
    let payload =
        json!({"jti": id, "htm": "GET", "htu": "https://api.example.com/orders", "iat": NOW, "ath": ath});
    let header = json!({"alg": algorithm, "typ": "dpop+jwt", "jwk": public(key, json!({}))});
    sign(algorithm, &header, &payload.to_string(), b"")
}

fn send(worker: &mut Worker<'_>, authorization: &str, proof: Option<&str>) -> String {
    let head = RequestHead {
        method: b"GET",
        path: b"/orders",
        authorization: Presented::Once(authorization.as_bytes()),
        dpop: proof.map_or(Presented::Absent, |proof| Presented::Once(proof.as_bytes())),
        ..RequestHead::default()
    };
    worker.send(0, &head)
}

fn bound() -> String {
    testing::jwt(json!({"cnf": {"jkt": THUMBPRINT}}))
}

/// If the proof were not checked when the token is in the cache, a stolen token would be usable for as long as it is cached.
#[test]
fn r085_r089_r090_r093_r094_r095_every_request_with_a_bound_token_needs_a_proof_of_its_own() {
    let mut worker = Worker::new(configuration("allowed"), &NoSharedData);
    worker.answer_with(bound());
    assert_eq!(
        send(&mut worker, "DPoP t", Some(&proof("t", "1"))),
        bearer(&bound()),
        "upstream it is a bearer token (R95)"
    );
    assert_eq!(send(&mut worker, "dpop t", Some(&proof("t", "2"))), bearer(&bound()), "from the cache");
    assert_eq!(worker.introspections(), 1);
    assert_eq!(send(&mut worker, "DPoP t", Some(&proof("t", "2"))), "invalid_dpop_proof", "used before");
    assert_eq!(send(&mut worker, "DPoP t", None), "invalid_dpop_proof");
    assert_eq!(send(&mut worker, "DPoP t", Some(&proof("other", "3"))), "invalid_dpop_proof");
    assert_eq!(send(&mut worker, "Bearer t", None), "proof_required");
    assert_eq!(send(&mut worker, "Bearer t", Some(&proof("t", "4"))), "proof_required");
    worker.answer_with(testing::jwt(json!({"cnf": {"jkt": "another"}})));
    assert_eq!(send(&mut worker, "DPoP u", Some(&proof("u", "5"))), "confirmation_mismatch");
    worker.answer_with(testing::jwt(json!({})));
    assert_eq!(
        send(&mut worker, "DPoP v", Some(&proof("v", "6"))),
        "confirmation_mismatch",
        "not bound at all"
    );
    assert!(send(&mut worker, "Bearer v", None).starts_with("Bearer"));
    let names: [&[u8]; 2] = [b"DPoP", b"accept"];
    assert_eq!(worker.removed(&names), ["DPoP"], "the proof is for the gateway (R95)");
}

fn forged(proof: &str) -> String {
    let (message, _) = proof.rsplit_once('.').expect("a signature");
    format!("{message}.{}", "A".repeat(86))
}

/// If the signature of a proof were verified before the token is known, any client could make the gateway verify signatures
/// without a token.
#[test]
fn r120_a_proof_is_verified_last() {
    let mut worker = Worker::new(configuration("allowed"), &NoSharedData);
    worker.answer_status("204");
    assert_eq!(send(&mut worker, "DPoP t", Some(&forged(&proof("t", "1")))), "inactive");
    worker.answer_with(testing::jwt(json!({"cnf": {"jkt": "another"}})));
    assert_eq!(send(&mut worker, "DPoP u", Some(&forged(&proof("u", "2")))), "confirmation_mismatch");
    worker.answer_with(testing::jwt(json!({"exp": NOW - 60, "cnf": {"jkt": THUMBPRINT}})));
    assert_eq!(send(&mut worker, "DPoP v", Some(&forged(&proof("v", "3")))), "expired");
    worker.answer_with(bound());
    assert_eq!(send(&mut worker, "DPoP w", Some(&forged(&proof("w", "4")))), "invalid_dpop_proof");
    assert_eq!(send(&mut worker, "DPoP w", Some(&proof("w", "4"))), bearer(&bound()), "it was not used yet");
    assert_eq!(send(&mut worker, "DPoP w", Some(&forged(&proof("w", "4")))), "invalid_dpop_proof");
}

/// If invalid proofs for one token were unlimited, anyone who finds it could keep a worker busy; if those for one key locked others out, a
/// stolen token would be enough to stop all clients.
#[test]
fn r121_wrong_proofs_of_one_key_keep_only_that_key_out() {
    let mut worker = Worker::new(configuration("allowed"), &NoSharedData);
    worker.answer_with(bound());
    let mut outcomes = Vec::new();
    for number in 0..12 {
        outcomes.push(send(&mut worker, "DPoP t", Some(&forged(&proof("t", &number.to_string())))));
    }
    assert!(outcomes[..10].iter().all(|outcome| outcome == "invalid_dpop_proof"), "{outcomes:?}");
    assert!(outcomes[10..].iter().all(|outcome| outcome == "verification_limit"), "{outcomes:?}");
    assert_eq!(send(&mut worker, "DPoP t", Some(&proof("t", "good"))), "verification_limit");
    let key = ed25519();
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    worker.answer_with(testing::jwt(json!({"cnf": {"jkt": thumbprint}})));
    let other = proof_by("EdDSA", &key, "u", "other");
    assert!(send(&mut worker, "DPoP u", Some(&other)).starts_with("Bearer"));
}

/// If a full memory of proofs were reported as too many introspections, operators would raise the wrong limit.
#[test]
fn r123_a_key_beyond_its_room_is_refused_by_a_reason_of_its_own() {
    use sha2::Digest;
    let mut small = configuration("allowed");
    small["dpop"]["max_proofs"] = json!(1024);
    let mut worker = Worker::new(small, &NoSharedData);
    let (key, thumbprint) = (ed25519(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    worker.answer_with(testing::jwt(json!({"cnf": {"jkt": thumbprint}})));
    // Proofs that map to the first of 1024 slots, by a digest of key and `jti`.
    let digest = |id: &str| sha2::Sha256::digest(format!("{thumbprint}{id}"));
    let is_in_slot = |id: &String| digest(id).get(6..8).is_some_and(|bits| bits[0] & 3 == 0 && bits[1] == 0);
    let ids: Vec<String> = (0..50_000).map(|number| number.to_string()).filter(is_in_slot).take(8).collect();
    let outcomes = ids.iter().map(|id| send(&mut worker, "DPoP t", Some(&proof_by("EdDSA", &key, "t", id))));
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes[..7].iter().all(|outcome| outcome.starts_with("Bearer")), "{outcomes:?}");
    assert_eq!(outcomes[7], "dpop_proof_limit");
}

#[test]
fn dpop_is_off_unless_it_is_configured_and_can_be_required_by_server_or_rule() {
    let mut off = Worker::new(json!({"cache": {"shared": false}}), &NoSharedData);
    assert_eq!(send(&mut off, "DPoP t", Some(&proof("t", "1"))), "unsupported_scheme");
    off.answer_with(bound());
    assert_eq!(send(&mut off, "Bearer t", None), "proof_required");
    let mut required = Worker::new(configuration("required"), &NoSharedData);
    assert_eq!(send(&mut required, "Bearer t", None), "binding_required");
    required.answer_with(bound());
    assert!(send(&mut required, "DPoP t", Some(&proof("t", "1"))).starts_with("Bearer"));
    let mut by_rule = Worker::new(configuration("off"), &NoSharedData);
    assert!(send(&mut by_rule, "Bearer t", None).starts_with("Bearer"));
    assert_eq!(by_rule.request(0, "GET", "/strict", Some("Bearer t")), "binding_required");
    assert_eq!(by_rule.request(0, "GET", "/open", Some("DPoP t")), "removed");
    let errors =
        |edits: Value| testing::parse(&testing::configured(edits)).err().map(|found| found.to_string());
    assert_eq!(
        errors(json!({"token": {"dpop": "allowed"}})).as_deref(),
        Some("dpop: is required if tokens may be bound to a key")
    );
}

/// If a server's DPoP mode applied only where a rule names the server, its tokens would be bearer tokens everywhere else.
#[test]
fn r090_what_a_server_requires_is_required_wherever_its_tokens_are_taken() {
    use crate::testing::signer::{key_set, signed_jwt};
    let server = |name: &str, dpop: &str| {
        let host = format!("https://{name}.example.com");
        json!({
            "name": name, "token": {"issuer": host, "audience": ["orders-api"], "jwts": "verify", "dpop": dpop},
            "keys": {"jwks_uri": format!("{host}/jwks"), "upstream": name},
        })
    };
    let configuration = json!({
        "introspection": null,
        "authorization_servers": [server("staff", "off"), server("partners", "required")],
        "dpop": {"origins": ["https://api.example.com"], "shared": false},
    });
    let mut worker = Worker::new(configuration, &NoSharedData);
    worker.keys = key_set("k1");
    let token = |name: &str, edits: Value| {
        let mut claims = testing::claims();
        testing::merge(
            &mut claims,
            json!({"iss": format!("https://{name}.example.com"), "client_id": "app", "jti": "1"}),
        );
        testing::merge(&mut claims, edits);
        signed_jwt("k1", &claims)
    };
    let staff = token("staff", json!({}));
    assert_eq!(send(&mut worker, &bearer(&staff), None), bearer(&staff));
    assert_eq!(send(&mut worker, &bearer(&token("partners", json!({}))), None), "binding_required");
    let bound = token("partners", json!({"cnf": {"jkt": THUMBPRINT}}));
    assert_eq!(send(&mut worker, &format!("DPoP {bound}"), Some(&proof(&bound, "1"))), bearer(&bound));
    assert_eq!(send(&mut worker, &bearer(&bound), None), "proof_required");
}

#[test]
fn r014_r085_challenges_are_of_the_scheme_that_was_used_or_of_all_that_would_do() {
    let challenges = |mode: &str, authorization: Option<&str>| {
        let mut worker = Worker::new(configuration(mode), &NoSharedData);
        worker.answer_status("204");
        let authorization =
            authorization.map_or(Presented::Absent, |value| Presented::Once(value.as_bytes()));
        let head = RequestHead { method: b"GET", path: b"/orders", authorization, ..RequestHead::default() };
        let headers = worker.refusal(0, &head).headers.into_iter();
        let challenges = headers.filter(|(name, _)| *name == "www-authenticate");
        challenges.map(|(_, value)| value).collect::<Vec<_>>()
    };
    let (plain_bearer, plain_dpop) =
        (r#"Bearer realm="api""#, r#"DPoP realm="api", algs="ES256 EdDSA PS256 RS256""#);
    assert_eq!(challenges("off", None), [plain_bearer]);
    assert_eq!(challenges("allowed", None), [plain_bearer, plain_dpop]);
    assert_eq!(challenges("allowed", Some("Basic YTpi")).len(), 2);
    assert_eq!(challenges("required", None), [plain_dpop]);
    let texts = challenges("allowed", Some("Bearer t"));
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with(r#"Bearer realm="api", error="invalid_token""#), "{texts:?}");
    let texts = challenges("allowed", Some("DPoP t"));
    assert_eq!(texts.len(), 1);
    let expected = r#"DPoP realm="api", error="invalid_dpop_proof", error_description="The DPoP proof is missing or invalid", algs="ES256 EdDSA PS256 RS256""#;
    assert_eq!(texts[0], expected);
    let texts = challenges("required", Some("Bearer t"));
    assert!(texts.len() == 1 && texts[0].starts_with("DPoP "), "{texts:?}");
}

#[test]
fn r092_a_proof_without_the_nonce_is_answered_with_one() {
    let mut configuration = configuration("allowed");
    configuration["dpop"]["nonce_secret"] = json!("a-secret-of-thirty-two-bytes-or-more");
    let mut worker = Worker::new(configuration, &NoSharedData);
    let head = RequestHead {
        method: b"GET",
        path: b"/orders",
        authorization: Presented::Once(b"DPoP t"),
        ..RequestHead::default()
    };
    let text = proof("t", "1");
    let reply = worker.refusal(0, &RequestHead { dpop: Presented::Once(text.as_bytes()), ..head });
    let nonces: Vec<_> = reply.headers.iter().filter(|(name, _)| *name == "dpop-nonce").collect();
    assert_eq!(nonces.len(), 1);
    let challenge =
        reply.headers.iter().find(|(name, _)| *name == "www-authenticate").map(|(_, value)| value.as_str());
    assert!(challenge.is_some_and(|text| text.starts_with(r#"DPoP realm="api", error="use_dpop_nonce""#)));
}

#[test]
fn r096_a_certificate_bound_token_needs_its_certificate_on_every_request() {
    const DIGITS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let confirmation = json!({"cnf": {"x5t#S256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}});
    let send = |worker: &mut Worker<'_>, certificate: Option<&str>| {
        let head = RequestHead {
            method: b"GET",
            path: b"/",
            authorization: Presented::Once(b"Bearer t"),
            certificate: certificate.map(str::as_bytes),
            ..RequestHead::default()
        };
        worker.send(0, &head)
    };
    let mut worker = Worker::new(json!({"client_certificate": "connection"}), &NoSharedData);
    assert!(worker.driver.engine().required_attributes().certificate);
    worker.answer_with(testing::jwt(confirmation.clone()));
    for _ in 0..2 {
        assert!(send(&mut worker, Some(DIGITS)).starts_with("Bearer"));
        assert_eq!(send(&mut worker, None), "proof_required");
        assert_eq!(send(&mut worker, Some(&DIGITS.replace('e', "f"))), "proof_required");
    }
    assert_eq!(worker.introspections(), 1);
    let mut unaware = Worker::new(json!({}), &NoSharedData);
    unaware.answer_with(testing::jwt(confirmation));
    assert_eq!(send(&mut unaware, Some(DIGITS)), "proof_required");
}
