//! Host calls that the test makes fail.

use std::collections::BTreeMap;

use super::status::Status;

/// For each host function, how it fails and how many times more.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, (Refusal, u32)>);

/// How a host function fails.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Status(Status),
    Trap,
}

impl Refusals {
    pub(super) fn add(&mut self, function: &str, refusal: Refusal, times: u32) {
        self.0.insert(function.to_owned(), (refusal, times));
    }

    pub(super) fn is_any_due(&self) -> bool {
        self.0.values().any(|(_, times)| *times > 0)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the failure that is due for a call of this function. `None` if there is none.
    pub(super) fn take(&mut self, function: &str) -> Option<Refusal> {
        let (refusal, times) = self.0.get_mut(function).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*refusal)
    }
}
