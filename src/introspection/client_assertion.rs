//! `private_key_jwt`: the gateway authenticates by a JWT that it signs (RFC 7523 §2.2, §3).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, json};

use crate::host::Occasion;
use crate::jwt::SigningKey;

/// Who asserts what to whom.
#[derive(Clone, Debug)]
pub struct ClientAssertion {
    /// `iss` and `sub`.
    pub client_id: String,
    /// `aud`: the authorization server, by its issuer identifier.
    pub audience: String,
    /// What signs.
    pub key: SigningKey,
}

impl ClientAssertion {
    /// An assertion for one request: short-lived, with a `jti` that was never used before (R21). None, if the host has no
    /// randomness to make one of.
    pub(super) fn sign(&self, occasion: Occasion<'_>) -> Option<String> {
        let jwt_id = URL_SAFE_NO_PAD.encode(occasion.randomness.bytes()?);
        let seconds = occasion.now.as_millis() / 1000;
        let claims = [
            ("iss", json!(self.client_id)),
            ("sub", json!(self.client_id)),
            ("aud", json!(self.audience)),
            ("jti", json!(format!("{jwt_id}.{}", occasion.now.as_millis()))),
            ("iat", json!(seconds)),
            ("exp", json!(seconds.saturating_add(LIFETIME.as_secs()))),
        ];
        let claims: Map<_, _> = claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.key.sign("JWT", claims)
    }
}

/// Long enough for clocks that differ, too short to be of use to others.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
