//! Limits introspections, those of one worker or of a process: a flood of random tokens must not take down the server, which clients with valid
//! tokens need (R111). Nor may it prevent the refresh of tokens in use (R114): a part of each limit is reserved for them.

use crate::time::Timestamp;

/// The limits of one worker, or of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many queries may be open at one time.
    pub concurrent: usize,
    /// How many may be asked in a second; as many at once, after a second of rest.
    pub per_second: usize,
    /// How many requests may wait for answers at one worker at one time.
    pub waiting: usize,
}

/// The precedence of tokens when a limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Tokens that this worker has not seen active.
    #[default]
    Unknown,
    /// Tokens that it has.
    Known,
}

/// A token bucket that fills by the clock.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    /// What may be asked, in thousandths of a query.
    budget: u64,
    filled_at: Option<Timestamp>,
}

impl Limiter {
    /// Starts with a full bucket.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, budget: capacity(limits), filled_at: None }
    }

    /// Whether one more may be sent, while so many are open; [`Self::take`] then takes it off the budget.
    pub(crate) fn admits(&mut self, precedence: Precedence, open: usize, now: Timestamp) -> bool {
        let elapsed = self.filled_at.map_or(0, |filled_at| now.since(filled_at).as_millis());
        let gained = u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_mul(self.limits.per_second as u64);
        self.budget = self.budget.saturating_add(gained).min(capacity(self.limits));
        self.filled_at = Some(now);
        let Limits { concurrent, per_second, .. } = self.limits;
        let reserved = |limit: usize| match precedence {
            Precedence::Unknown => limit / RESERVED,
            Precedence::Known => 0,
        };
        let needed = ONE.saturating_add((reserved(per_second) as u64).saturating_mul(ONE));
        open < concurrent.saturating_sub(reserved(concurrent)) && self.budget >= needed
    }

    /// One is sent.
    pub(crate) fn take(&mut self) {
        self.budget = self.budget.saturating_sub(ONE);
    }
}

fn capacity(limits: Limits) -> u64 {
    (limits.per_second as u64).saturating_mul(ONE)
}

const ONE: u64 = 1000;

/// One of so many slots is reserved for known tokens. The reserve refills before others get any, so it limits a burst and not
/// the rate.
const RESERVED: usize = 8;

#[cfg(test)]
mod tests;
