//! By what is recognised that something was made under the same configuration (R52).

use sha2::{Digest, Sha256};

/// SHA-256 of everything that decides what the authorization server answers and how long that is kept. Entries of
/// another configuration, earlier or beside this one, are not this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these facts, in this order.
    pub fn of(facts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for fact in facts {
            digest.update((fact.len() as u64).to_be_bytes());
            digest.update(fact);
        }
        Self(digest.finalize().into())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
