//! `private_key_jwt`: the gateway authenticates by a JWT that it signs (RFC 7523 §2.2, §3).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::method::{ClientFields, ClientMethod, FieldReader, RequestCredentials};
use crate::host::Host;
use crate::json::members;
use crate::jwt::SigningKey;

/// Issuer, audience and key of an assertion.
#[derive(Clone, Debug)]
pub struct PrivateKeyJwt {
    /// `iss` and `sub`.
    client_id: String,
    /// `aud`: the authorization server, by its issuer identifier.
    audience: String,
    /// The signing key.
    key: SigningKey,
}

impl ClientMethod for PrivateKeyJwt {
    fn read(fields: &mut ClientFields, reader: &mut FieldReader<'_>) -> Option<Self> {
        let client_id = reader.required("client_id", fields.client_id.take());
        let audience = fields.audience.take().or_else(|| reader.issuer.map(str::to_owned));
        let missing = "is required where token.issuer is not there to take its place";
        let audience = reader.check("audience", audience.ok_or(missing));
        let key_id = fields.key_id.take();
        let key = reader.required("private_key", fields.private_key.take());
        let key = key.and_then(|text| reader.check("private_key", SigningKey::read(&text, key_id)));
        Some(Self { client_id: client_id?, audience: audience?, key: key? })
    }

    fn identity(&self) -> &str {
        &self.client_id
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn credentials(&self, context: Host<'_>) -> Option<RequestCredentials<'_>> {
        let parameters = vec![
            ("client_id", (&*self.client_id).into()),
            ("client_assertion_type", ASSERTION_TYPE.into()),
            ("client_assertion", self.sign(context)?.into()),
        ];
        Some(RequestCredentials { authorization: None, parameters })
    }

    fn is_for_one_request(&self) -> bool {
        true
    }

    fn max_per_second(&self) -> usize {
        if self.key.is_rsa() { 20 } else { 100 }
    }
}

impl PrivateKeyJwt {
    /// Signs an assertion for one request: short-lived, with a `jti` that was never used before (R21). Returns `None` if the host has no
    /// randomness for the `jti`, or signing fails.
    fn sign(&self, context: Host<'_>) -> Option<String> {
        let jwt_id = URL_SAFE_NO_PAD.encode(context.randomness.bytes()?);
        let seconds = context.now.as_millis() / 1000;
        let claims = [
            ("iss", json!(self.client_id)),
            ("sub", json!(self.client_id)),
            ("aud", json!(self.audience)),
            ("jti", json!(format!("{jwt_id}.{}", context.now.as_millis()))),
            ("iat", json!(seconds)),
            ("exp", json!(seconds.saturating_add(LIFETIME.as_secs()))),
        ];
        self.key.sign("JWT", members(claims))
    }
}

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Long enough for clocks that differ, too short for an assertion to be of use to others.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
