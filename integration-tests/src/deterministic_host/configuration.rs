//! Starts a host, and reconfigures its filter.

use serde_json::Value;

use super::behaviour::{Behaviour, Package};
use super::guarantee::Guarantee;

/// A host to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which proxy it behaves like.
    pub behaviour: Behaviour,
    /// How many workers it has, each with a VM of its own.
    pub workers: usize,
    pub configuration: Value,
    /// The variables of the environment that the filter may see.
    pub environment: Vec<(String, String)>,
    /// What its randomness starts from.
    pub seed: u64,
    /// Whether "pause" holds only the head of a request back, so that pieces of its body reach the filter before the head goes
    /// on (`allow_on_headers_stop_iteration`).
    pub stops_head_only: bool,
    /// Which package of the filter it has; by default the one that is for it.
    pub package: Option<Package>,
    /// What it does not do, beside what its behaviour lacks.
    pub lacks: Vec<Guarantee>,
    /// Whether there is a zone for shared data, where the host needs one.
    pub has_zone: bool,
    /// How many keys shared data has room for.
    pub zone_keys: usize,
}

/// What a new configuration comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// A new root context beside the old one, in the same VM: only the filter's configuration has changed.
    RootContext,
    /// A new VM: its own configuration has changed.
    Vm,
}

impl Setup {
    /// An Envoy with one worker.
    pub fn new(configuration: Value) -> Self {
        Self {
            behaviour: Behaviour::Envoy,
            workers: 1,
            configuration,
            environment: Vec::new(),
            seed: 1,
            stops_head_only: false,
            package: None,
            lacks: Vec::new(),
            has_zone: true,
            zone_keys: usize::MAX,
        }
    }
}
