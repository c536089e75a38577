//! The cost of a request.

use std::collections::BTreeMap;

/// The cost of one request, over all callbacks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Units of work inside the module: nearly one for each instruction, and some for each byte that is copied.
    pub fuel: u64,
    /// How often each host function was called, by its name.
    pub calls: BTreeMap<&'static str, u32>,
}

impl Cost {
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.fuel += other.fuel;
        for (function, count) in &other.calls {
            *self.calls.entry(function).or_default() += count;
        }
        self
    }

    /// Returns the cost in addition to an `earlier` one.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.fuel -= earlier.fuel;
        for (function, count) in &earlier.calls {
            *self.calls.entry(function).or_default() -= count;
        }
        self.calls.retain(|_, count| *count > 0);
        self
    }

    pub fn call_count(&self) -> u32 {
        self.calls.values().sum()
    }
}
