//! Limits the introspections of one worker, or of a process: a flood of random tokens must not take down the server, which clients with
//! valid tokens need (R111). Nor may it prevent the refresh of tokens in use (R114): a part of each limit is reserved for known tokens.

use crate::time::Timestamp;

/// The limits of one worker, or of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of queries in flight.
    pub concurrent: usize,
    /// The maximum number of queries in a second, and in one burst after an idle second.
    pub per_second: usize,
    /// The maximum number of requests that wait for responses at one worker.
    pub waiting: usize,
}

/// The precedence of tokens when a limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Tokens that this worker has not seen active.
    #[default]
    Unknown,
    /// Tokens that this worker has seen active.
    Known,
}

/// A token bucket that fills by the clock.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    /// The remaining budget, in thousandths of a query.
    budget: u64,
    filled_at: Option<Timestamp>,
}

impl Limiter {
    /// Starts with a full bucket.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, budget: capacity(limits), filled_at: None }
    }

    /// Whether one more query may be sent while `open` queries are in flight. [`Self::take`] then charges it to the budget.
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

    /// Charges the budget for one query, which is sent now.
    pub(crate) fn take(&mut self) {
        self.budget = self.budget.saturating_sub(ONE);
    }
}

fn capacity(limits: Limits) -> u64 {
    (limits.per_second as u64).saturating_mul(ONE)
}

const ONE: u64 = 1000;

/// One of this many slots is reserved for known tokens. The reserve refills before other tokens get any, so it limits a burst and not the
/// rate.
const RESERVED: usize = 8;

#[cfg(test)]
mod tests;
