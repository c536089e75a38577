//! Summaries of noisy figures. Medians throughout: a disturbed turn counts as one turn, however much it was disturbed.

use std::time::Duration;

/// The summary of a number of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the figures are below.
    pub median: f64,
    /// A quarter of the figures are below.
    pub lower_quartile: f64,
    /// A quarter of the figures are above.
    pub upper_quartile: f64,
    /// The 95 % confidence interval of the median, by ranks, so that it assumes nothing about the distribution.
    pub confidence: (f64, f64),
}

impl Summary {
    /// Summarizes these figures. Returns `None` if there are none, or one of them is NaN.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        if sorted.iter().any(|figure| figure.is_nan()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let half_width = 0.98 * count.sqrt();
        let rank = |rank: f64| sorted.get((rank.max(1.0) as usize).min(sorted.len()) - 1).copied();
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            lower_quartile: quantile(&sorted, 0.25)?,
            upper_quartile: quantile(&sorted, 0.75)?,
            confidence: (
                rank((count / 2.0 - half_width).floor())?,
                rank((count / 2.0 + half_width + 1.0).ceil())?,
            ),
        })
    }

    /// The largest distance from zero that the median may have.
    pub fn farthest(&self) -> f64 {
        self.confidence.0.abs().max(self.confidence.1.abs())
    }
}

/// Returns the shortest time within which this many per mille of the requests ended: one of the times, not interpolated. Zero if there are
/// none.
pub fn per_mille(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Returns a quantile, interpolated between the two nearest figures.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests;
