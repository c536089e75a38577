//! Proofs that were used, so that none is used twice (RFC 9449 §11.1), by whichever worker, in bounded memory.
//!
//! The host's shared data has a fixed number of slots, and each has room for a fixed number of proofs that still would be
//! right. A slot that is full of those takes no more: the request is refused, since it could not be remembered. A host
//! without shared data has the slots in each worker.

use std::collections::HashMap;

use crate::cache::SharedData;
use crate::rejection::Reason;
use crate::time::Timestamp;

use super::Proof;

/// Remembers proofs.
pub(crate) struct ReplayGuard {
    slots: u64,
    is_shared: bool,
    own: HashMap<u64, Vec<u8>>,
}

impl ReplayGuard {
    /// Remembers at most `max_proofs` at one time.
    pub(crate) fn new(max_proofs: usize, is_shared: bool) -> Self {
        Self { slots: (max_proofs / PROOFS_PER_SLOT).max(1) as u64, is_shared, own: HashMap::new() }
    }

    /// Notes that a proof is used.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`] if it was before, [`Reason::Overloaded`] if it cannot be remembered.
    pub(crate) fn note(
        &mut self,
        proof: &Proof,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Reason> {
        let [a, b, c, d, e, f, g, h, ..] = proof.identity;
        let slot = u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_rem(self.slots).unwrap_or_default();
        let own = self.own.entry(slot).or_default();
        *own = with(own, proof, now)?;
        if !self.is_shared {
            return Ok(());
        }
        let key = format!("phantom-token.proofs.{slot}");
        for _ in 0..ATTEMPTS {
            let (value, cas) = shared.get(&key).unwrap_or_default();
            if shared.set(&key, &with(&value, proof, now)?, cas) {
                return Ok(());
            }
        }
        Err(Reason::Overloaded)
    }
}

/// The slot with one proof more, and without those that would not be right any more.
fn with(slot: &[u8], proof: &Proof, now: Timestamp) -> Result<Vec<u8>, Reason> {
    let (entries, _cut) = slot.as_chunks::<ENTRY>();
    let (identity, expires) = (proof.identity, proof.expires.as_millis().to_be_bytes());
    let is_right = |entry: &&[u8; ENTRY]| {
        entry.last_chunk().is_some_and(|expires| u64::from_be_bytes(*expires) >= now.as_millis())
    };
    let kept: Vec<&[u8; ENTRY]> = entries.iter().filter(is_right).collect();
    if kept.iter().any(|entry| entry.starts_with(&identity)) {
        return Err(Reason::InvalidDpopProof);
    }
    if kept.len() >= PROOFS_PER_SLOT {
        return Err(Reason::Overloaded);
    }
    let kept = kept.into_iter().flatten().copied();
    Ok(kept.chain(identity).chain(expires).collect())
}

/// What is unique about a proof, and when it ends.
const ENTRY: usize = 32 + 8;

/// So many that slots fill evenly, so few that one is read and written quickly.
const PROOFS_PER_SLOT: usize = 32;

/// Others write to the same slot at the same time, but hardly so often.
const ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests;
