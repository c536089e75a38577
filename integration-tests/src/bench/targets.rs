//! The project's own targets. A missed target is reported but never fails a run: the machine may have had a bad day.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use super::findings::{Findings, series};
use super::footprint::{AddedMemory, Footprint};
use super::variants::{Destination, Variant};

pub struct Target {
    pub variant: Variant,
    pub text: &'static str,
    pub limit: Limit,
    pub measured: f64,
    /// The cost of the host calls of a cache hit alone, where no filter can do without them.
    pub calls: Option<f64>,
}

/// A bound for a figure.
#[derive(Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    pub fn is_met(&self) -> bool {
        self.limit.holds(self.measured)
    }

    /// Whether no wasm filter could meet the target.
    pub fn is_out_of_reach(&self) -> bool {
        self.calls.is_some_and(|calls| !self.limit.holds(calls))
    }
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
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

/// The goals for one way to deploy the filter.
struct Goals {
    /// The variants with a token in the cache and without a cache.
    cached: Variant,
    uncached: Variant,
    /// A cache hit, as a multiple of `jwt_authn` with its cache, direct.
    hit: f64,
    /// Requests per second with an upstream, as a multiple of plain Envoy's.
    rate: f64,
    /// A cache miss, as a multiple of `ext_authz` over HTTP, with an upstream.
    miss: f64,
    /// Megabytes in addition to plain Envoy's, once and for each worker.
    memory: f64,
    memory_per_worker: f64,
    /// Seconds to start.
    start: f64,
}

const GOALS: [Goals; 2] = [WASM, MODULE];

const WASM: Goals = Goals {
    cached: Variant::OneToken,
    uncached: Variant::Uncached,
    hit: 0.85,
    rate: 0.87,
    miss: 1.4,
    memory: 35.0,
    memory_per_worker: 1.0,
    start: 0.35,
};

const MODULE: Goals = Goals {
    cached: Variant::ModuleOneToken,
    uncached: Variant::ModuleUncached,
    hit: 0.35,
    rate: 0.92,
    miss: 1.1,
    memory: 3.0,
    memory_per_worker: 0.3,
    start: 0.02,
};

/// All targets, with one worker. `footprints` has those with one worker and with two.
pub fn targets(all: &[Findings], footprints: &[HashMap<Variant, Footprint>]) -> Result<Vec<Target>> {
    let (direct, upstream) = (series(all, 1, Destination::Direct)?, series(all, 1, Destination::Upstream)?);
    let jwt_authn = direct.finding(Variant::JwtAuthnCached)?.added.median;
    let ext_authz = upstream.finding(Variant::ExtAuthz)?.added.median;
    let footprints_of = |variant| match footprints {
        [one, two] => anyhow::Ok([
            *one.get(&variant).context("a variant without footprint")?,
            *two.get(&variant).context("a variant without footprint")?,
        ]),
        _ => bail!("two footprints of each variant are needed"),
    };
    let mut targets = Vec::new();
    for goals in GOALS {
        let [one, two] = footprints_of(goals.cached)?;
        let added = AddedMemory::of([one, two], footprints_of(Variant::Plain)?);
        let (calls, calls_upstream) = match goals.cached {
            Variant::OneToken => {
                (Some(direct.finding(Variant::Calls)?), Some(upstream.finding(Variant::Calls)?))
            }
            _ => (None, None),
        };
        let mut add = |text, limit, measured, calls| {
            targets.push(Target { variant: goals.cached, text, limit, measured, calls });
        };
        add(
            "a hit adds, × what `jwt_authn` with its cache adds to requests with the same token, direct",
            Limit::AtMost(goals.hit),
            direct.finding(goals.cached)?.added.median / jwt_authn,
            calls.map(|calls| calls.added.median / jwt_authn),
        );
        add(
            "requests in a second with a hit, × plain, with an upstream",
            Limit::AtLeast(goals.rate),
            upstream.finding(goals.cached)?.relative_rate.median,
            calls_upstream.map(|calls| calls.relative_rate.median),
        );
        add(
            "a miss adds, × what `ext_authz` over HTTP adds, with an upstream",
            Limit::AtMost(goals.miss),
            upstream.finding(goals.uncached)?.added.median / ext_authz,
            None,
        );
        add("MB above plain Envoy, once", Limit::AtMost(goals.memory), added.once / 1e6, None);
        add(
            "MB above plain Envoy for each worker",
            Limit::AtMost(goals.memory_per_worker),
            added.per_worker / 1e6,
            None,
        );
        add("seconds to start", Limit::AtMost(goals.start), one.start.as_secs_f64(), None);
    }
    Ok(targets)
}
