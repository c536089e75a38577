//! The engine's host on this machine, in place of a proxy.

use phantom_token_core::driver::MemorySharedData;
use phantom_token_core::{Host, NoMetrics, Randomness, Timestamp};

/// A host with one worker.
#[derive(Default)]
pub struct LocalHost(MemorySharedData);

impl LocalHost {
    /// Returns the host's services at this time.
    pub fn at(&self, now: Timestamp) -> Host<'_> {
        Host { now, shared_data: &self.0, metrics: &NoMetrics, randomness: &Random }
    }
}

/// The randomness of the operating system.
pub struct Random;

impl Randomness for Random {
    fn bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    }
}
