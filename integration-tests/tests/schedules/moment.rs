//! When something was: by the host's clock, which may be set back, and by a monotonic one.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the host's clock, since the epoch.
    pub clock: Duration,
    /// How much time has passed since the schedule began. What must not last too long is measured by that.
    pub elapsed: Duration,
}
