//! The cache level in the VM: entries ready to use, bounded in number and in bytes (R57).

use std::cell::Cell;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::time::Duration;

use quick_cache::unsync::Cache as QuickCache;
use quick_cache::{Lifecycle, Weighter};

use crate::time::Timestamp;
use crate::token_info::TokenInfo;
use crate::token_key::{DigestPrefix, LocalKey};

/// A bounded map of tokens to entries. The eviction policy resists scans: tokens that are used once do not displace those that are used
/// often.
pub(super) struct LocalCache {
    entries: QuickCache<LocalKey, Rc<TokenInfo>, Bytes, BuildHasherDefault<DigestPrefix>, CountedEvictions>,
    evictions: CountedEvictions,
    max_ttl: Duration,
}

/// How full a cache is, and how many entries it has evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    /// The number of entries.
    pub(crate) entries: usize,
    /// The number of entries evicted since the cache was created.
    pub(crate) evictions: u64,
}

impl LocalCache {
    /// Creates a cache of at most `max_entries` entries that take at most `max_bytes` together: each weighs its bytes, but never less than
    /// an equal share of `max_bytes`, so that one bound enforces both. No entry is fresh for longer than `max_ttl`.
    pub(super) fn new(max_entries: usize, max_bytes: usize, max_ttl: Duration) -> Self {
        let max_entries = max_entries.max(1);
        let share = (max_bytes / max_entries).max(1);
        let evictions = CountedEvictions::default();
        Self {
            entries: QuickCache::with(
                max_entries,
                share.saturating_mul(max_entries) as u64,
                Bytes { share },
                BuildHasherDefault::default(),
                evictions.clone(),
            ),
            evictions,
            max_ttl,
        }
    }

    /// Returns how full the cache is.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy { entries: self.entries.len(), evictions: self.evictions.0.get() }
    }

    /// Returns the usable entry of a token, fresh or stale. An expired entry stays until it is replaced or evicted: it marks the token as
    /// known.
    pub(super) fn find(&mut self, token: &LocalKey, now: Timestamp) -> Option<Rc<TokenInfo>> {
        let serves = |token_info: &&Rc<TokenInfo>| {
            token_info.lifetime().is_usable(now) && token_info.lifetime().is_possible(self.max_ttl, now)
        };
        self.entries.get(token).filter(serves).map(Rc::clone)
    }

    /// Whether there is an entry for a token, expired or not.
    pub(super) fn knows(&self, token: &LocalKey) -> bool {
        self.entries.peek(token).is_some()
    }

    /// Removes the entry of a token. Returns whether there was one.
    pub(super) fn remove(&mut self, token: &LocalKey) -> bool {
        self.entries.remove(token).is_some()
    }

    pub(super) fn insert(&mut self, token: LocalKey, token_info: Rc<TokenInfo>) {
        self.entries.insert(token, token_info);
    }
}

/// Weighs an entry in bytes of memory.
#[derive(Clone)]
struct Bytes {
    share: usize,
}

impl Weighter<LocalKey, Rc<TokenInfo>> for Bytes {
    fn weight(&self, _token: &LocalKey, token_info: &Rc<TokenInfo>) -> u64 {
        token_info.weight().max(self.share) as u64
    }
}

/// Counts evictions.
#[derive(Clone, Default)]
struct CountedEvictions(Rc<Cell<u64>>);

impl Lifecycle<LocalKey, Rc<TokenInfo>> for CountedEvictions {
    type RequestState = ();

    fn on_evict(&self, _state: &mut (), _token: LocalKey, _token_info: Rc<TokenInfo>) {
        self.0.set(self.0.get().saturating_add(1));
    }
}

#[cfg(test)]
mod tests;
