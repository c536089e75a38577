//! What the operator decides about the cache.

use std::time::Duration;

/// How much is kept, for how long, and where.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Entries in each level.
    pub max_entries: usize,
    /// Bytes in the level of each worker.
    pub max_bytes: usize,
    /// Bytes in the level of all workers.
    pub shared_max_bytes: usize,
    /// The longest time to live; zero turns the cache off.
    pub max_ttl: Duration,
    /// The time to live of an answer that HTTP forbids to store, if that is overridden (R51).
    pub no_store_ttl: Option<Duration>,
    /// How long a token is known not to be active.
    pub inactive_ttl: Duration,
    /// How long before its end an entry is renewed that is in use; zero for never.
    pub refresh_ahead: Duration,
    /// How long beyond its end an entry serves while the server does not; zero for never (R56).
    pub stale_if_error: Duration,
    /// Whether the host's shared data is used.
    pub shared: bool,
}
