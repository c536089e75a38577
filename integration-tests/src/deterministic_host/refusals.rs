//! Host calls that the test makes fail.

use std::collections::BTreeMap;

use super::status::Status;

/// How often each function is still to refuse, and how.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, (Refusal, u32)>);

/// How a function of the host refuses.
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

    /// The refusal that is due for a call to this function, if one is.
    pub(super) fn take(&mut self, function: &str) -> Option<Refusal> {
        let (refusal, times) = self.0.get_mut(function).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*refusal)
    }
}
