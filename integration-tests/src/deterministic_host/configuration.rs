//! How a host starts, and how its filter is configured anew.

use serde_json::Value;

use super::behaviour::Behaviour;

/// A host to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which proxy it behaves like.
    pub behaviour: Behaviour,
    /// How many workers it has, each with a VM of its own.
    pub workers: usize,
    /// The filter's configuration.
    pub configuration: Value,
    /// The variables of the environment that the filter may see.
    pub environment: Vec<(String, String)>,
    /// What its randomness starts from.
    pub seed: u64,
    /// Whether "pause" holds only the head of a request back, so that pieces of its body reach the filter before the head goes
    /// on (`allow_on_headers_stop_iteration`).
    pub stops_head_only: bool,
    /// Whether there is a zone for shared data. Envoy needs none; ngx_wasm_module traps without one.
    pub has_zone: bool,
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
            has_zone: true,
        }
    }
}
