//! A moment, by the host's clock, which may be set back, and by a monotonic one.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the host's clock, since the epoch.
    pub clock: Duration,
    /// The time that has passed since the schedule began, which limits durations.
    pub elapsed: Duration,
}
