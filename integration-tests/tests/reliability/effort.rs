//! The extent of the trials: enough for every test run, or everything that docs/reliability.md reports.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use integration_tests::load::LoadProfile;
use integration_tests::trial::{Effort, MARGIN, TIMEOUT};

/// The usual effort for each fault.
pub fn usual() -> Effort {
    match is_full() {
        true => heavy(),
        false => effort(40, 80, 2300),
    }
}

/// Tries gateways with one, two and four workers: concurrently, unless the load on each is large.
pub async fn with_workers(try_one: impl AsyncFn(u32) -> Result<()>) -> Result<()> {
    if is_full() {
        for workers in WORKERS {
            try_one(workers).await?;
        }
        return Ok(());
    }
    try_join_all(WORKERS.map(|workers| try_one(workers))).await?;
    Ok(())
}

/// A load of five hundred clients.
pub fn heavy() -> Effort {
    match is_full() {
        true => effort(500, 600, 5000),
        false => effort(500, 600, 2500),
    }
}

/// An effort. The phase has to be longer than the introspection timeout.
fn effort(clients: usize, pause: u64, phase: u64) -> Effort {
    let load = LoadProfile { clients, pause: Duration::from_millis(pause), patience: TIMEOUT + MARGIN };
    Effort { load, phase: Duration::from_millis(phase) }
}

fn is_full() -> bool {
    std::env::var("RELIABILITY").is_ok_and(|effort| effort == "full")
}

const WORKERS: [u32; 3] = [1, 2, 4];
