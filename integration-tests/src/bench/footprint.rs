//! The memory that a variant uses, and the time it takes to start.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::{Client, Request};
use crate::envoy::Envoy;

/// The memory and start time of one Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// The time from Envoy's start until its workers serve, by its own clock: its main thread does nothing else meanwhile.
    pub start: Duration,
    /// The process's private memory in bytes, without pages of the program's file, before the first request.
    pub at_start: u64,
    /// The same after all turns.
    pub at_end: u64,
}

/// What a filter adds to plain Envoy's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct AddedMemory {
    pub once: f64,
    pub per_worker: f64,
}

impl Footprint {
    /// The footprint of an Envoy that had this many bytes at its start, after its turns.
    pub(super) async fn of(envoy: &Envoy, at_start: u64) -> Result<Self> {
        let path = "/stats/prometheus?filter=server.initialization_time_ms";
        let statistics = Client::to_port(envoy.admin_port()).send(Request::get(path)).await?;
        let text = statistics.text();
        let sum = text.lines().find_map(|line| line.strip_prefix(INITIALIZATION));
        let sum = sum.and_then(|line| line.rsplit(' ').next()).context("Envoy does not tell its start")?;
        let start = Duration::from_secs_f64(sum.parse::<f64>()? / 1000.0);
        Ok(Self { start, at_start, at_end: own_memory(envoy)? })
    }
}

/// The private memory of an Envoy's process now, in bytes.
pub(super) fn own_memory(envoy: &Envoy) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", envoy.process_id()?))?;
    match status.lines().find_map(|line| line.strip_prefix("RssAnon:")) {
        Some(kibibytes) => Ok(kibibytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1024),
        None => bail!("Linux does not tell a process's own memory"),
    }
}

impl AddedMemory {
    /// Computes what a variant adds, from its footprints and plain Envoy's with one worker and with two.
    pub fn of([one, two]: [Footprint; 2], [plain_one, plain_two]: [Footprint; 2]) -> Self {
        let above = |own: Footprint, plain: Footprint| own.at_end as f64 - plain.at_end as f64;
        let per_worker = above(two, plain_two) - above(one, plain_one);
        Self { once: above(one, plain_one) - per_worker, per_worker }
    }
}

const INITIALIZATION: &str = "envoy_server_initialization_time_ms_sum";
