//! Nonces of the gateway (RFC 9449 §9): stateless, authenticated, and valid at all gateways that share the secret.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::secret::Secret;
use crate::time::Timestamp;

/// Makes and recognises nonces. One is for a period of time, and good in that and the next.
#[derive(Clone)]
pub struct NonceKey {
    secret: Secret,
    period: Duration,
}

impl NonceKey {
    /// A key of this secret.
    pub fn new(secret: Secret, period: Duration) -> Self {
        Self { secret, period }
    }

    /// The nonce of now.
    pub(crate) fn nonce(&self, now: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(self.period_of(now)).finalize().into_bytes())
    }

    /// Whether this is a nonce of this period or the one before.
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
