//! Host calls that the test lets fail.

use std::collections::BTreeMap;

use super::status::Status;

/// How often each function is still to refuse, and how.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, (Status, u32)>);

impl Refusals {
    pub(super) fn add(&mut self, function: &str, status: Status, times: u32) {
        self.0.insert(function.to_owned(), (status, times));
    }

    pub(super) fn is_any_due(&self) -> bool {
        self.0.values().any(|(_, times)| *times > 0)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The refusal that is due for a call to this function, if one is.
    pub(super) fn take(&mut self, function: &str) -> Option<Status> {
        let (status, times) = self.0.get_mut(function).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*status)
    }
}
