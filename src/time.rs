//! Timestamps, and the window in which a token is valid. There is no clock here: every call passes the current time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch.
///
/// NumericDates of JWTs (RFC 7519 §2) are in seconds and may have a fraction; milliseconds keep what matters of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that is `milliseconds` after the Unix epoch.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The moment that is `seconds` after the Unix epoch. Times before the epoch count as the epoch, and times out of range as the last
    /// moment.
    pub fn from_numeric_date(seconds: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, NaN is 0"
        )]
        Self((seconds * 1000.0) as u64)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment, `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This moment, `duration` earlier; not before the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Whether this moment is within the `duration` that begins at `start`. It is not if `start` is in the future, since then the clock was
    /// set back.
    pub fn is_within(self, duration: Duration, start: Self) -> bool {
        start <= self && self < start.plus(duration)
    }

    /// The time from `earlier` until this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// When a token is valid: `not_before <= now < expires`, each bound optional (RFC 7662 §2.2, RFC 7519 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// `exp`: the first moment at which the token is not valid any more.
    pub expires: Option<Timestamp>,
    /// `nbf`: the first moment at which the token is valid.
    pub not_before: Option<Timestamp>,
}

impl Validity {
    /// The window in which both are valid: a token and the JWT that stands for it have separate dates.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            expires: [self.expires, other.expires].into_iter().flatten().min(),
            not_before: self.not_before.max(other.not_before),
        }
    }

    /// Whether the token has expired, for a clock that may be `leeway` ahead of the issuer's.
    pub fn has_expired(&self, now: Timestamp, leeway: Duration) -> bool {
        self.expires.is_some_and(|expires| now >= expires.plus(leeway))
    }

    /// Whether the token is not valid yet, for a clock that may be `leeway` behind the issuer's.
    pub fn is_not_yet_valid(&self, now: Timestamp, leeway: Duration) -> bool {
        self.not_before.is_some_and(|not_before| now.plus(leeway) < not_before)
    }
}

fn millis(duration: Duration) -> u64 {
    match duration.as_secs() {
        seconds if seconds < u64::MAX / 1000 => {
            seconds.wrapping_mul(1000).wrapping_add(duration.subsec_millis().into())
        }
        _ => u64::MAX,
    }
}
