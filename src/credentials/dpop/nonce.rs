//! Nonces of the gateway (RFC 9449 §9): stateless, authenticated, and valid at all gateways that share the secret.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::secret::Secret;
use crate::time::Timestamp;

/// Creates and recognizes nonces. Each belongs to a period of time, and is valid in that period and the next.
#[derive(Clone)]
pub struct NonceKey {
    secret: Secret,
    period: Duration,
}

impl NonceKey {
    /// Creates a key from a secret.
    pub fn new(secret: Secret, period: Duration) -> Self {
        Self { secret, period }
    }

    /// Returns the nonce of the current period.
    pub(crate) fn nonce(&self, now: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(self.period_of(now)).finalize().into_bytes())
    }

    /// Whether this is the nonce of the current or the previous period.
    pub(crate) fn recognises(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let period = self.period_of(now);
        [period, period.saturating_sub(1)]
            .into_iter()
            .any(|period| self.mac(period).verify_slice(&bytes).is_ok())
    }

    fn period_of(&self, now: Timestamp) -> u64 {
        now.as_millis()
            .checked_div(u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX))
            .unwrap_or_default()
    }

    fn mac(&self, period: u64) -> Hmac<Sha256> {
        self.secret.mac("phantom-token dpop nonce").chain_update(period.to_be_bytes())
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}
