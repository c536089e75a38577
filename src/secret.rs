//! A value that never appears in debug output, errors or logs (R110).

use std::fmt;

use hmac::digest::core_api::Block;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A secret string. It has no `Display`, and its `Debug` hides it, so that printing one by mistake is harmless.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it to its recipient.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Starts an HMAC with this secret for one purpose. The name of a purpose must not be a prefix of another's.
    pub(crate) fn mac(&self, purpose: &'static str) -> Hmac<Sha256> {
        hmac_under(Sha256::digest(&self.0).into()).chain_update(purpose)
    }
}

/// An HMAC under a key (RFC 2104).
pub(crate) fn hmac_under(key: [u8; 32]) -> Hmac<Sha256> {
    let mut block = Block::<Sha256>::default();
    block.iter_mut().zip(key).for_each(|(byte, ours)| *byte = ours);
    Hmac::<Sha256>::new(&block)
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}
