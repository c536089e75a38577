//! JWTs with any claims. Where no party verifies the signature, it is a dummy.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{keys, secrets};

/// A JWT access token with these claims (RFC 9068 §2.1).
pub fn with_claims(claims: &Value) -> String {
    let [header, payload] = [&json!({"alg": "ES256", "typ": "at+jwt", "kid": "test"}), claims].map(encoded);
    secrets::noted(format!("{header}.{payload}.c2lnbmF0dXJl"))
}

/// A JWT with this header and these claims, signed with ES256 by one of the tests' own keys.
pub fn signed(header: &Value, claims: &Value) -> String {
    let [header, payload] = [header, claims].map(encoded);
    let message = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.encode(keys::sign(message.as_bytes()));
    secrets::noted(format!("{message}.{signature}"))
}

/// Returns the JWT with its encoded header, payload and signature changed.
pub fn altered(jwt: &str, alter: impl FnOnce(&mut [String; 3])) -> Result<String> {
    let parts = jwt.split('.').map(str::to_owned).collect::<Vec<_>>();
    let mut parts: [String; 3] = parts.try_into().ok().context("a JWT has three parts")?;
    alter(&mut parts);
    Ok(secrets::noted(parts.join(".")))
}

/// Encodes a part of a JWT.
pub fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The header of a JWT, unverified.
pub fn header(jwt: &str) -> Result<Value> {
    let header = jwt.split('.').next().context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?)
}

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Result<Value> {
    let claims = jwt.split('.').nth(1).context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?)
}

/// A JWT access token that is valid everywhere in the tests: issuer, audience and a scope match, and it expires in an hour.
pub fn valid() -> String {
    with_claims(&valid_claims())
}

pub fn valid_claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": "orders-api", "sub": "alice", "client_id": "app",
        "scope": "orders:read profile", "iat": now(), "exp": now() + 3600,
    })
}

/// Seconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "the tests' JWTs are dated by the clock that Envoy reads")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
