//! The turns. In each cycle every variant has one, in a new random order, so that other load on the machine affects all variants alike, and
//! each turn can be compared with plain Envoy's turn within the same second.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::gateway::{Gateway, Turn};
use super::variants::{Destination, Variant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long each variant serves requests to each destination before anything is measured.
    pub warm_up: Duration,
    /// How many turns each variant has, with each number of workers and to each destination.
    pub cycles: usize,
    /// The length of such a turn.
    pub turn: Duration,
    /// How many turns each variant has at a fixed rate.
    pub paced_cycles: usize,
    /// The length of a turn at a fixed rate.
    pub paced_turn: Duration,
}

/// The turns of all variants with one number of workers and to one destination.
pub struct Series {
    pub workers: u32,
    pub destination: Destination,
    /// The turns of each variant, one in each cycle.
    pub turns: HashMap<Variant, Vec<Turn>>,
}

/// How long requests took at a fixed rate.
pub struct Paced {
    /// Requests per second.
    pub rate: u32,
    /// The sorted latencies of each variant.
    pub latencies: HashMap<Variant, Vec<Duration>>,
}

impl Plan {
    /// About ten minutes.
    pub const FULL: Self = Self {
        warm_up: Duration::from_secs(1),
        cycles: 120,
        turn: Duration::from_millis(50),
        paced_cycles: 20,
        paced_turn: Duration::from_millis(500),
    };

    /// About a minute.
    pub const QUICK: Self = Self {
        warm_up: Duration::from_millis(100),
        cycles: 20,
        turn: Duration::from_millis(15),
        paced_cycles: 3,
        paced_turn: Duration::from_millis(200),
    };
}

/// Lets all variants serve requests until everything that is compiled or allocated on demand is.
pub async fn warm_up(plan: &Plan, gateways: &mut [Gateway]) -> Result<()> {
    for gateway in gateways {
        for variant in Variant::ALL {
            for destination in Destination::ALL {
                gateway.turn(variant, destination, plan.warm_up).await?;
            }
        }
    }
    Ok(())
}

/// Measures the turns of all variants, with each number of workers and to each destination.
pub async fn measure(plan: &Plan, gateways: &mut [Gateway]) -> Result<Vec<Series>> {
    let mut all: Vec<Series> = gateways
        .iter()
        .flat_map(|gateway| Destination::ALL.map(|destination| (gateway.workers(), destination)))
        .map(|(workers, destination)| Series { workers, destination, turns: HashMap::new() })
        .collect();
    for _ in 0..plan.cycles {
        fastrand::shuffle(&mut all);
        for series in &mut all {
            let gateway = gateways.iter_mut().find(|gateway| gateway.workers() == series.workers);
            let gateway = gateway.context("no such gateway")?;
            for variant in shuffled() {
                let turn = gateway.turn(variant, series.destination, plan.turn).await?;
                series.turns.entry(variant).or_default().push(turn);
            }
        }
    }
    all.sort_by_key(|series| (series.workers, series.destination.name()));
    Ok(all)
}

/// Measures latencies at half the rate that the slowest variant sustains, with one worker and no upstream.
pub async fn pace(plan: &Plan, gateway: &mut Gateway, slowest: f64) -> Result<Paced> {
    let rate = ((slowest / 200.0).floor() as u32 * 100).max(100);
    let mut latencies: HashMap<Variant, Vec<Duration>> = HashMap::new();
    for _ in 0..plan.paced_cycles {
        for variant in shuffled() {
            let path = variant.path(Destination::Direct);
            let turn = gateway.clients(variant)?.pace(path, rate, plan.paced_turn).await?;
            latencies.entry(variant).or_default().extend(turn);
        }
    }
    for times in latencies.values_mut() {
        times.sort_unstable();
    }
    Ok(Paced { rate, latencies })
}

fn shuffled() -> [Variant; Variant::ALL.len()] {
    let mut variants = Variant::ALL;
    fastrand::shuffle(&mut variants);
    variants
}
