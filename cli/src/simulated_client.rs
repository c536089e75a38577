//! A simulated client that proves possession of a key (RFC 9449 §4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phantom_token_core::Timestamp;
use phantom_token_core::driver::Request;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::simulated_key::SimulatedKey;

/// Binds a token with these claims to the client's key (RFC 9449 §6), unless they bind it to another.
pub fn bind(claims: &mut Map<String, Value>) {
    let thumbprint = Sha256::digest(SimulatedKey::CLIENT.coordinates().to_string());
    claims.entry("cnf").or_insert_with(|| json!({"jkt": URL_SAFE_NO_PAD.encode(thumbprint)}));
}

/// Returns the proof for a request with this token.
pub fn prove(request: &Request, token: &str, now: Timestamp) -> String {
    let field = |name: &str| {
        let value = request.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let path = field(":path");
    let path = path.split('?').next().unwrap_or_default();
    let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": SimulatedKey::CLIENT.coordinates()});
    let claims = json!({
        "jti": "simulated", "htm": field(":method"), "iat": now.as_millis() / 1000,
        "htu": format!("{}://{}{path}", field(":scheme"), field(":authority")),
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(token)),
    });
    SimulatedKey::CLIENT.sign(&header, &claims)
}
