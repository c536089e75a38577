//! How long a response serves: first while it is fresh, then while the server cannot be asked.

use std::time::Duration;

use crate::time::Timestamp;

/// When a response stops being fresh, and when it stops being usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Until when the response serves without asking the server again.
    pub(crate) fresh_until: Timestamp,
    /// Until when the response serves if the server cannot be asked (R56); not before `fresh_until`.
    pub(crate) usable_until: Timestamp,
}

impl Lifetime {
    /// Lifetime of an uncacheable result.
    pub(crate) const NONE: Self =
        Self { fresh_until: Timestamp::from_millis(0), usable_until: Timestamp::from_millis(0) };

    /// Whether a response that is kept for at most `max_ttl` can have this lifetime now. It cannot if the clock was set back since.
    pub(crate) fn is_possible(self, max_ttl: Duration, now: Timestamp) -> bool {
        self.fresh_until <= now.plus(max_ttl)
    }

    pub(crate) fn is_fresh(self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    pub(crate) fn is_usable(self, now: Timestamp) -> bool {
        now < self.usable_until
    }

    /// When to refresh the response: `ahead` before its freshness ends, but not in the first half of the remaining time. `None` if no time
    /// remains, or `ahead` is zero.
    pub(crate) fn refresh_at(self, ahead: Duration, now: Timestamp) -> Option<Timestamp> {
        let left = self.fresh_until.since(now);
        let ahead = ahead.min(left / 2);
        (!ahead.is_zero()).then(|| now.plus(left.saturating_sub(ahead)))
    }
}
