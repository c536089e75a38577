//! Host services available during one call: time, shared data, metrics and randomness. The core has none of its own.

use crate::metrics::Counter;
use crate::rejection::Reason;
use crate::time::Timestamp;

/// Host services available during one call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The time.
    pub now: Timestamp,
    /// What all workers see.
    pub shared_data: &'a dyn SharedData,
    /// Where counters go.
    pub metrics: &'a dyn Metrics,
    /// Where numbers come from that nobody used before.
    pub randomness: &'a dyn Randomness,
}

/// What is new in each callout.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    /// The time.
    pub now: Timestamp,
    /// Where numbers come from that nobody used before.
    pub randomness: &'a dyn Randomness,
}

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

/// Where counts go. The null implementation counts nothing.
pub trait Metrics {
    /// Adds one.
    fn increment(&self, counter: Counter);

    /// Adds one to the refusals for a reason.
    fn refuse(&self, reason: Reason);
}

/// Counts nothing.
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn increment(&self, _counter: Counter) {}

    fn refuse(&self, _reason: Reason) {}
}

/// A source of random numbers, of which the `jti` of assertions and minted JWTs are made: they have to be unique, not secret.
pub trait Randomness {
    /// Sixteen random bytes; none if the host gives none.
    fn bytes(&self) -> Option<[u8; 16]>;
}

/// A host without randomness.
pub struct NoRandomness;

impl Randomness for NoRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        None
    }
}

impl<'a> Host<'a> {
    /// What a callout needs of it.
    pub fn occasion(&self) -> Occasion<'a> {
        Occasion { now: self.now, randomness: self.randomness }
    }
}
