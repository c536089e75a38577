//! A client's key, and proofs of possession (RFC 9449 §4): valid ones, and ones with any claims.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{certificates, jwt, keys, secrets};

pub struct DpopKey(SigningKey);

impl DpopKey {
    pub fn new() -> Result<Self> {
        let key = SigningKey::from_pkcs8_der(&certificates::noted_key()?.serialize_der());
        Ok(Self(key.map_err(|error| anyhow!("no key: {error}"))?))
    }

    /// A fixed key, for what has to be the same in every run.
    pub fn published() -> Result<Self> {
        let key = SigningKey::from_pkcs8_pem(&keys::p256_pem());
        Ok(Self(key.map_err(|error| anyhow!("no key: {error}"))?))
    }

    /// The key's thumbprint, `jkt` (§6.1), to which tokens are bound.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.jwk().to_string()))
    }

    /// Returns a proof for a request with this method, URI and token.
    pub fn prove(&self, method: &str, uri: &str, token: &str) -> String {
        self.sign(&claims(method, uri, token))
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk()}), claims)
    }

    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", jwt::encoded(header), jwt::encoded(claims));
        let signature: Signature = self.0.sign(message.as_bytes());
        secrets::noted(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }

    /// The public key, with its members in the order of RFC 7638 §3.
    pub fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_encoded_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        json!({"crv": "P-256", "kty": "EC", "x": coordinate(point.x()), "y": coordinate(point.y())})
    }
}

/// The claims of a proof (§4.2), with a fresh `jti`.
pub fn claims(method: &str, uri: &str, token: &str) -> Value {
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
    json!({"jti": fresh_id(), "htm": method, "htu": uri, "iat": jwt::now(), "ath": ath})
}

fn fresh_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("proof-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
