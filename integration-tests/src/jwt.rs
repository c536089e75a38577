//! JWTs with any claims. Their signature is none: the filter does not verify it, and neither does the API of the tests.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::secrets;

/// A JWT access token with these claims (RFC 9068 §2.1).
pub fn with_claims(claims: &Value) -> String {
    let [header, payload] = [&json!({"alg": "ES256", "typ": "at+jwt", "kid": "test"}), claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    secrets::noted(format!("{header}.{payload}.c2lnbmF0dXJl"))
}

/// A JWT access token that passes everywhere in the tests: issuer, audience and a scope fit, and it expires in an hour.
pub fn valid() -> String {
    with_claims(&valid_claims())
}

/// The claims of [`valid`].
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
