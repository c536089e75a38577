//! What the operator decides about the cache.

use crate::fields::{Bounded, BoundedDuration, ConfigErrors, DAY, FieldPath, KIB, MIB, MINUTE, section};

section! {
    /// What is kept of answers, and for how long.
    pub struct CacheSettings {
        /// Entries in each worker for each authorization server, and slots in the data that all workers share.
        max_entries: Bounded<16, 1_000_000> = 10_000,
        /// Bytes in each worker for each authorization server, at least 256 for each entry.
        max_bytes: Bounded<{ 64 * KIB }, { 1024 * MIB }> = 33_554_432,
        /// Bytes of the data that all workers share, at least 256 for each slot; what is longer than an equal share is kept in
        /// workers alone. By default 134217728, or 256 for each slot if that is more.
        shared_max_bytes: Bounded<{ 64 * KIB }, { 1024 * MIB }>,
        /// Longest time to live; `0s` turns the cache off.
        max_ttl: BoundedDuration<0, DAY> = "5m",
        /// Time to live of answers that say `no-store`, `no-cache` or `max-age=0`. Without it, that is honoured.
        no_store_ttl: BoundedDuration<0, DAY>,
        /// How long a worker knows that a token is not active, or is active and refused for what it is (a refresh token, say), never longer than `cache.max_ttl`, where the answer's
        /// `Cache-Control` allows it, or `cache.no_store_ttl`; `0s` for not at all. Failures are never kept.
        inactive_ttl: BoundedDuration<0, MINUTE> = "2s",
        /// How long before its end, at most for half of its time, an entry that is in use is refreshed, by one worker for all
        /// while requests go on; `0s` for never. What ends with its token is not. Published keys are fetched in the background
        /// as well, unless it is `0s`. It needs timers of the host.
        refresh_ahead: BoundedDuration<0, DAY> = "10s",
        /// How long beyond its end an entry may serve while the server cannot be reached, does not answer in time, fails, or is
        /// the circuit is open; never past the token's `exp`, nor without the published key that verified it, nor where the answer said
        /// `no-store`, `no-cache` or `must-revalidate`. That the server or the gateway is asked too much (429, the limits above)
        /// is no reason. A revoked token is good for that much longer if its server is down.
        stale_if_error: BoundedDuration<0, DAY> = "0s",
        /// Whether workers share what they learn of tokens and published keys, by the host's shared data. In Kong, that needs a zone.
        shared: bool = true,
    }
}

impl CacheSettings {
    /// Bytes in the level of all workers.
    pub(crate) fn shared_bytes(&self) -> usize {
        let least = MIN_ENTRY_BYTES.saturating_mul(self.max_entries);
        self.shared_max_bytes.unwrap_or(DEFAULT_SHARED_BYTES.max(least))
    }

    /// Notes where its fields do not go together.
    pub(crate) fn check(&self, at: FieldPath<'_>, errors: &mut ConfigErrors) {
        let least = MIN_ENTRY_BYTES.saturating_mul(self.max_entries);
        let message = format!("must be at least {MIN_ENTRY_BYTES} for each of cache.max_entries");
        if self.max_bytes < least {
            errors.note(at.field("max_bytes"), &*message);
        }
        if self.shared && self.shared_bytes() < least {
            errors.note(at.field("shared_max_bytes"), message);
        }
        if self.no_store_ttl.is_some_and(|no_store_ttl| no_store_ttl > self.max_ttl) {
            errors.note(at.field("no_store_ttl"), "must not be longer than cache.max_ttl");
        }
    }
}

const MIN_ENTRY_BYTES: usize = 256;
const DEFAULT_SHARED_BYTES: usize = 128 * 1024 * 1024;
