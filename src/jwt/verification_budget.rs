//! The budget for invalid signatures: a verification takes a worker hundreds of times as long as a cache hit, and invalid signatures cost
//! nothing to make.

use crate::time::Timestamp;

/// A token bucket for failed verifications. Successful ones cost nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerificationBudget {
    per_second: i64,
    /// The remaining budget, in thousandths of a verification; negative if more than that failed.
    left: i64,
    filled_at: Option<Timestamp>,
}

impl VerificationBudget {
    /// Creates a full bucket: `per_second` verifications may fail in a second, and as many at once after an idle second.
    pub(crate) fn new(per_second: usize) -> Self {
        let per_second = i64::try_from(per_second).unwrap_or(i64::MAX);
        Self { per_second, left: per_second.saturating_mul(ONE), filled_at: None }
    }

    /// Whether so many failed lately that nothing more is verified now.
    pub(crate) fn is_spent(&mut self, now: Timestamp) -> bool {
        let elapsed = self.filled_at.map_or(0, |filled_at| now.since(filled_at).as_millis());
        let gained = i64::try_from(elapsed).unwrap_or(i64::MAX).saturating_mul(self.per_second);
        self.left = self.left.saturating_add(gained).min(self.per_second.saturating_mul(ONE));
        self.filled_at = Some(now);
        self.left < ONE
    }

    /// Charges failed verifications to the budget.
    pub(crate) fn spend(&mut self, failed: u32) {
        self.left = self.left.saturating_sub(i64::from(failed).saturating_mul(ONE));
    }
}

const ONE: i64 = 1000;

#[cfg(test)]
mod tests;
