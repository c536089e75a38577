//! How much one worker asks an authorization server about tokens that it does not know: a flood of made-up ones must not take
//! the server down, which those with good tokens need as well (R111).

use crate::time::Timestamp;

/// The limits of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many questions may be open at one time.
    pub concurrent: usize,
    /// How many may be asked in a second; as many at once, after a second of rest.
    pub per_second: usize,
    /// How many requests may wait for answers at one time.
    pub waiting: usize,
}

/// A token bucket that fills by the clock.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    /// What may be asked, in thousandths of a question.
    budget: u64,
    filled_at: Option<Timestamp>,
}

impl Limiter {
    /// Starts with a full bucket.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, budget: capacity(limits), filled_at: None }
    }

    /// Whether one more may be asked, while so many are open; if so, it is taken off the budget.
    pub(crate) fn admit(&mut self, open: usize, now: Timestamp) -> bool {
        let elapsed = self.filled_at.map_or(0, |filled_at| now.since(filled_at).as_millis());
        let gained = u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_mul(self.limits.per_second as u64);
        self.budget = self.budget.saturating_add(gained).min(capacity(self.limits));
        self.filled_at = Some(now);
        if open >= self.limits.concurrent || self.budget < ONE {
            return false;
        }
        self.budget = self.budget.saturating_sub(ONE);
        true
    }
}

fn capacity(limits: Limits) -> u64 {
    (limits.per_second as u64).saturating_mul(ONE)
}

const ONE: u64 = 1000;

#[cfg(test)]
mod tests;
