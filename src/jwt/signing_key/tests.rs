use serde_json::json;

use super::*;
use crate::jwt::{Algorithm, Jws, KeySet};
use crate::testing::signer::{ed25519, p256, public, rsa};
use crate::testing::test;

fn read(text: &str, id: Option<&str>) -> Result<SigningKey, &'static str> {
    SigningKey::read(&Secret::new(text), id.map(str::to_owned))
}

#[test]
fn what_it_signs_its_public_key_verifies() {
    for (jwk, algorithm) in [(p256(), "ES256"), (ed25519(), "EdDSA"), (rsa(), "RS256")] {
        let key = read(&jwk.to_string(), Some("k")).expect("a key");
        let claims = json!({"iss": "gateway"}).as_object().cloned().expect("an object");
        let jwt = key.sign("JWT", claims).expect("a JWT");
        let keys = json!({"keys": [public(&jwk, json!({"kid": "k"}))]}).to_string();
        let keys =
            KeySet::parse(keys.as_bytes(), &[Algorithm::named(algorithm).expect("a name")]).expect("a set");
        let jws = Jws::parse(&jwt).expect("a JWS");
        assert_eq!(keys.verify(&jws).map(|_| ()), Ok(()), "{algorithm}");
        assert_eq!((jws.key_id(), jws.issuer()), (Some("k"), Some("gateway")));
    }
}

/// Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` and `-algorithm ED25519`.
#[test]
fn a_key_can_be_pem() {
    let p256 = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n";
    let ed25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    for pem in [p256, ed25519] {
        let key = read(pem, None).expect("a key");
        let jwt = key.sign("JWT", Map::new()).expect("a JWT");
        assert_eq!(Jws::parse(&jwt).expect("a JWS").key_id(), None);
    }
}

#[test]
fn r110_what_is_no_key_is_not_shown() {
    let mut weak = rsa();
    weak["n"] = json!("AQAB");
    for text in [
        "",
        "s3cr3t",
        "{}",
        r#"{"kty":"oct","k":"AAAA"}"#,
        &public(&p256(), json!({})).to_string(),
        &weak.to_string(),
    ] {
        let error = read(text, None).err().unwrap_or_else(|| panic!("no key: {text}"));
        assert!(text.is_empty() || !error.contains(text));
    }
    let key = read(&p256().to_string(), None).expect("a key");
    assert_eq!(format!("{key:?}"), "[hidden]");
    let named =
        read(&public(&p256(), json!({"kid": "own", "d": p256()["d"]})).to_string(), None).expect("a key");
    let jwt = named.sign("JWT", Map::new()).expect("a JWT");
    assert_eq!(Jws::parse(&jwt).expect("a JWS").key_id(), Some("own"));
}
