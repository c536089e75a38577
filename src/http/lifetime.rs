//! Until when an answer serves, and in which way.

use std::time::Duration;

use crate::time::Timestamp;

/// The two ends of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Until when it serves without asking.
    pub(crate) fresh_until: Timestamp,
    /// Until when it serves where the server cannot be asked (R56); no earlier than that.
    pub(crate) usable_until: Timestamp,
}

impl Lifetime {
    /// Lifetime of an uncacheable result.
    pub(crate) const NONE: Self =
        Self { fresh_until: Timestamp::from_millis(0), usable_until: Timestamp::from_millis(0) };

    /// Whether an answer that is kept for `max_ttl` at most can have this lifetime now; it cannot after the clock was set back.
    pub(crate) fn is_possible(self, max_ttl: Duration, now: Timestamp) -> bool {
        self.fresh_until <= now.plus(max_ttl)
    }

    pub(crate) fn is_fresh(self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    pub(crate) fn is_usable(self, now: Timestamp) -> bool {
        now < self.usable_until
    }

    /// When it is to be refreshed: so long before the end of its freshness, but not in the first half of what is left of that.
    pub(crate) fn refresh_at(self, ahead: Duration, now: Timestamp) -> Option<Timestamp> {
        let left = self.fresh_until.since(now);
        let ahead = ahead.min(left / 2);
        (!ahead.is_zero()).then(|| now.plus(left.saturating_sub(ahead)))
    }
}
