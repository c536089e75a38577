//! What a request costs.

use std::collections::BTreeMap;

/// What was spent on one request, over all callbacks that concerned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Units of work inside the module: nearly one for each instruction, and some for each byte that is copied.
    pub fuel: u64,
    /// How often each function of the host was called, by its name.
    pub calls: BTreeMap<&'static str, u32>,
}

impl Cost {
    /// How many calls to the host.
    pub fn call_count(&self) -> u32 {
        self.calls.values().sum()
    }
}
