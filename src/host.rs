//! The host's services during one call: time, shared data, metrics and randomness. The core has none of its own.

use crate::metrics::{Counter, Gauge, Histogram};
use crate::refusal::Reason;
use crate::time::Timestamp;

/// The host's services during one call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The current time.
    pub now: Timestamp,
    /// The key-value store shared by all workers.
    pub shared_data: &'a dyn SharedData,
    /// The host's metrics.
    pub metrics: &'a dyn Metrics,
    /// The source of random numbers.
    pub randomness: &'a dyn Randomness,
}

/// The host's key-value store that all workers share. An error looks like a missing value when reading, and loses the value when writing:
/// the cost is one more introspection, or the refusal of a proof that cannot be remembered.
pub trait SharedData {
    /// Returns the value of `key` and its version for a compare-and-swap. Returns `None` if there is no value.
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Writes `key` by compare-and-swap; `cas` is 0 for a new key. Returns whether the value was written.
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

/// The host's metrics. [`NoMetrics`] discards them.
pub trait Metrics {
    /// Adds to a counter, which never shrinks.
    fn add(&self, counter: Counter, count: u64);

    /// Adds one to the requests denied for a reason.
    fn deny(&self, reason: Reason);

    /// Adds one to the requests that would be denied for a reason, where that is only reported.
    fn shadow_deny(&self, reason: Reason);

    /// Sets this worker's part of a gauge.
    fn set(&self, gauge: Gauge, value: usize);

    /// Records a value in a histogram.
    fn record(&self, histogram: Histogram, value: u64);

    /// Adds one to a counter.
    fn increment(&self, counter: Counter) {
        self.add(counter, 1);
    }
}

/// Discards all metrics.
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn add(&self, _counter: Counter, _count: u64) {}

    fn deny(&self, _reason: Reason) {}

    fn shadow_deny(&self, _reason: Reason) {}

    fn set(&self, _gauge: Gauge, _value: usize) {}

    fn record(&self, _histogram: Histogram, _value: u64) {}
}

/// A source of random numbers: for the `jti` of assertions and minted JWTs, which has to be unique, not secret, and for the keys of a
/// worker's token hashes and, by default, of the tags in its log.
pub trait Randomness {
    /// Returns sixteen random bytes, or `None` if the host provides none.
    fn bytes(&self) -> Option<[u8; 16]>;
}

/// A host without randomness.
pub struct NoRandomness;

impl Randomness for NoRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        None
    }
}
