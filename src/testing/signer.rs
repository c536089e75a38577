//! Signing keys for tests. The private keys are those of RFC 7515 A.2 to A.4 and RFC 8037 A.1, and a P-384 key that is just as
//! public.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Rsa, RsaPrivateKey};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as _, AlgorithmSignature as _};
use p384::ecdsa::signature::Signer as _;
use p521::ecdsa::signature::RandomizedSigner as _;
use p521::elliptic_curve::rand_core::{CryptoRng, Error, RngCore};
use serde_json::{Value, json};

/// The private JWK of RFC 7515 A.3.1.
pub(crate) fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// The private JWK of RFC 8037 A.1.
pub(crate) fn ed25519() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// The private JWK of RFC 7515 A.2.1, of 2048 bits.
pub(crate) fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "p": "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "q": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "dp": "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "dq": "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "qi": "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuMCU63mZxYRkuwv9hXSVBQ0JCBTJtCSDGpUqoxX2E2f16AzZ_fsoYuAvZ7SKBVHiU7ubp3eO8wHo_B6cWBtpKy9vLZCZ3Zc4eQk5k7b46tHHp8l_ZqNzGYP8YWEMMlA",
    })
}

/// A private JWK without its private members, and with the members of `edits`.
pub(crate) fn public(jwk: &Value, edits: Value) -> Value {
    let mut public = jwk.clone();
    if let Some(members) = public.as_object_mut() {
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            members.remove(name);
        }
        members.extend(edits.as_object().cloned().unwrap_or_default());
    }
    public
}

/// The public JWK of the key that signs ES384 here.
pub(crate) fn p384() -> Value {
    let point = p384_key().verifying_key().to_encoded_point(false);
    let [x, y] = [point.x(), point.y()].map(|part| URL_SAFE_NO_PAD.encode(part.expect("a coordinate")));
    json!({"kty": "EC", "crv": "P-384", "x": x, "y": y})
}

/// The private JWK of RFC 7515 A.4.1.
pub(crate) fn p521() -> Value {
    json!({
        "kty": "EC", "crv": "P-521",
        "d": "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    })
}

/// A JWS of these texts, signed with the key of the algorithm that `algorithm` names; HS256 takes `secret`.
pub(crate) fn sign(algorithm: &str, header: &Value, payload: &str, secret: &[u8]) -> String {
    let [header, payload] = [header.to_string(), payload.to_owned()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{payload}");
    let jwk = |value: Value| -> JsonWebKey<'static> { serde_json::from_value(value).expect("a JWK") };
    let bytes = message.as_bytes();
    let signature = match algorithm {
        "ES256" => {
            let key = (&jwk(p256())).try_into().expect("a key");
            Es256.sign(&key, bytes).as_bytes().into_owned()
        }
        "ES384" => {
            let signature: p384::ecdsa::Signature = p384_key().sign(bytes);
            signature.to_bytes().to_vec()
        }
        "ES512" => {
            let key = URL_SAFE_NO_PAD.decode(p521()["d"].as_str().expect("a text")).expect("base64url");
            let key = p521::ecdsa::SigningKey::from_slice(&key).expect("a key");
            let signature: p521::ecdsa::Signature = key.sign_with_rng(&mut Predictable, bytes);
            signature.to_bytes().to_vec()
        }
        "EdDSA" | "Ed25519" => {
            let key = (&jwk(ed25519())).try_into().expect("a key");
            Ed25519.sign(&key, bytes).as_bytes().into_owned()
        }
        "HS256" => Hs256.sign(&Hs256Key::new(secret), bytes).as_bytes().into_owned(),
        name => {
            let key: RsaPrivateKey = (&jwk(rsa())).try_into().expect("a key");
            let rsa: Rsa = name.parse().expect("an algorithm");
            rsa.sign(&key, bytes).as_bytes().into_owned()
        }
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A JWT of these claims, signed with ES256 and [`p256`] under this name.
pub(crate) fn signed_jwt(key_id: &str, claims: &Value) -> String {
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": key_id});
    sign("ES256", &header, &claims.to_string(), b"")
}

/// A JWK Set with [`p256`] under this name.
pub(crate) fn key_set(key_id: &str) -> String {
    json!({"keys": [public(&p256(), json!({"kid": key_id}))]}).to_string()
}

fn p384_key() -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_slice(&[5; 48]).expect("a key")
}

/// Not random at all, for keys that are not secret.
struct Predictable;

impl RngCore for Predictable {
    fn next_u32(&mut self) -> u32 {
        7
    }

    fn next_u64(&mut self) -> u64 {
        7
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        bytes.iter_mut().last().into_iter().for_each(|byte| *byte = 7);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Predictable {}
