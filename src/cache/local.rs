//! The level in the VM: grants ready to use, bounded in entries and in bytes (R57).

use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use quick_cache::Weighter;
use quick_cache::unsync::{Cache as QuickCache, DefaultLifecycle};

use super::key::TokenKey;
use crate::grant::Grant;
use crate::time::Timestamp;

/// A bounded map of tokens to grants. The eviction policy resists scans: tokens that come once do not displace those that
/// come often.
pub(super) struct LocalCache {
    grants: QuickCache<TokenKey, Rc<Grant>, Bytes, BuildHasherDefault<DigestPrefix>>,
}

impl LocalCache {
    /// Holds at most `max_entries` grants of at most `max_bytes` together: each weighs its bytes, but never less than
    /// an equal share of them, so that one bound keeps both.
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let max_entries = max_entries.max(1);
        let share = (max_bytes / max_entries).max(1);
        Self {
            grants: QuickCache::with(
                max_entries,
                share.saturating_mul(max_entries) as u64,
                Bytes { share },
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
        }
    }

    /// The grant of a token, if it is fresh; a stale one is dropped.
    pub(super) fn find(&mut self, token: &TokenKey, now: Timestamp) -> Option<Rc<Grant>> {
        let grant = Rc::clone(self.grants.get(token)?);
        if grant.is_fresh(now) {
            return Some(grant);
        }
        self.grants.remove(token);
        None
    }

    /// Keeps a grant.
    pub(super) fn insert(&mut self, token: TokenKey, grant: Rc<Grant>) {
        self.grants.insert(token, grant);
    }
}

/// Weighs a grant in bytes of memory.
#[derive(Clone)]
struct Bytes {
    share: usize,
}

impl Weighter<TokenKey, Rc<Grant>> for Bytes {
    fn weight(&self, _token: &TokenKey, grant: &Rc<Grant>) -> u64 {
        grant.weight().max(self.share) as u64
    }
}

/// The key is a digest already: its first 64 bits are as good a hash as any.
#[derive(Default)]
struct DigestPrefix(u64);

impl Hasher for DigestPrefix {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
