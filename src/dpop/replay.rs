//! Proofs that were used, so that none is used twice (RFC 9449 §11.1), by whichever worker, in bounded memory.
//!
//! The host's shared data has a fixed number of slots, and each has room for a fixed number of proofs that still would be
//! right. A slot that is full of those takes no more: the request is refused, since it could not be remembered. One key has a
//! share of each slot, so that nobody fills them alone. For hosts without shared data, each worker remembers for itself.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{DpopSettings, MAX_CLOCK_DIFFERENCE, Proof};
use crate::cache::{Fingerprint, SharedData};
use crate::rejection::Reason;
use crate::time::Timestamp;

/// Remembers proofs.
pub(crate) struct ReplayGuard {
    slots: u64,
    is_shared: bool,
    longest: Duration,
    identity: Fingerprint,
    own: HashMap<u64, Vec<u8>>,
}

impl ReplayGuard {
    /// Remembers as many as the settings say. `identity` tells its slots in the shared data from others.
    pub(crate) fn new(settings: &DpopSettings, identity: Fingerprint) -> Self {
        Self {
            slots: (settings.max_proofs / PROOFS_PER_SLOT).max(1) as u64,
            is_shared: settings.shared,
            longest: settings.max_age.saturating_add(MAX_CLOCK_DIFFERENCE),
            identity,
            own: HashMap::new(),
        }
    }

    /// Makes all slots, where they are not there. Some hosts write the first value of a key without comparing, so two workers could
    /// each take the same proof for new; nothing is written so any more when requests come.
    pub(crate) fn prepare(&self, shared: &dyn SharedData) {
        if !self.is_shared {
            return;
        }
        for key in (0..self.slots).map(key) {
            if shared.get(&key).is_none() {
                shared.set(&key, self.identity.as_bytes(), 0);
            }
        }
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
        let last = now.plus(self.longest);
        let own = self.own.entry(slot).or_default();
        *own = with(own, proof, now, last)?;
        if !self.is_shared {
            return Ok(());
        }
        let key = key(slot);
        for _ in 0..ATTEMPTS {
            let (value, cas) = shared.get(&key).unwrap_or_default();
            let entries = value.strip_prefix(self.identity.as_bytes()).unwrap_or_default();
            let value = [&self.identity.as_bytes()[..], &with(entries, proof, now, last)?].concat();
            if shared.set(&key, &value, cas) {
                return Ok(());
            }
        }
        Err(Reason::Overloaded)
    }
}

fn key(slot: u64) -> String {
    format!("phantom-token.proofs.{slot}")
}

/// The slot with one proof more, and without those that would not be right any more. What claims to be right for longer than a
/// proof can be, until after `last`, is none.
fn with(slot: &[u8], proof: &Proof, now: Timestamp, last: Timestamp) -> Result<Vec<u8>, Reason> {
    let (entries, _cut) = slot.as_chunks::<ENTRY>();
    let mut sender = [0; SENDER];
    sender.iter_mut().zip(Sha256::digest(&proof.thumbprint)).for_each(|(byte, ours)| *byte = ours);
    let is_right = |entry: &&[u8; ENTRY]| {
        let expires = entry.last_chunk().map_or(0, |expires| u64::from_be_bytes(*expires));
        (now.as_millis()..=last.as_millis()).contains(&expires)
    };
    let kept: Vec<&[u8; ENTRY]> = entries.iter().filter(is_right).collect();
    if kept.iter().any(|entry| entry.starts_with(&proof.identity)) {
        return Err(Reason::InvalidDpopProof);
    }
    let of_sender = kept.iter().filter(|entry| entry.get(32..).is_some_and(|rest| rest.starts_with(&sender)));
    if kept.len() >= PROOFS_PER_SLOT || of_sender.count() >= PROOFS_PER_SENDER {
        return Err(Reason::Overloaded);
    }
    let kept = kept.into_iter().flatten().copied();
    let expires = proof.expires.as_millis().to_be_bytes();
    Ok(kept.chain(proof.identity).chain(sender).chain(expires).collect())
}

/// What is unique about a proof, a part of a digest of its key, and when it ends.
const ENTRY: usize = 32 + SENDER + 8;
const SENDER: usize = 8;

/// So many that slots fill evenly, so few that one is read and written quickly.
const PROOFS_PER_SLOT: usize = 32;

/// The share of one key in a slot.
const PROOFS_PER_SENDER: usize = 8;

/// Others write to the same slot at the same time, but hardly so often.
const ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests;
