//! Evaluates the turns: each is compared with plain Envoy's turn of the same cycle, and the differences are summarized. So is the
//! difference of plain Envoy from itself: anything smaller is not a finding.

use std::time::Duration;

use anyhow::{Context, Result};

use super::gateway::Turn;
use super::measurement::{Paced, Series};
use super::statistics::{Summary, per_mille};
use super::variants::{Destination, Variant};

/// The results of one series.
pub struct Findings {
    pub workers: u32,
    pub destination: Destination,
    pub variants: Vec<Finding>,
}

/// The results of one variant in a series.
#[derive(Clone, Copy)]
pub struct Finding {
    pub variant: Variant,
    /// CPU microseconds for each request.
    pub cpu: Summary,
    /// Requests per second.
    pub rate: Summary,
    /// CPU microseconds for each request, in addition to plain Envoy's.
    pub added: Summary,
    /// The same, in addition to those of plain Envoy whose clients send the JWT.
    pub added_to_plain_with_jwt: Summary,
    /// Requests per second, as a multiple of plain Envoy's.
    pub relative_rate: Summary,
}

/// How long the requests of a variant took at a fixed rate.
pub struct Latency {
    pub variant: Variant,
    pub requests: usize,
    /// The 50th, 90th, 99th and 99.9th percentiles.
    pub percentiles: [Duration; 4],
}

impl Findings {
    pub fn of(series: &Series) -> Result<Self> {
        let turns =
            |variant| series.turns.get(&variant).map(Vec::as_slice).context("a variant without turns");
        let (plain, plain_with_jwt) = (turns(Variant::Plain)?, turns(Variant::PlainWithJwt)?);
        let finding = |variant| {
            let own = turns(variant)?;
            anyhow::Ok(Finding {
                variant,
                cpu: summary(own.iter().map(Turn::cpu_per_request))?,
                rate: summary(own.iter().map(Turn::rate))?,
                added: paired(own, plain, |own, plain| own.cpu_per_request() - plain.cpu_per_request())?,
                added_to_plain_with_jwt: paired(own, plain_with_jwt, |own, plain| {
                    own.cpu_per_request() - plain.cpu_per_request()
                })?,
                relative_rate: paired(own, plain, |own, plain| own.rate() / plain.rate())?,
            })
        };
        let variants = Variant::ALL.into_iter().map(finding).collect::<Result<_>>()?;
        Ok(Self { workers: series.workers, destination: series.destination, variants })
    }

    /// The name of the series in reports.
    pub fn title(&self) -> String {
        let workers = if self.workers == 1 { "worker" } else { "workers" };
        format!("{} {workers}, {}", self.workers, self.destination.name())
    }

    pub fn finding(&self, variant: Variant) -> Result<&Finding> {
        self.variants.iter().find(|finding| finding.variant == variant).context("a variant without findings")
    }

    /// The difference between two identical variants, in CPU microseconds for each request.
    pub fn noise(&self) -> Result<Summary> {
        Ok(self.finding(Variant::PlainAgain)?.added)
    }

    /// Whether a variant's added cost is within the noise: two identical variants may differ by more.
    pub fn is_noise(&self, finding: &Finding) -> Result<bool> {
        Ok(finding.added.median.abs() <= self.noise()?.farthest())
    }

    /// The requests per second of the slowest variant.
    pub fn slowest(&self) -> f64 {
        self.variants.iter().map(|finding| finding.rate.median).fold(f64::INFINITY, f64::min)
    }
}

pub fn latencies(paced: &Paced) -> Vec<Latency> {
    let latency = |variant| {
        let sorted = paced.latencies.get(&variant)?;
        let percentiles = PER_MILLE.map(|share| per_mille(sorted, share));
        Some(Latency { variant, requests: sorted.len(), percentiles })
    };
    Variant::ALL.into_iter().filter_map(latency).collect()
}

/// The series with this number of workers and to this destination.
pub fn series(all: &[Findings], workers: u32, destination: Destination) -> Result<&Findings> {
    let is_it = |one: &&Findings| one.workers == workers && one.destination == destination;
    all.iter().find(is_it).context("no such series")
}

fn paired(own: &[Turn], plain: &[Turn], compare: impl Fn(&Turn, &Turn) -> f64) -> Result<Summary> {
    summary(own.iter().zip(plain).map(|(own, plain)| compare(own, plain)))
}

fn summary(figures: impl Iterator<Item = f64>) -> Result<Summary> {
    Summary::of(figures).context("turns without a request")
}

const PER_MILLE: [usize; 4] = [500, 900, 990, 999];
