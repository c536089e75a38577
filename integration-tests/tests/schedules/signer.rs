//! Ed25519 keys, whose signatures are the cheapest for the interpreter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use integration_tests::jwt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A private key, the same in every run.
pub struct Signer(SigningKey);

impl Signer {
    pub fn new(number: usize) -> Self {
        Self(SigningKey::from_bytes(&Sha256::digest(number.to_be_bytes()).into()))
    }

    /// The public key, with its members in the order of RFC 7638 §3.
    pub fn public(&self) -> Value {
        json!({"crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())})
    }

    pub fn private(&self) -> Value {
        let mut jwk = self.public();
        jwk["d"] = json!(URL_SAFE_NO_PAD.encode(self.0.as_bytes()));
        jwk
    }

    /// The key's thumbprint, `jkt` (RFC 9449 §6.1), to which tokens are bound.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.public().to_string()))
    }

    /// Returns a JWT of this type with these members in its header.
    pub fn sign(&self, media_type: &str, header: Value, claims: &Value) -> String {
        let mut header = header;
        header["alg"] = json!("EdDSA");
        header["typ"] = json!(media_type);
        let message = format!("{}.{}", jwt::encoded(&header), jwt::encoded(claims));
        let signature = self.0.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Whether the key signed this JWT.
    pub fn verifies(&self, jwt: &str) -> bool {
        let Some((message, signature)) = jwt.rsplit_once('.') else { return false };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok();
        let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| self.0.verify(message.as_bytes(), &signature).is_ok())
    }
}

/// Replaces the signature of a JWT.
pub fn forged(jwt: &str) -> String {
    let message = jwt.rsplit_once('.').map_or(jwt, |(message, _)| message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}
