//! The level in the host's shared data.
//!
//! Hosts keep every key that was ever written, without bound, time to live or deletion. So the keys are a fixed number
//! of slots: a token's digest names its slot, the entry says whose it is, and a collision overwrites. Some hosts compare
//! only a checksum of the key, which this survives as well: nothing is trusted by its key (R52, R57).

use std::time::Duration;

use super::entry::Entry;
use super::key::{Fingerprint, TokenKey};
use crate::time::Timestamp;

/// The host's key-value store that all workers share. An error reads as "not there" and loses a write: the cost is an
/// introspection more.
pub trait SharedData {
    /// The value of `key` and the number that a compare-and-swap wants; `None` if there is none.
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Sets the value of `key` if nobody did since `cas` was read; 0 for a key that was not there. Whether it is set.
    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool;
}

/// A host without shared data.
pub struct NoSharedData;

impl SharedData for NoSharedData {
    fn get(&self, _key: &str) -> Option<(Vec<u8>, u32)> {
        None
    }

    fn set(&self, _key: &str, _value: &[u8], _cas: u32) -> bool {
        false
    }
}

/// A fixed number of keys.
pub(super) struct Slots {
    count: u64,
    fingerprint: Fingerprint,
    max_ttl: Duration,
}

impl Slots {
    pub(super) fn new(count: usize, fingerprint: Fingerprint, max_ttl: Duration) -> Self {
        Self { count: count.max(1) as u64, fingerprint, max_ttl }
    }

    /// From now on, entries are of this fingerprint.
    pub(super) fn belong_to(&mut self, fingerprint: Fingerprint) {
        self.fingerprint = fingerprint;
    }

    /// The fresh entry of a token. One that claims to be fresh for longer than any can be is not ours.
    pub(super) fn read(&self, token: &TokenKey, now: Timestamp, shared: &dyn SharedData) -> Option<Entry> {
        let (value, _) = shared.get(&self.key(token))?;
        let entry = Entry::decode(&value, &self.fingerprint, token)?;
        (now < entry.fresh_until && entry.fresh_until <= now.plus(self.max_ttl)).then_some(entry)
    }

    pub(super) fn write(&self, token: &TokenKey, entry: &Entry, shared: &dyn SharedData) {
        let key = self.key(token);
        let cas = shared.get(&key).map_or(0, |(_, cas)| cas);
        shared.set(&key, &entry.encode(&self.fingerprint, token), cas);
    }

    /// No `/` in it: Kong takes what is before one for the name of a zone.
    fn key(&self, token: &TokenKey) -> String {
        let slot = token.prefix().checked_rem(self.count).unwrap_or_default();
        format!("phantom-token.{slot}")
    }
}
