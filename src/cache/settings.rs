//! The operator's settings of the cache.

use crate::fields::{Bounded, BoundedDuration, ConfigErrors, DAY, FieldPath, KIB, MIB, MINUTE, section};

section! {
    /// What responses are cached, and for how long.
    pub struct CacheSettings {
        /// Entries per worker and authorization server, and slots in the shared data of all workers.
        max_entries: Bounded<16, 1_000_000> = 10_000,
        /// Bytes per worker and authorization server, at least 256 per entry.
        max_bytes: Bounded<{ 64 * KIB }, { 1024 * MIB }> = 33_554_432,
        /// Bytes in the shared data of all workers, at least 256 per slot; an entry longer than an equal share is kept only in
        /// the workers. Defaults to 134217728, or 256 per slot if that is more.
        shared_max_bytes: Bounded<{ 64 * KIB }, { 1024 * MIB }>,
        /// Maximum time to live; `0s` turns the cache off.
        max_ttl: BoundedDuration<0, DAY> = "5m",
        /// Time to live of responses with `no-store`, `no-cache` or `max-age=0`. Without it, these are not cached.
        no_store_ttl: BoundedDuration<0, DAY>,
        /// How long a worker remembers that a token is inactive, or active but refused for what it is (such as a refresh token):
        /// never longer than `cache.max_ttl`, and only where the response's `Cache-Control` or `cache.no_store_ttl` allows it;
        /// `0s` for not at all. Failures are never cached.
        inactive_ttl: BoundedDuration<0, MINUTE> = "2s",
        /// How long before an entry expires it is refreshed if it is in use, at most half of its time to live. One worker
        /// refreshes it for all, in the background; `0s` for never. Entries that expire with their token are not refreshed.
        /// Published keys are fetched in the background as well, unless this is `0s`. Requires timers of the host.
        refresh_ahead: BoundedDuration<0, DAY> = "10s",
        /// How long an expired entry may serve while the server is unreachable, times out, fails, or its circuit breaker is open;
        /// never past the token's `exp`, nor without the published key that verified it, nor if the response had `no-store`,
        /// `no-cache` or `must-revalidate`. Rate limits (429, the limits above) do not count as failures. While its server is
        /// down, a revoked token works for that much longer.
        stale_if_error: BoundedDuration<0, DAY> = "0s",
        /// Whether workers share cached tokens and published keys, in the host's shared data. In Kong, that needs a zone.
        shared: bool = true,
    }
}

impl CacheSettings {
    /// Returns the size of the shared level, in bytes.
    pub(crate) fn shared_bytes(&self) -> usize {
        let least = MIN_ENTRY_BYTES.saturating_mul(self.max_entries);
        self.shared_max_bytes.unwrap_or(DEFAULT_SHARED_BYTES.max(least))
    }

    /// Reports fields that contradict each other.
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
