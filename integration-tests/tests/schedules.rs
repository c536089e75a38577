//! The filter in a deterministic host, through random runs: requests, answers of every kind or none, clients that disconnect, floods of
//! random tokens, keys that rotate, proofs that are replayed, clocks that jump or go back, hosts that refuse and configurations that
//! change, in any order. A model of what must be true judges each outcome.
//!
//! The runs are the same every time, so a failure is due to a change of the code. `SCHEDULES=1000 SCHEDULES_FROM=5000` runs others. A seed
//! that once failed is kept in `schedules-seeds.txt`, and is tried first.

#[path = "schedules/bounds.rs"]
mod bounds;
#[path = "schedules/format.rs"]
mod format;
#[path = "schedules/forwarded.rs"]
mod forwarded;
#[path = "schedules/limits.rs"]
mod limits;
#[path = "schedules/minted.rs"]
mod minted;
#[path = "schedules/model.rs"]
mod model;
#[path = "schedules/moment.rs"]
mod moment;
#[path = "schedules/proofs.rs"]
mod proofs;
#[path = "schedules/published_keys.rs"]
mod published_keys;
#[path = "schedules/refused.rs"]
mod refused;
#[path = "schedules/schedule.rs"]
mod schedule;
#[path = "schedules/sent.rs"]
mod sent;
#[path = "schedules/server.rs"]
mod server;
#[path = "schedules/signer.rs"]
mod signer;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use integration_tests::deterministic_host::Behaviour;
use integration_tests::paths;

use crate::schedule::Schedule;

/// If this failed, some order of events would let a forbidden request through, or leave one waiting forever.
#[test]
fn r023_r024_r031_r035_r043_r055_r063_r066_r074_r093_r108_r110_r111_no_order_of_events_breaks_a_promise()
-> Result<()> {
    let tally = run(Behaviour::Envoy, 300)?;
    assert_seen(OUTCOMES.iter().chain(OUTCOMES_OF_ENVOY), 12, &tally);
    Ok(())
}

/// If this failed, a host that resumes requests by itself, and cannot switch between them, would forward the wrong one.
#[test]
fn r023_r024_r066_r074_r093_nor_where_the_host_resumes_by_itself_and_cannot_switch() -> Result<()> {
    let tally = run(Behaviour::NgxWasm, 110)?;
    assert_seen(OUTCOMES.iter(), 3, &tally);
    let shared = tally.get("requests that shared an answer");
    assert_eq!(shared, None, "where the host cannot switch, each request asks by itself");
    Ok(())
}

fn run(behaviour: Behaviour, count: u64) -> Result<BTreeMap<&'static str, u32>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (from, count) = (number("SCHEDULES_FROM").unwrap_or(1), number("SCHEDULES").unwrap_or(count));
    let text = std::fs::read_to_string(paths::root().join("integration-tests/schedules-seeds.txt"))?;
    let kept = text.lines().filter(|line| !line.starts_with('#')).map(str::parse);
    let kept = kept.collect::<Result<Vec<u64>, _>>().context("not a seed")?;
    let mut tally = BTreeMap::new();
    let mut steps = 0;
    for seed in kept.into_iter().chain(from..from + count) {
        let mut schedule = Schedule::new(behaviour, seed)?;
        let result = schedule.run(STEPS);
        steps += result.with_context(|| report(&schedule, seed))?;
        for (outcome, count) in schedule.model.tally {
            *tally.entry(outcome).or_default() += count;
        }
    }
    ensure!(steps >= count * STEPS, "only {steps} steps");
    println!("{behaviour:?}: {steps} steps, {tally:#?}");
    Ok(tally)
}

/// If too few runs reached the situations where something can go wrong, their success would prove nothing.
fn assert_seen<'a>(
    outcomes: impl Iterator<Item = &'a &'static str>,
    least: u32,
    tally: &BTreeMap<&'static str, u32>,
) {
    for outcome in outcomes.filter(|_| std::env::var_os("SCHEDULES").is_none()) {
        let count = tally.get(outcome).copied().unwrap_or_default();
        assert!(count >= least, "{outcome}: seen {count} times, which shows nothing: {tally:#?}");
    }
}

fn report(schedule: &Schedule, seed: u64) -> String {
    let remedy = "add it to integration-tests/schedules-seeds.txt when it is repaired";
    format!("after:\n{}\nThis is the seed {seed}; {remedy}", schedule.trace.join("\n"))
}

/// Long enough for configurations to change in the middle, and short enough for a trace to be read.
const STEPS: u64 = 250;

/// The outcomes that have to be seen, or the runs prove nothing about them.
const OUTCOMES: &[&str] = &[
    "public",
    "not exposed",
    "without credentials",
    "malformed",
    "of bad syntax",
    "forwarded by a cache",
    "forwarded after waiting",
    "forwarded by another worker's answer",
    "forwarded by an old configuration",
    "forwarded after the revocation",
    "forwarded with a signature",
    "forwarded with a minted JWT",
    "forwarded by fields alone",
    "forwarded with a proof",
    "invalid token",
    "a token of another sender",
    "a token that is not bound",
    "a wrong proof",
    "a proof that was used before",
    "a nonce was asked for",
    "insufficient scope",
    "reported, with its JWT",
    "reported, as nobody's",
    "failed with the server",
    "failed with the host",
    "forged",
    "signed by an unknown key",
    "without keys",
    "withheld by a limit",
    "withheld after failures",
    "forwarded by an old answer",
    "refreshed in the background",
    "asked for keys",
    "keys changed",
    "flooded",
    "all left",
    "the clock went back",
    "reconfigured",
];

const OUTCOMES_OF_ENVOY: &[&str] =
    &["configuration refused", "timed out", "requests that shared an answer", "left while others waited"];
