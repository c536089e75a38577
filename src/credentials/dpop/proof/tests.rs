use std::time::Duration;

use serde_json::json;

use super::*;
use crate::credentials::dpop::NonceKey;
use crate::json::Object;
use crate::jwt::Algorithm;
use crate::secret::Secret;
use crate::testing::signer::{ed25519, p256, public, rsa, sign};
use crate::testing::{NOW, at, merge, test};

const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

fn settings() -> DpopSettings {
    DpopSettings {
        origins: vec!["https://resource.example.org".to_owned()],
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256],
        max_age: Duration::from_secs(60),
        max_proofs: 1024,
        shared: true,
        nonce: None,
    }
}

fn payload() -> Value {
    json!({
        "jti": "1", "htm": "GET", "htu": "https://resource.example.org/protectedresource", "iat": NOW,
        "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
    })
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": public(&p256(), json!({}))})
}

fn check_with(text: &str, settings: &DpopSettings, seconds: u64, path: &str) -> Result<String, Reason> {
    let head = RequestHead {
        method: b"GET",
        authority: b"resource.example.org",
        path: path.as_bytes(),
        dpop: Presented::Once(text.as_bytes()),
        ..RequestHead::default()
    };
    let token = AccessToken::alone(TOKEN.as_bytes(), crate::testing::TOKEN_SYNTAX)?;
    checked(UnverifiedProof::read(&head, token, settings, at(seconds))?)
}

/// Returns the thumbprint of the key, if the signature is valid.
fn checked(proof: UnverifiedProof) -> Result<String, Reason> {
    let bound = proof.for_token(&bound_to(proof.thumbprint()))?;
    bound.verify().map(|_| proof.thumbprint().to_owned()).map_err(|_| Reason::InvalidDpopProof)
}

fn bound_to(thumbprint: &str) -> Confirmation {
    let claims = json!({"cnf": {"jkt": thumbprint}});
    Confirmation::read(&Object::of(&claims).expect("an object")).expect("a binding")
}

fn check(header: Value, payload: Value) -> Result<String, Reason> {
    let algorithm = header["alg"].as_str().unwrap_or("ES256").to_owned();
    let algorithm = if ["ES256", "EdDSA", "PS256", "RS256", "HS256"].contains(&&*algorithm) {
        algorithm
    } else {
        "ES256".to_owned()
    };
    let text = sign(&algorithm, &header, &payload.to_string(), b"x");
    check_with(&text, &settings(), 0, "/protectedresource?q=1")
}

fn edited(mut value: Value, edits: Value) -> Value {
    merge(&mut value, edits);
    value
}

/// RFC 7519 §4.1.4 and §4.1.5 apply to every JWT: a client whose proofs expire sooner than the gateway's limit expects that to count.
/// Members that have no part in a proof are ignored.
#[test]
fn r155_r158_the_dates_of_a_proof_count_and_what_is_not_used_does_not() {
    for (header_edits, claim_edits, is_right) in [
        (json!({}), json!({"exp": NOW + 1, "nbf": NOW}), true),
        (json!({}), json!({"exp": NOW - 4}), true),
        (json!({}), json!({"nbf": NOW + 5}), true),
        (json!({}), json!({"exp": NOW as f64 + 0.5, "iat": NOW as f64 - 0.5}), true),
        (json!({}), json!({"exp": 1e300, "nbf": -1}), true),
        (
            json!({"x5t": "hex", "cty": 5, "kid": 1, "jku": []}),
            json!({"iss": 5, "aud": {}, "sub": null}),
            true,
        ),
        (json!({}), json!({"exp": NOW - 5}), false),
        (json!({}), json!({"exp": NOW - 3600}), false),
        (json!({}), json!({"exp": 0}), false),
        (json!({}), json!({"nbf": NOW + 6}), false),
        (json!({}), json!({"nbf": NOW + 3600}), false),
        (json!({}), json!({"exp": "later"}), false),
        (json!({}), json!({"nbf": [NOW]}), false),
        (json!({}), json!({"iat": NOW.to_string()}), false),
        (json!({"typ": ["dpop+jwt"]}), json!({}), false),
        (json!({"crit": ["exp"]}), json!({}), false),
    ] {
        let proof = check(edited(header(), header_edits.clone()), edited(payload(), claim_edits.clone()));
        let expected = if is_right { None } else { Some(Reason::InvalidDpopProof) };
        assert_eq!(proof.err(), expected, "{header_edits} {claim_edits}");
    }
    let null = payload().to_string().replacen('{', r#"{"exp":null,"nbf":null,"#, 1);
    let text = sign("ES256", &header(), &null, b"");
    assert!(check_with(&text, &settings(), 0, "/protectedresource").is_ok(), "null is absent");
}

/// The example of RFC 9449 §7.1: the token, the proof, and the thumbprint that §6.1 binds the token to.
#[test]
fn r086_r088_the_example_of_rfc_9449_is_right() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let head = RequestHead {
        method: b"GET",
        authority: b"resource.example.org",
        path: b"/protectedresource",
        dpop: Presented::Once(proof.as_bytes()),
        ..RequestHead::default()
    };
    let token = AccessToken::alone(TOKEN.as_bytes(), crate::testing::TOKEN_SYNTAX).expect("a token");
    let then = Timestamp::from_millis(1_562_262_618_000);
    let proof = UnverifiedProof::read(&head, token, &settings(), then).expect("a proof");
    assert_eq!(checked(proof).as_deref(), Ok("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"));
}

#[test]
fn r086_each_algorithm_that_is_allowed_proves_its_own_key() {
    for (algorithm, jwk) in [("ES256", p256()), ("EdDSA", ed25519()), ("PS256", rsa())] {
        let header = json!({"alg": algorithm, "typ": "dpop+jwt", "jwk": public(&jwk, json!({}))});
        assert!(check(header, payload()).is_ok(), "{algorithm}");
    }
    // RFC 8037 A.3.
    let header = json!({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": public(&ed25519(), json!({}))});
    assert_eq!(check(header, payload()).as_deref(), Ok("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
}

/// If any of these were accepted, a proof for another request, or one by another key, would do for this request.
#[test]
fn r086_r088_whatever_is_not_right_is_no_proof() {
    for edits in [
        json!({"typ": "JWT"}),
        json!({"typ": null}),
        json!({"alg": "RS256", "jwk": public(&rsa(), json!({}))}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
        json!({"jwk": null}),
        json!({"jwk": p256()}),
        json!({"jwk": public(&p256(), json!({"k": "AAAA"}))}),
        json!({"jwk": public(&rsa(), json!({}))}),
        json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"crit": ["x"]}),
    ] {
        assert_eq!(
            check(edited(header(), edits.clone()), payload()).err(),
            Some(Reason::InvalidDpopProof),
            "{edits}"
        );
    }
    for edits in [
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"jti": 5}),
        json!({"htm": null}),
        json!({"htm": "POST"}),
        json!({"htm": "get"}),
        json!({"htu": null}),
        json!({"htu": "https://resource.example.org/other"}),
        json!({"htu": "https://other.example.org/protectedresource"}),
        json!({"htu": "http://resource.example.org/protectedresource"}),
        json!({"htu": "https://resource.example.org:8443/protectedresource"}),
        json!({"htu": "https://u@resource.example.org/protectedresource"}),
        json!({"htu": "/protectedresource"}),
        json!({"htu": "https://resource.example.org/ProtectedResource"}),
        json!({"htu": "https://resource.example.org/protectedresource/"}),
        json!({"htu": "https://resource.example.org/x/../protectedresource"}),
        json!({"iat": null}),
        json!({"iat": NOW + 6}),
        json!({"iat": NOW - 61}),
        json!({"ath": null}),
        json!({"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp"}),
    ] {
        assert_eq!(
            check(header(), edited(payload(), edits.clone())).err(),
            Some(Reason::InvalidDpopProof),
            "{edits}"
        );
    }
    let good = sign("ES256", &header(), &payload().to_string(), b"");
    for text in [
        "",
        "a.b.c",
        good.get(..good.len() - 2).unwrap_or_default(),
        &format!("{good},{good}"),
        &format!("{good} "),
    ] {
        assert_eq!(
            check_with(text, &settings(), 0, "/protectedresource").err(),
            Some(Reason::InvalidDpopProof)
        );
    }
    let other = sign("ES256", &header(), &edited(payload(), json!({"jti": "2"})).to_string(), b"");
    let (_, signature) = other.rsplit_once('.').expect("a signature");
    let (message, _) = good.rsplit_once('.').expect("a signature");
    assert!(check_with(&format!("{message}.{signature}"), &settings(), 0, "/protectedresource").is_err());
    for dpop in [Presented::Absent, Presented::Repeated] {
        let head =
            RequestHead { method: b"GET", path: b"/protectedresource", dpop, ..RequestHead::default() };
        let token = AccessToken::alone(TOKEN.as_bytes(), crate::testing::TOKEN_SYNTAX).expect("a token");
        let read = UnverifiedProof::read(&head, token, &settings(), at(0));
        assert_eq!(read.err(), Some(Reason::InvalidDpopProof));
    }
}

#[test]
fn r087_the_uri_is_compared_as_uris_are() {
    for (htu, path, expected) in [
        ("HTTPS://Resource.Example.ORG:443/a", "/a", true),
        ("https://resource.example.org/a?x=1#y", "/a?z", true),
        ("https://resource.example.org", "/", true),
        ("https://resource.example.org/%7Ealice", "/~alice", true),
        ("https://resource.example.org/~alice", "/%7ealice", true),
        ("https://resource.example.org/a%3ab", "/a%3Ab", true),
        ("https://resource.example.org/a%2fb", "/a/b", false),
        ("https://resource.example.org/a%3Ab", "/a:b", false),
        ("https://resource.example.org/a%zz", "/a%ZZ", false),
    ] {
        let text = sign("ES256", &header(), &edited(payload(), json!({"htu": htu})).to_string(), b"");
        assert_eq!(check_with(&text, &settings(), 0, path).is_ok(), expected, "{htu} {path}");
    }
}

/// If a proof for one of two hosts were valid for the other, the service at the first could reuse it at the second.
#[test]
fn r087_of_several_origins_the_requested_one_counts() {
    let mut two = settings();
    two.origins.push("https://other.example.org".to_owned());
    let text = sign("ES256", &header(), &payload().to_string(), b"");
    assert!(check_with(&text, &two, 0, "/protectedresource").is_ok());
    let other = edited(payload(), json!({"htu": "https://other.example.org/protectedresource"}));
    let text = sign("ES256", &header(), &other.to_string(), b"");
    assert!(check_with(&text, &two, 0, "/protectedresource").is_err(), "resource.example.org was asked");
}

/// If the proof's key did not have to match the token's, any client could make the gateway verify signatures. The nonce is checked before
/// the signature as well.
#[test]
fn r120_a_proof_is_verified_for_a_token_of_its_key_alone() {
    let text = sign("ES256", &header(), &payload().to_string(), b"");
    let head = RequestHead {
        method: b"GET",
        authority: b"resource.example.org",
        path: b"/protectedresource",
        dpop: Presented::Once(text.as_bytes()),
        ..RequestHead::default()
    };
    let token = AccessToken::alone(TOKEN.as_bytes(), crate::testing::TOKEN_SYNTAX).expect("a token");
    let proof = UnverifiedProof::read(&head, token, &settings(), at(0)).expect("a proof");
    for other in [Confirmation::default(), bound_to("another")] {
        assert_eq!(proof.for_token(&other).err(), Some(Reason::ConfirmationMismatch));
    }
    let (message, _) = text.rsplit_once('.').expect("a signature");
    let forged = format!("{message}.{}", "A".repeat(86));
    let key = NonceKey::new(Secret::new("x".repeat(32)), Duration::from_secs(60));
    let required = DpopSettings { nonce: Some(key), ..settings() };
    assert_eq!(check_with(&forged, &required, 0, "/protectedresource"), Err(Reason::UseDpopNonce));
}

#[test]
fn r092_once_required_a_nonce_is_the_gateways_own_and_of_now() {
    let key = NonceKey::new(Secret::new("x".repeat(32)), Duration::from_secs(60));
    let required = DpopSettings { nonce: Some(key.clone()), max_age: Duration::from_secs(300), ..settings() };
    let with = |nonce: Value, seconds: u64| {
        let text = sign("ES256", &header(), &edited(payload(), json!({"nonce": nonce})).to_string(), b"");
        check_with(&text, &required, seconds, "/protectedresource").err()
    };
    let nonce = key.nonce(at(0));
    assert_eq!(with(json!(nonce), 0), None);
    assert_eq!(with(json!(nonce), 60), None, "a minute later it is the last one");
    assert_eq!(with(json!(nonce), 180), Some(Reason::UseDpopNonce));
    let other = NonceKey::new(Secret::new("y".repeat(32)), Duration::from_secs(60)).nonce(at(0));
    for nonce in [json!(null), json!(""), json!("made-up"), json!(other), json!(5)] {
        assert_eq!(with(nonce.clone(), 0), Some(Reason::UseDpopNonce), "{nonce}");
    }
    assert_ne!(key.nonce(at(0)), key.nonce(at(60)));
    assert!(!format!("{key:?}").contains('x'));
}
