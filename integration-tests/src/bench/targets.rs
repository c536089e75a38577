//! What the project has set itself. Whether it is met is told, and never fails a run: a machine may have had a bad day.

use anyhow::Result;

use super::findings::{Findings, series};
use super::variants::{Destination, Variant};

pub struct Target {
    /// What shall be.
    pub text: &'static str,
    pub limit: Limit,
    pub measured: f64,
}

/// On which side of a number a figure shall be.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Not above.
    AtMost(f64),
    /// Not below.
    AtLeast(f64),
}

impl Target {
    /// Whether it is met.
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.measured <= limit,
            Limit::AtLeast(limit) => self.measured >= limit,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(formatter, "≤ {limit:.2}"),
            Self::AtLeast(limit) => write!(formatter, "≥ {limit:.2}"),
        }
    }
}

/// All targets, with one worker.
pub fn targets(all: &[Findings]) -> Result<Vec<Target>> {
    let (direct, upstream) = (series(all, 1, Destination::Direct)?, series(all, 1, Destination::Upstream)?);
    let plain = direct.finding(Variant::Plain)?.cpu.median;
    let cached = direct.finding(Variant::OneToken)?;
    let ext_authz = direct.finding(Variant::ExtAuthz)?;
    Ok(vec![
        Target {
            text: "A cached token adds to plain Envoy's CPU, direct",
            limit: Limit::AtMost(0.36),
            measured: cached.added.median / plain,
        },
        Target {
            text: "Requests in a second with a cached token, × plain, direct",
            limit: Limit::AtLeast(0.72),
            measured: cached.relative_rate.median,
        },
        Target {
            text: "The same with an upstream",
            limit: Limit::AtLeast(0.80),
            measured: upstream.finding(Variant::OneToken)?.relative_rate.median,
        },
        Target {
            text: "A token in shared data adds to plain Envoy's CPU, direct",
            limit: Limit::AtMost(0.45),
            measured: direct.finding(Variant::SharedData)?.added.median / plain,
        },
        Target {
            text: "Requests in a second with a cached token, × ext_authz, direct",
            limit: Limit::AtLeast(2.5),
            measured: cached.relative_rate.median / ext_authz.relative_rate.median,
        },
        Target {
            text: "What a call each time adds, × what ext_authz adds, direct",
            limit: Limit::AtMost(1.2),
            measured: direct.finding(Variant::Uncached)?.added.median / ext_authz.added.median,
        },
    ])
}
