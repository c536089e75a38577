//! Remembers used proofs, so that none is used twice on any worker (RFC 9449 §11.1), in bounded memory.
//!
//! The host's shared data has a fixed number of slots, the same for all configurations. A proof maps to the same slot under any
//! configuration, so two that run side by side, such as during a change, accept no proof twice. The configuration sets the capacity of its
//! slots. If a slot is full, the request is refused, since its proof could not be remembered. One key may use only a share of each slot, so
//! that no client can fill them. Without shared data, each worker remembers its own proofs.
//!
//! A store that starts empty does not know which proofs were used before. So it records since when it is complete, and accepts
//! no proof issued earlier.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::proof::{BoundProof, Stamp, VerifiedProof};
use super::settings::{DpopSettings, MAX_CLOCK_DIFFERENCE};
use crate::fingerprint::Fingerprint;
use crate::host::SharedData;
use crate::refusal::Reason;
use crate::time::Timestamp;

/// The memory of used proofs.
pub(super) struct ReplayMemory {
    room: Room,
    is_shared: bool,
    max_age: Duration,
    own: HashMap<u64, Vec<u8>>,
    own_since: Option<Timestamp>,
}

/// The capacity of one slot, in proofs: for all keys, and for one key.
#[derive(Clone, Copy, Debug)]
struct Room {
    all: usize,
    one_key: usize,
}

/// A slot of the shared data.
struct Slot<'v> {
    /// Since when the slot is complete: it contains all proofs issued since then that were used and would still be valid.
    since: Timestamp,
    /// How long a proof is remembered: as long as it would be valid under any configuration so far.
    retention: Duration,
    entries: &'v [u8],
}

impl ReplayMemory {
    /// Creates a memory for the configured number of proofs.
    pub(super) fn new(settings: &DpopSettings) -> Self {
        Self {
            room: Room::of(settings.max_proofs),
            is_shared: settings.shared,
            max_age: settings.max_age,
            own: HashMap::new(),
            own_since: None,
        }
    }

    /// Starts the memory, and creates all slots that do not exist. Some hosts write the first value of a key without comparing, so two
    /// workers could each accept the same proof as new; once the slots exist, no request writes a first value.
    pub(super) fn prepare(&mut self, now: Timestamp, shared: &dyn SharedData) {
        if !self.is_shared {
            self.own_since = Some(now);
            return;
        }
        for key in (0..SLOTS).map(key) {
            for _ in 0..ATTEMPTS {
                let (value, cas) = shared.get(&key).unwrap_or_default();
                let slot = Slot::parse(&value, self.max_age, now);
                let slot = slot.unwrap_or_else(|| Slot::begun(second_of(now), self.max_age));
                if slot.is_as_written(&value) || shared.set(&key, &slot.with(slot.entries), cas) {
                    break;
                }
            }
        }
    }

    /// Checks whether this worker knows that a proof was used, or that there is no room for it.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`] if the proof was used, or may have been before the memory started; [`Reason::DpopProofLimit`] if there
    /// is no room.
    pub(super) fn look(&mut self, proof: &BoundProof<'_>, now: Timestamp) -> Result<(), Reason> {
        let stamp = proof.stamp();
        self.refuse_older(stamp, now)?;
        let entries = self.own.get(&slot_of(stamp)).map(Vec::as_slice).unwrap_or_default();
        self.room.admit(entries, stamp, self.max_age, now).map(|_| ())
    }

    /// Records that a proof is used.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`] if the proof was used before, or may have been; [`Reason::DpopProofLimit`] if it cannot be remembered.
    pub(super) fn note(
        &mut self,
        proof: &VerifiedProof,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Reason> {
        let stamp = proof.stamp();
        self.refuse_older(stamp, now)?;
        let slot = slot_of(stamp);
        let own = self.own.entry(slot).or_default();
        *own = self.room.admit(own, stamp, self.max_age, now)?;
        if !self.is_shared {
            return Ok(());
        }
        let key = key(slot);
        for _ in 0..ATTEMPTS {
            let (value, cas) = shared.get(&key).unwrap_or_default();
            let Some(slot) = Slot::parse(&value, self.max_age, now) else {
                // The content is lost or unreadable: any proof issued until now may have been used.
                let since = second_of(now).plus(Duration::from_secs(1));
                shared.set(&key, &Slot::begun(since, self.max_age).with(&[]), cas);
                return Err(Reason::DpopProofLimit);
            };
            if stamp.issued_at < slot.since {
                return Err(Reason::InvalidDpopProof);
            }
            let entries = self.room.admit(slot.entries, stamp, slot.retention, now)?;
            if shared.set(&key, &slot.with(&entries), cas) {
                return Ok(());
            }
        }
        Err(Reason::DpopProofLimit)
    }

    /// Refuses a proof issued before this worker's memory started, since it may have been used before. Does nothing if the memory is
    /// shared.
    fn refuse_older(&mut self, stamp: Stamp, now: Timestamp) -> Result<(), Reason> {
        if self.is_shared {
            return Ok(());
        }
        let since = self.own_since.filter(|since| is_possible(*since, now)).unwrap_or(now);
        self.own_since = Some(since);
        if stamp.issued_at < since { Err(Reason::InvalidDpopProof) } else { Ok(()) }
    }
}

impl Room {
    /// Computes the capacity of a slot. Proofs are spread randomly over slots: each has an even share plus six standard deviations and a
    /// little more, so that no slot is full while there are no more than `max_proofs`. The same holds for the share of one key, at most
    /// half a slot.
    fn of(max_proofs: usize) -> Self {
        let of = |proofs: usize| {
            let mean = proofs / SLOTS as usize;
            mean.saturating_add(mean.isqrt().saturating_mul(6)).saturating_add(8)
        };
        let all = of(max_proofs);
        Self { all, one_key: of(max_proofs / KEY_SHARE).min(all / 2) }
    }

    /// Returns the entries with this one added, and without those that would no longer be valid. Entries from the future were written
    /// before the clock was set back, and stay unless that was by more than the lifetime of a proof.
    fn admit(
        self,
        entries: &[u8],
        stamp: Stamp,
        retention: Duration,
        now: Timestamp,
    ) -> Result<Vec<u8>, Reason> {
        let (entries, _cut) = entries.as_chunks::<ENTRY>();
        let latest = now.plus(MAX_CLOCK_DIFFERENCE.max(retention));
        let is_remembered = |issued_at: Timestamp| issued_at <= latest && now <= issued_at.plus(retention);
        if !is_remembered(stamp.issued_at) {
            // It became too old while its request waited, and would be forgotten at once.
            return Err(Reason::InvalidDpopProof);
        }
        let is_right = |entry: &&[u8; ENTRY]| {
            is_remembered(Timestamp::from_millis(entry.last_chunk().map_or(0, |at| u64::from_be_bytes(*at))))
        };
        let kept: Vec<&[u8; ENTRY]> = entries.iter().filter(is_right).collect();
        if kept.iter().any(|entry| entry.starts_with(&stamp.identity)) {
            return Err(Reason::InvalidDpopProof);
        }
        let is_of_key = |entry: &&&[u8; ENTRY]| {
            entry.get(stamp.identity.len()..).is_some_and(|rest| rest.starts_with(&stamp.key))
        };
        if kept.len() >= self.all || kept.iter().filter(is_of_key).count() >= self.one_key {
            return Err(Reason::DpopProofLimit);
        }
        let issued_at = stamp.issued_at.as_millis().to_be_bytes();
        Ok(kept
            .into_iter()
            .flatten()
            .copied()
            .chain(stamp.identity)
            .chain(stamp.key)
            .chain(issued_at)
            .collect())
    }
}

impl<'v> Slot<'v> {
    /// Creates an empty slot.
    fn begun(since: Timestamp, retention: Duration) -> Self {
        Self { since, retention, entries: &[] }
    }

    /// Reads a slot for proofs of this maximum age. Returns `None` if the value is lost or of another origin. A slot with a shorter
    /// retention is complete only since the oldest proof that it still contains.
    fn parse(value: &'v [u8], max_age: Duration, now: Timestamp) -> Option<Self> {
        let (since, retention, entries) = value.strip_prefix(MARK.as_bytes()).and_then(|rest| {
            let (since, rest) = rest.split_first_chunk()?;
            let (retention, entries) = rest.split_first_chunk()?;
            let since = Some(millis(*since)).filter(|since| is_possible(*since, now))?;
            Some((since, Duration::from_millis(u64::from_be_bytes(*retention)), entries))
        })?;
        if retention >= max_age {
            return Some(Self { since, retention, entries });
        }
        let forgotten = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let forgotten = Timestamp::from_millis(now.as_millis().saturating_sub(forgotten));
        Some(Self { since: since.max(forgotten), retention: max_age, entries })
    }

    fn is_as_written(&self, value: &[u8]) -> bool {
        value.starts_with(&self.head())
    }

    fn with(&self, entries: &[u8]) -> Vec<u8> {
        [&self.head()[..], entries].concat()
    }

    fn head(&self) -> Vec<u8> {
        let retention = u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX);
        let numbers = [self.since.as_millis(), retention].map(u64::to_be_bytes);
        [&MARK.as_bytes()[..], numbers.as_flattened()].concat()
    }
}

/// Returns the start of the current second: NumericDates are usually whole seconds.
fn second_of(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis() - now.as_millis() % 1000)
}

/// Whether the memory may have started at that time: if it lies in the future, the clock was set back.
fn is_possible(since: Timestamp, now: Timestamp) -> bool {
    since <= now.plus(MAX_CLOCK_DIFFERENCE)
}

fn millis(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis(u64::from_be_bytes(bytes))
}

fn slot_of(stamp: Stamp) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = stamp.identity;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % SLOTS
}

fn key(slot: u64) -> String {
    format!("phantom-token.proofs.{slot}")
}

/// Distinguishes a slot from anything else under its key. It is the same for all configurations, since a proof accepted by one of them
/// counts as used for all.
static MARK: LazyLock<Fingerprint> = LazyLock::new(|| Fingerprint::of(&["used DPoP proofs", "1"]));

/// The number of slots, the same for all configurations, which could not find each other's proofs otherwise. There are enough that one is
/// read and written quickly, and few enough that they fill evenly.
const SLOTS: u64 = 1024;

/// The size of an entry: the identities of a proof and its key, and the time of issue.
const ENTRY: usize = 16 + 8 + 8;

/// One key may use this fraction of the capacity: a quarter.
const KEY_SHARE: usize = 4;

/// How often a write is tried: other workers may write to the slot at the same time, but hardly this often.
const ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests;
