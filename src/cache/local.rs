//! The level in the VM: grants ready to use, bounded in entries and in bytes (R57).

use std::hash::BuildHasherDefault;
use std::rc::Rc;

use quick_cache::Weighter;
use quick_cache::unsync::{Cache as QuickCache, DefaultLifecycle};

use super::key::{DigestPrefix, TokenKey};
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

    /// The grant of a token, fresh or not; one that is of no use any more is dropped.
    pub(super) fn find(&mut self, token: &TokenKey, now: Timestamp) -> Option<Rc<Grant>> {
        let grant = Rc::clone(self.grants.get(token)?);
        if grant.lifetime().is_usable(now) {
            return Some(grant);
        }
        self.grants.remove(token);
        None
    }

    /// Forgets a token. Whether it was known.
    pub(super) fn remove(&mut self, token: &TokenKey) -> bool {
        self.grants.remove(token).is_some()
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

#[cfg(test)]
mod tests;
