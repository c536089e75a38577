//! How a host is set up, and how its filter is reconfigured.

use serde_json::Value;

use super::behaviour::{Behaviour, Package};
use super::guarantee::Guarantee;

/// The setup of a host.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The proxy that the host simulates.
    pub behaviour: Behaviour,
    /// The number of workers, each with its own VM.
    pub workers: usize,
    pub configuration: Value,
    /// The environment variables that the filter may see.
    pub environment: Vec<(String, String)>,
    /// The seed of the host's randomness.
    pub seed: u64,
    /// Whether a pause holds back only the headers of a request, so that parts of its body reach the filter before the headers continue
    /// (`allow_on_headers_stop_iteration`).
    pub stops_head_only: bool,
    /// The build of the filter. By default the one for the simulated proxy.
    pub package: Option<Package>,
    /// What the host lacks in addition to what its behavior lacks.
    pub lacks: Vec<Guarantee>,
    /// Whether a zone for shared data exists, where the host needs one.
    pub has_zone: bool,
    /// The number of keys for which shared data has room.
    pub zone_keys: usize,
}

/// What a new configuration replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The root context, in the same VM: only the filter's configuration has changed.
    RootContext,
    /// The VM: the VM's configuration has changed.
    Vm,
}

impl Setup {
    /// The setup of an Envoy with one worker.
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
