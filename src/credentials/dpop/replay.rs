//! Used proofs, so that none is used twice on any worker (RFC 9449 §11.1), in bounded memory.
//!
//! The host's shared data has a fixed number of slots, the same for all configurations. A proof maps to one slot under any
//! configuration, so two that run side by side, such as during a change, accept no proof twice. The configuration sets the
//! capacity of its slots. If a slot is full, the request is refused, since its proof could not be remembered. One key may use
//! only a share of each slot, so that no client can fill them. Without shared data, each worker remembers its own proofs.
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

/// Remembers proofs.
pub(super) struct ReplayMemory {
    room: Room,
    is_shared: bool,
    max_age: Duration,
    own: HashMap<u64, Vec<u8>>,
    own_since: Option<Timestamp>,
}

/// How many proofs one slot takes.
#[derive(Clone, Copy, Debug)]
struct Room {
    all: usize,
    one_key: usize,
}

/// A slot of the shared data.
struct Slot<'v> {
    /// Since when all proofs are in it that were used and still would be right.
    since: Timestamp,
    /// How long a proof stays in it: as long as it would be right for any configuration there was.
    retention: Duration,
    entries: &'v [u8],
}

impl ReplayMemory {
    /// Memory for as many as the settings say.
    pub(super) fn new(settings: &DpopSettings) -> Self {
        Self {
            room: Room::of(settings.max_proofs),
            is_shared: settings.shared,
            max_age: settings.max_age,
            own: HashMap::new(),
            own_since: None,
        }
    }

    /// Memory begins now. Makes all slots, where they are not there: some hosts write the first value of a key without comparing,
    /// so two workers could each take the same proof for new; nothing is written so any more when requests come.
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

    /// Whether this worker already knows that a proof was used, or that there is no space for it.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`] if it was, or may have been before memory began; [`Reason::DpopProofLimit`].
    pub(super) fn look(&mut self, proof: &BoundProof<'_>, now: Timestamp) -> Result<(), Reason> {
        let stamp = proof.stamp();
        self.refuse_older(stamp, now)?;
        let entries = self.own.get(&slot_of(stamp)).map(Vec::as_slice).unwrap_or_default();
        self.room.admit(entries, stamp, self.max_age, now).map(|_| ())
    }

    /// Notes that a proof is used.
    ///
    /// # Errors
    /// [`Reason::InvalidDpopProof`] if it was before, or may have been; [`Reason::DpopProofLimit`] if it cannot be remembered.
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
                // Its content is lost or unreadable: any proof issued until now may have been used.
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

    /// Without shared memory, what was issued before this memory began may have been used before.
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
    /// Proofs are spread randomly over slots: each has an even share plus six standard deviations and a little more, so that no
    /// slot is full while there are no more than `max_proofs`. The same holds for the share of one key, at most half a slot.
    fn of(max_proofs: usize) -> Self {
        let of = |proofs: usize| {
            let mean = proofs / SLOTS as usize;
            mean.saturating_add(mean.isqrt().saturating_mul(6)).saturating_add(8)
        };
        let all = of(max_proofs);
        Self { all, one_key: of(max_proofs / KEY_SHARE).min(all / 2) }
    }

    /// The entries with one more, and without those that would not be right any more. Entries of the future are of a clock that was
    /// set back, and stay unless it was by more than a proof is right for.
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
            // It became too old while it waited, and would be forgotten at once.
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
    /// An empty slot.
    fn begun(since: Timestamp, retention: Duration) -> Self {
        Self { since, retention, entries: &[] }
    }

    /// Reads a slot for proofs of this maximum age; none if the value is lost or not ours. A slot with a shorter memory is
    /// complete since the oldest proof that it still has.
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

/// The beginning of a second: NumericDates are in whole ones.
fn second_of(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis() - now.as_millis() % 1000)
}

/// Whether memory may have begun then: the clock may have been set back.
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

/// What tells a slot from whatever else may be under its key. It is the same for all configurations, since a proof that one of
/// them took is used for all of them.
static MARK: LazyLock<Fingerprint> = LazyLock::new(|| Fingerprint::of(&["used DPoP proofs", "1"]));

/// The same for all configurations, or they could not find each other's proofs. So many that one is read and written quickly, so
/// few that they fill evenly.
const SLOTS: u64 = 1024;

/// The identities of a proof and its key, and its time of issue.
const ENTRY: usize = 16 + 8 + 8;

/// One key may use this part of the space.
const KEY_SHARE: usize = 4;

/// Others write to the same slot at the same time, but hardly so often.
const ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests;
