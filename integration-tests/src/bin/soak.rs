//! A long run of everything: load on a real Envoy, while the authorization server fails in random ways and the configuration changes.
//! `soak MINUTES` ends with the first broken promise, or with success.
//!
//! Leaves `soak.json` and `memory.svg` in target/soak.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use anyhow::{Context, Result};
use integration_tests::fault::FAULTS;
use integration_tests::load::LoadProfile;
use integration_tests::memory::Memory;
use integration_tests::paths;
use integration_tests::plot::Axis;
use integration_tests::trial::{Effort, Gateway, MARGIN, Row, TIMEOUT};
use serde_json::json;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> Result<()> {
    let minutes: u64 = match std::env::args().nth(1) {
        Some(minutes) => minutes.parse().context("usage: soak [MINUTES]")?,
        None => 30,
    };
    let began = Instant::now();
    let length = Duration::from_secs(minutes * 60);
    // Small enough to fill early, so that later growth is not the cache's.
    let mut gateway = Gateway::start("soak", 2, |configuration| {
        configuration["cache"] = json!({"max_entries": 1000, "max_bytes": 1 << 20, "max_ttl": "1h"});
    })
    .await?;
    let (mut memory, mut diary) = (Memory::default(), Diary::default());
    let result = loop {
        memory.sample(began.elapsed().as_secs_f64() / 60.0, &gateway.envoy)?;
        if began.elapsed() >= length {
            break memory.stays_flat(FULL, ALLOWANCE);
        }
        match episode(&mut gateway).await {
            Ok(row) => diary.note(&row),
            Err(broken) => break Err(broken),
        }
    };
    diary.write(&memory)?;
    println!("{} episodes, answers: {:?}", diary.episodes.len(), diary.answers);
    result
}

/// Runs a random fault or change of configuration.
async fn episode(gateway: &mut Gateway) -> Result<Row> {
    let load = LoadProfile { clients: 60, pause: Duration::from_millis(100), patience: TIMEOUT + MARGIN };
    let phase = Duration::from_millis(500 + chance(2500));
    let effort = Effort { load, phase };
    match FAULTS.get(usize::try_from(chance(FAULTS.len() as u64 + CHANGES))?) {
        Some(fault) => gateway.try_fault(fault.name, effort, *fault).await,
        None => gateway.try_changes("Envoy is reconfigured", effort, 2).await,
    }
}

/// The record of the episodes.
#[derive(Default)]
struct Diary {
    episodes: Vec<serde_json::Value>,
    answers: BTreeMap<String, u64>,
}

impl Diary {
    fn note(&mut self, row: &Row) {
        println!("{:<40} recovered after {:>4} ms  {:?}", row.scenario, row.recovery.as_millis(), row.all);
        self.episodes.push(row.json());
        for (observed, count) in &row.all {
            *self.answers.entry(observed.clone()).or_default() += count;
        }
    }

    fn write(&self, memory: &Memory) -> Result<()> {
        let folder = paths::soak()?;
        let minutes = Axis { name: "minutes", number: |minutes| format!("{minutes:.1}") };
        memory.plot("Envoy, while everything happens to it", minutes, &folder.join("memory.svg"))?;
        let result = json!({"answers": self.answers, "samples": memory.json(), "episodes": self.episodes});
        Ok(std::fs::write(folder.join("soak.json"), format!("{result:#}\n"))?)
    }
}

/// Returns a random number below this one.
fn chance(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// The weight of a change of configuration, where each fault has weight one.
const CHANGES: u64 = 4;

/// The share of the time after which all caches are full.
const FULL: f64 = 0.3;

/// How much memory may grow after that, in bytes, while many configurations are replaced.
const ALLOWANCE: u64 = 16 << 20;
