//! Fixed keys of the simulated parties, so that results are reproducible.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// A private key on the curve P-256.
pub struct SimulatedKey(u8);

impl SimulatedKey {
    /// The key of the authorization server.
    pub const SERVER: Self = Self(1);
    /// The key of the client.
    pub const CLIENT: Self = Self(2);

    fn key(&self) -> Option<SigningKey> {
        SigningKey::from_slice(&[self.0; 32]).ok()
    }

    /// Returns the members of the public key that a thumbprint covers, in the order of the thumbprint (RFC 7638 §3.2).
    pub fn coordinates(&self) -> Value {
        let point = self.key().map(|key| key.verifying_key().to_encoded_point(false));
        let encode = |part: Option<&[u8]>| part.map(|part| URL_SAFE_NO_PAD.encode(part));
        let [x, y] = [
            encode(point.as_ref().and_then(|point| point.x()).map(|part| part.as_slice())),
            encode(point.as_ref().and_then(|point| point.y()).map(|part| part.as_slice())),
        ];
        json!({"crv": "P-256", "kty": "EC", "x": x, "y": y})
    }

    /// Returns a JWS with this header and these claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] =
            [header.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = format!("{header}.{claims}");
        let signature = self.key().map(|key| -> Signature { key.sign(message.as_bytes()) });
        let signature = signature.map(|signature| URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        format!("{message}.{}", signature.unwrap_or_default())
    }
}
