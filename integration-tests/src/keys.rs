//! The tests' own keys, with which gateways authenticate and forgers sign. All are published: RFC 7515 A.2 and A.3, RFC 8037 A.1.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::{Value, json};

use crate::{certificates, secrets};

/// A private P-256 JWK.
pub fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "d": secrets::noted(P256.to_owned()),
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// The private key of [`p256()`] as PEM.
pub fn p256_pem() -> String {
    pem(&p256_key())
}

/// The public key of [`p256()`] as PEM.
pub fn p256_public_pem() -> String {
    p256_key().public_key().to_public_key_pem(LineEnding::LF).expect("a key")
}

/// Another P-256 private key, as PEM.
pub fn another_p256_pem() -> String {
    pem(&SecretKey::from_slice(&[5; 32]).expect("a key"))
}

/// A fresh P-256 private key, as PEM.
pub fn fresh_p256_pem() -> Result<String> {
    Ok(certificates::noted_key()?.serialize_pem())
}

/// A private Ed25519 JWK.
pub fn ed25519() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "d": secrets::noted("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".to_owned()),
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// A private RSA JWK with 2048 bits.
pub fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "d": secrets::noted("Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ".to_owned()),
        "p": "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "q": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "dp": "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "dq": "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "qi": "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuMCU63mZxYRkuwv9hXSVBQ0JCBTJtCSDGpUqoxX2E2f16AzZ_fsoYuAvZ7SKBVHiU7ubp3eO8wHo_B6cWBtpKy9vLZCZ3Zc4eQk5k7b46tHHp8l_ZqNzGYP8YWEMMlA",
    })
}

/// Returns a private JWK without its private members.
pub fn public(jwk: &Value) -> Value {
    let is_public = |name: &&String| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str());
    let members = jwk.as_object().into_iter().flatten().filter(|(name, _)| is_public(name));
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The ES256 signature of these bytes by [`p256()`].
pub(crate) fn sign(bytes: &[u8]) -> Vec<u8> {
    let signature: Signature = SigningKey::from(p256_key()).sign(bytes);
    signature.to_bytes().to_vec()
}

fn pem(key: &SecretKey) -> String {
    let pem = key.to_pkcs8_pem(LineEnding::LF).expect("PKCS#8").to_string();
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        secrets::noted(line.to_owned());
    }
    pem
}

fn p256_key() -> SecretKey {
    let bytes = URL_SAFE_NO_PAD.decode(P256).expect("base64url");
    SecretKey::from_slice(&bytes).expect("a key")
}

const P256: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
