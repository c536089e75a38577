use serde_json::json;

use super::super::embedded_key::SelfSigned;
use super::*;
use crate::testing::signer::{ed25519, p256, p384, p521, public, rsa, sign};
use crate::testing::{self, test};

const ALGORITHMS: [&str; 11] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

fn set(keys: Value) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), Algorithm::ASYMMETRIC).expect("a set")
}

/// One key of each kind, named by its algorithm.
fn all_kinds() -> KeySet {
    set(json!([
        public(&rsa(), json!({"kid": "rsa"})),
        public(&p256(), json!({"kid": "p256", "use": "sig", "alg": "ES256"})),
        public(&p384(), json!({"kid": "p384", "key_ops": ["verify"]})),
        public(&p521(), json!({"kid": "p521"})),
        public(&ed25519(), json!({"kid": "ed25519"})),
    ]))
}

fn key_id(algorithm: &str) -> &'static str {
    match algorithm {
        "ES256" => "p256",
        "ES384" => "p384",
        "ES512" => "p521",
        "EdDSA" | "Ed25519" => "ed25519",
        _ => "rsa",
    }
}

fn verify(set: &KeySet, token: &str) -> Result<(), Unverified> {
    set.verify(&Jws::parse(token).expect("a JWS")).map(|_| ())
}

fn token(algorithm: &str, header: Value) -> String {
    let mut all = json!({"alg": algorithm});
    for (name, value) in header.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    sign(algorithm, &all, &testing::claims().to_string(), b"")
}

#[test]
fn r059_every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    let set = all_kinds();
    for algorithm in ALGORITHMS {
        for header in [json!({"kid": key_id(algorithm)}), json!({})] {
            let token = token(algorithm, header.clone());
            assert_eq!(verify(&set, &token), Ok(()), "{algorithm} {header}");
            let (message, signature) = token.rsplit_once('.').expect("a signature");
            let other = testing::jwt(json!({"sub": "mallory"}));
            let payload = other.split('.').nth(1).expect("a payload");
            let head = message.split('.').next().expect("a header");
            assert!(
                verify(&set, &format!("{head}.{payload}.{signature}")).is_err(),
                "{algorithm}: other claims"
            );
            for end in [1, signature.len() / 2, signature.len() - 4] {
                let cut = format!("{message}.{}", signature.get(..end / 4 * 4).unwrap_or_default());
                assert!(
                    Jws::parse(&cut).map_or(true, |jws| set.verify(&jws).is_err()),
                    "{algorithm}: {end} cut"
                );
            }
            let longer = format!("{message}.{signature}AAAA");
            assert!(Jws::parse(&longer).map_or(true, |jws| set.verify(&jws).is_err()), "{algorithm}: longer");
        }
    }
}

/// The example of RFC 7515 A.2 and A.3: signatures from another implementation.
#[test]
fn r059_the_examples_of_rfc_7515_verify() {
    let payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    assert_eq!(verify(&all_kinds(), &es256), Ok(()));
    assert_eq!(verify(&all_kinds(), &rs256), Ok(()));
}

/// If a public key could be taken for a secret, anyone who knows it could sign; if a key worked for every algorithm, an
/// attacker could choose the weakest.
#[test]
fn r060_a_key_verifies_its_own_kind_alone() {
    let modulus = rsa()["n"].as_str().expect("a modulus").to_owned();
    for secret in [modulus.as_bytes(), public(&rsa(), json!({})).to_string().as_bytes(), b""] {
        let forged =
            sign("HS256", &json!({"alg": "HS256", "kid": "rsa"}), &testing::claims().to_string(), secret);
        assert_eq!(verify(&all_kinds(), &forged), Err(Unverified::Refused));
    }
    for (algorithm, other) in
        [("ES256", "rsa"), ("RS256", "p256"), ("ES384", "p256"), ("ES512", "p384"), ("EdDSA", "p384")]
    {
        assert_eq!(
            verify(&all_kinds(), &token(algorithm, json!({"kid": other}))),
            Err(Unverified::Refused),
            "{algorithm}"
        );
    }
    let only_pss = set(json!([public(&rsa(), json!({"kid": "rsa", "alg": "PS256"}))]));
    assert_eq!(verify(&only_pss, &token("PS256", json!({"kid": "rsa"}))), Ok(()));
    assert_eq!(verify(&only_pss, &token("RS256", json!({"kid": "rsa"}))), Err(Unverified::Refused));
    let either_name = set(json!([public(&ed25519(), json!({"kid": "ed25519", "alg": "EdDSA"}))]));
    assert_eq!(verify(&either_name, &token("Ed25519", json!({"kid": "ed25519"}))), Ok(()));
}

#[test]
fn r059_an_algorithm_that_is_not_allowed_does_not_verify() {
    let keys = json!({"keys": [public(&rsa(), json!({}))]}).to_string();
    let set = KeySet::parse(keys.as_bytes(), &[Algorithm::Ps256]).expect("a set");
    assert_eq!(verify(&set, &token("PS256", json!({}))), Ok(()));
    assert_eq!(verify(&set, &token("RS256", json!({}))), Err(Unverified::Refused));
    let odd = testing::jws(r#"{"alg":"ES256K"}"#, &testing::claims().to_string());
    assert_eq!(verify(&set, &odd), Err(Unverified::Refused));
}

/// If a token could bring its own key, any client could sign one.
#[test]
fn r062_a_token_does_not_choose_its_key() {
    let only_rsa = set(json!([public(&rsa(), json!({"kid": "rsa"}))]));
    let own = public(&p256(), json!({"kid": "rsa"}));
    for header in [
        json!({"kid": "rsa", "jwk": own}),
        json!({"kid": "rsa", "jku": "https://evil.example.com/jwks"}),
        json!({"kid": "rsa", "x5u": "https://evil.example.com/x5u"}),
        json!({"kid": "rsa", "x5c": ["MIIB"]}),
    ] {
        assert_eq!(verify(&only_rsa, &token("ES256", header.clone())), Err(Unverified::Refused), "{header}");
    }
    let header = json!({"kid": "rsa", "jwk": own, "jku": "https://evil.example.com/jwks"});
    assert_eq!(verify(&only_rsa, &token("RS256", header)), Ok(()), "what it says is not looked at");
}

#[test]
fn r063_an_unknown_key_is_distinguished_from_a_wrong_signature() {
    let set = all_kinds();
    assert_eq!(verify(&set, &token("ES256", json!({"kid": "new"}))), Err(Unverified::UnknownKey));
    let forged = testing::jws(r#"{"alg":"ES256","kid":"p256"}"#, "{}");
    assert_eq!(verify(&set, &forged), Err(Unverified::Refused));
    // Without a `kid`, any key may be meant, even one of a newer set. Only a few are tried.
    let nameless = testing::jws(r#"{"alg":"ES256"}"#, "{}");
    assert_eq!(verify(&set, &nameless), Err(Unverified::UnknownKey));
    let point = |index: u8| {
        let key = p256::ecdsa::SigningKey::from_slice(&[index; 32]).expect("a key");
        let point = key.verifying_key().to_encoded_point(false);
        let part = |part: Option<&p256::FieldBytes>| {
            use base64::Engine;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.expect("a coordinate"))
        };
        json!({"kty": "EC", "crv": "P-256", "x": part(point.x()), "y": part(point.y())})
    };
    let mut many: Vec<Value> = (1..=MAX_ATTEMPTS as u8).map(point).collect();
    many.push(public(&p256(), json!({})));
    assert_eq!(verify(&self::set(json!(many)), &token("ES256", json!({}))), Err(Unverified::UnknownKey));
    many.rotate_right(1);
    assert_eq!(verify(&self::set(json!(many)), &token("ES256", json!({}))), Ok(()));
    // With a `kid`, the last of a hundred keys is found.
    let named = |index: u8| public(&point(index), json!({"kid": index.to_string()}));
    let mut hundred: Vec<Value> = (1..=100).map(named).collect();
    hundred.push(public(&p256(), json!({"kid": "good"})));
    assert_eq!(verify(&self::set(json!(hundred)), &token("ES256", json!({"kid": "good"}))), Ok(()));
}

/// If a weak or odd key were taken, its owner, or an attacker who broke it, could sign. If it were left out silently, operators
/// would look for the fault in the tokens.
#[test]
fn r065_r152_keys_of_no_use_are_left_out_and_the_set_says_why() {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let good = public(&p256(), json!({"kid": "good"}));
    let modulus = |bytes: usize| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = 0xfd;
        json!({"kty": "RSA", "kid": "odd", "e": "AQAB", "n": encode(&modulus)})
    };
    let odd = |key: &Value, edits: Value| {
        let mut key = public(key, json!({"kid": "odd"}));
        testing::merge(&mut key, edits);
        key
    };
    let of_an_unknown_kind = "its kty is unknown";
    let malformed = "a member is malformed";
    let off_curve = "no point of its curve";
    for (key, reason) in [
        (json!({"kty": "XYZ", "kid": "odd"}), of_an_unknown_kind),
        // FROST, ML-DSA and other new kinds (RFC 7517 §5: unknown `kty` values are ignored).
        (json!({"kty": "AKP", "kid": "odd", "alg": "ML-DSA-44", "pub": "AA"}), of_an_unknown_kind),
        (json!({"kid": "odd"}), of_an_unknown_kind),
        (json!({"kty": null}), of_an_unknown_kind),
        (json!({"kty": 5}), malformed),
        (json!("odd"), "no JSON object"),
        (json!(null), "no JSON object"),
        (
            json!({"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "kid": "odd"}),
            "a symmetric key, which must not be published",
        ),
        // Keycloak publishes one of these in every realm.
        (odd(&rsa(), json!({"use": "enc", "alg": "RSA-OAEP"})), "its use is not sig"),
        (odd(&p256(), json!({"use": ["sig"]})), malformed),
        (odd(&p256(), json!({"key_ops": ["sign"]})), "its key_ops lack verify"),
        (odd(&p256(), json!({"key_ops": "verify"})), "its key_ops lack verify"),
        (odd(&p256(), json!({"alg": "ECDH-ES"})), "its alg is unknown"),
        (odd(&p256(), json!({"alg": "SHA256withECDSA"})), "its alg is unknown"),
        (odd(&p256(), json!({"alg": 7})), malformed),
        (odd(&p256(), json!({"alg": "RS256"})), "its alg does not match its kty or crv"),
        (odd(&rsa(), json!({"alg": "HS256"})), "its alg does not match its kty or crv"),
        (odd(&p384(), json!({"alg": "ES256"})), "its alg does not match its kty or crv"),
        (odd(&p256(), json!({"crv": "secp256k1"})), "its crv is unknown"),
        (odd(&ed25519(), json!({"crv": "X25519"})), "its crv is unknown"),
        (odd(&ed25519(), json!({"crv": "Ed448"})), "its crv is unknown"),
        (odd(&p256(), json!({"x": null})), malformed),
        (odd(&rsa(), json!({"e": 65537})), malformed),
        (json!({"kty": "RSA", "kid": "odd", "x5c": ["MIIB"]}), malformed),
        (odd(&p256(), json!({"x": encode(&[1; 32])})), off_curve),
        (odd(&p256(), json!({"x": encode(&[1; 31])})), off_curve),
        (odd(&p384(), json!({"y": encode(&[1; 48])})), off_curve),
        (odd(&p384(), json!({"y": encode(&[1; 49])})), off_curve),
        (odd(&p521(), json!({"y": encode(&[1; 66])})), off_curve),
        (odd(&p521(), json!({"y": encode(&[1; 65])})), off_curve),
        (odd(&ed25519(), json!({"x": encode(&[1; 33])})), off_curve),
        // The neutral point, for which signatures can be forged.
        (odd(&ed25519(), json!({"x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})), off_curve),
        (modulus(128), "RSA of less than 2048 bits"),
        (modulus(255), "RSA of less than 2048 bits"),
        (modulus(1025), "RSA of too many bits"),
        (odd(&rsa(), json!({"e": "AA"})), "no key of RSA"),
        (odd(&rsa(), json!({"e": "AQ"})), "no key of RSA"),
    ] {
        let set = set(json!([good, key]));
        let kid = key.get("kid").and_then(Value::as_str).map(str::to_owned);
        assert_eq!(set.unusable_keys(), [UnusableKey { index: 1, kid, reason }], "{key}");
        assert_eq!(set.len(), 1, "{key}");
        assert_eq!(verify(&set, &token("ES256", json!({"kid": "good"}))), Ok(()));
        assert!(self::set(json!([key])).is_empty(), "{key}");
    }
    let only_es256 = json!({"keys": [public(&rsa(), json!({}))]}).to_string();
    let only_es256 = KeySet::parse(only_es256.as_bytes(), &[Algorithm::Es256]).expect("a set");
    assert_eq!(only_es256.unusable_keys()[0].reason, "it fits no algorithm of keys.algorithms");
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(KeySet::parse(text.as_bytes(), Algorithm::ASYMMETRIC).is_err(), "{text}");
    }
    // A private key that was published by mistake still verifies, by its public part.
    let careless = set(json!([p256()]));
    assert_eq!(verify(&careless, &token("ES256", json!({}))), Ok(()));
}

/// If a member that plays no part in verification left a key out, all tokens that the key signed would be refused.
#[test]
fn r152_what_says_nothing_of_the_key_leaves_none_out() {
    for edits in [
        json!({"x5t": "not base64url!", "x5t#S256": "", "x5c": "no list", "x5u": 5}),
        json!({"kid": null, "use": null, "key_ops": null, "alg": null}),
        json!({"kid": 5}),
        json!({"kid": {"a": 1}}),
        json!({"kid": "", "use": "", "alg": ""}),
        json!({"key_ops": ["verify", "sign", 5]}),
        json!({"n": 5, "e": null, "d": [], "issuer": "https://login.example.com", "exp": 1}),
    ] {
        let set = set(json!([public(&p256(), edits.clone())]));
        assert_eq!(set.unusable_keys(), [], "{edits}");
        assert_eq!(verify(&set, &token("ES256", json!({}))), Ok(()), "{edits}");
    }
}

/// The numbers of a key, as servers write them. If these counted as malformed, half of the keys of some libraries would be left out:
/// whether a number begins with a zero, or with a set bit, is decided when a key is made.
#[test]
fn r157_a_number_means_itself_however_it_is_written() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    let bytes = |key: &Value, name: &str| {
        URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a text")).expect("base64url")
    };
    let prefixed = |key: &Value, name: &str| URL_SAFE_NO_PAD.encode([&[0], &*bytes(key, name)].concat());
    let (y, shorter) = (bytes(&p521(), "y"), URL_SAFE_NO_PAD.encode(&bytes(&p521(), "y")[1..]));
    assert_eq!(y[0], 0);
    for (algorithm, jwk, edits, source) in [
        ("RS256", rsa(), json!({"n": prefixed(&rsa(), "n")}), "MicahParks/jwkset#23: Firebase"),
        ("PS256", rsa(), json!({"e": "AAEAAQ"}), "cloudfoundry/uaa#449"),
        ("RS256", rsa(), json!({"n": STANDARD.encode(bytes(&rsa(), "n"))}), "IdentityServer3#732"),
        ("RS256", rsa(), json!({"n": URL_SAFE.encode(bytes(&rsa(), "n"))}), "w3c-ccg/did-key-spec#73"),
        ("ES256", p256(), json!({"y": prefixed(&p256(), "y")}), "MicahParks/jwkset#18"),
        ("ES384", p384(), json!({"x": prefixed(&p384(), "x"), "y": prefixed(&p384(), "y")}), "likewise"),
        ("ES512", p521(), json!({"y": shorter}), "keycloak/keycloak#14933, jpadilla/pyjwt#709"),
        ("EdDSA", ed25519(), json!({"x": STANDARD.encode(bytes(&ed25519(), "x"))}), "padded"),
    ] {
        let written = set(json!([public(&jwk, edits)]));
        assert_eq!(verify(&written, &token(algorithm, json!({}))), Ok(()), "{source}");
        assert_eq!(
            written.digest(),
            set(json!([public(&jwk, json!({}))])).digest(),
            "the same key: {source}"
        );
    }
    // An Ed25519 key is not a number but 32 bytes: none are left out or added.
    let key = public(&ed25519(), json!({"x": prefixed(&ed25519(), "x")}));
    assert_eq!(set(json!([key])).unusable_keys()[0].reason, "no point of its curve");
}

/// RFC 7518 §3.3: "a key of size 2048 bits or larger". If a size were missing here, all tokens of a server that has such a key would be
/// refused. The keys and the signatures are OpenSSL's.
#[test]
fn r150_keys_of_rsa_verify_whatever_their_size() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("rsa_keys.json")).expect("JSON");
    assert!(rows.len() > 5);
    for row in rows {
        let key = json!({"kty": "RSA", "n": row["n"], "e": row["e"]});
        for token in row["tokens"].as_array().expect("tokens") {
            let token = token.as_str().expect("a token");
            let (message, signature) = token.rsplit_once('.').expect("a signature");
            assert_eq!(verify(&set(json!([key])), token), Ok(()), "{}", row["bits"]);
            let mut forged = signature.chars().rev().collect::<String>();
            forged.truncate(signature.len());
            let forged = format!("{message}.{forged}");
            let verified = Jws::parse(&forged).map(|jws| set(json!([key])).verify(&jws));
            assert!(!matches!(verified, Ok(Ok(_))), "{}", row["bits"]);
        }
    }
}

/// The cost of a key that does not verify, and the size limit of a client's own key: the client chooses how long each of its requests
/// takes.
#[test]
fn r150_r154_a_large_key_costs_more_and_is_not_the_clients_to_choose() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("rsa_keys.json")).expect("JSON");
    let costs = rows.iter().map(|row| {
        let key = json!({"kty": "RSA", "n": row["n"], "e": row["e"]});
        let forged = token("RS256", json!({}));
        let jws = Jws::parse(&forged).expect("a JWS");
        assert!(set(json!([key])).verify(&jws).is_err());
        let header = json!({"alg": "RS256", "typ": "dpop+jwt", "jwk": key});
        let proof = testing::jws(&header.to_string(), "{}");
        let proof = Jws::parse(&proof).expect("a JWS");
        let proof = SelfSigned::read(&proof, Algorithm::ASYMMETRIC).expect("a key");
        (jws.failed_verifications(), proof.verify())
    });
    // 2049, 2056, 2560, 3000, 6144 and 8192 bits.
    let expected = [(1, 1), (1, 1), (1, 1), (2, 2), (9, 1), (16, 1)];
    assert_eq!(costs.collect::<Vec<_>>(), expected.map(|(cost, own)| (cost, Err(own))));
}

/// `kid` is a hint (RFC 7515 §4.1.4), and keys need none (RFC 7517 §4.5). If it were more, the tokens of servers that name their key in
/// the token alone would be refused; if it were nothing, each forged token would cost as many verifications as there are keys.
#[test]
fn r151_kid_is_a_hint() {
    let key = |edits: Value| public(&p256(), edits);
    let other = |edits: Value| {
        let key = p256::ecdsa::SigningKey::from_slice(&[3; 32]).expect("a key");
        let point = key.verifying_key().to_encoded_point(false);
        let part = |part: Option<&p256::FieldBytes>| {
            use base64::Engine;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.expect("a coordinate"))
        };
        public(&json!({"kty": "EC", "crv": "P-256", "x": part(point.x()), "y": part(point.y())}), edits)
    };
    let good = Ok(());
    let (unknown, refused) = (Err(Unverified::UnknownKey), Err(Unverified::Refused));
    for (keys, header, expected, failed, source) in [
        (json!([key(json!({}))]), json!({"kid": "a"}), good, 0, "google/jwt_verify_lib#65"),
        (json!([key(json!({"kid": null}))]), json!({"kid": "a"}), good, 0, "jpadilla/pyjwt#857"),
        (json!([key(json!({"kid": 1}))]), json!({"kid": "1"}), good, 0, "MicahParks/keyfunc#138"),
        (json!([key(json!({"kid": ""}))]), json!({"kid": "a"}), good, 0, "an empty name is none"),
        (json!([key(json!({"kid": "a"}))]), json!({"kid": ""}), good, 0, "likewise"),
        (json!([key(json!({"kid": "a"}))]), json!({"kid": null}), good, 0, "null is absent"),
        (json!([key(json!({"kid": "a"}))]), json!({}), good, 0, "R63"),
        (json!([key(json!({"kid": "a"}))]), json!({"kid": "A"}), unknown, 0, "case counts (RFC 7517 §4.5)"),
        (
            json!([other(json!({})), key(json!({"kid": "a"}))]),
            json!({"kid": "a"}),
            good,
            0,
            "the named one first",
        ),
        (
            json!([other(json!({"kid": "a"})), key(json!({}))]),
            json!({"kid": "a"}),
            good,
            1,
            "then those without",
        ),
        (
            json!([other(json!({"kid": "a"})), key(json!({"kid": "b"}))]),
            json!({"kid": "a"}),
            refused,
            1,
            "R63",
        ),
        (json!([other(json!({}))]), json!({"kid": "a"}), unknown, 1, "a newer set may have it"),
        (json!(vec![other(json!({})); 9]), json!({"kid": "a"}), unknown, 4, "a few are tried"),
        (json!([public(&rsa(), json!({}))]), json!({"kid": "a"}), unknown, 0, "of those that fit"),
    ] {
        let token = token("ES256", header.clone());
        let jws = Jws::parse(&token).expect("a JWS");
        let verified = set(keys).verify(&jws).map(|_| ());
        assert_eq!((verified, jws.failed_verifications()), (expected, failed), "{header}: {source}");
    }
}

/// If two different sets had the same digest, signatures verified by one would count for the other.
#[test]
fn r052_a_digest_tells_keys_apart_and_not_their_order() {
    let one = public(&p256(), json!({"kid": "a"}));
    let other = public(&ed25519(), json!({"kid": "b"}));
    let digest = |keys: Value| set(keys).digest();
    assert_eq!(digest(json!([one, other])), digest(json!([other, one])));
    assert_ne!(digest(json!([one])), digest(json!([one, other])));
    assert_ne!(digest(json!([one])), digest(json!([public(&p256(), json!({"kid": "b"}))])));
    let secret = |text: &str| KeySet::of_secret(&Secret::new(text.repeat(32))).expect("strong").digest();
    assert_ne!(secret("a"), secret("b"));
}

#[test]
fn r073_a_secret_has_256_bits_and_is_for_hs256_alone() {
    assert!(KeySet::of_secret(&Secret::new("x".repeat(31))).is_none());
    let secret = "x".repeat(32);
    let set = KeySet::of_secret(&Secret::new(&*secret)).expect("strong");
    let payload = testing::claims().to_string();
    for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "any"})] {
        assert_eq!(verify(&set, &sign("HS256", &header, &payload, secret.as_bytes())), Ok(()), "{header}");
    }
    let other = sign("HS256", &json!({"alg": "HS256"}), &payload, b"another-secret-of-32-bytes-or-so");
    assert!(verify(&set, &other).is_err());
    assert_eq!(verify(&set, &token("ES256", json!({}))), Err(Unverified::Refused));
    assert!(!format!("{set:?}").contains(&secret));
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn no_set_makes_it_panic(text in r#"\{"keys":\[\{("(kty|n|e|crv|x|y|use|alg)":"[A-Za-z0-9_-]{0,9}",?){0,6}\}\]\}"#) {
        let _ = KeySet::parse(text.as_bytes(), Algorithm::ASYMMETRIC);
    }
}
