//! The gateway's memory is bounded, however many tokens arrive: a flood of valid ones, in a real Envoy with one worker.
//!
//! `just memory` sends a million; `MEMORY_TOKENS` sets the number.

use anyhow::{Result, ensure};
use integration_tests::flood::{self, Flood, Statuses};
use integration_tests::memory::Memory;
use integration_tests::paths;
use integration_tests::trial::Gateway;
use serde_json::json;

/// If this failed, a client with many tokens, or just time, would take the proxy down; or tokens in regular use would be
/// displaced by those used once.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_good_tokens_neither_grows_the_memory_nor_displaces_the_hot_ones() -> Result<()> {
    let tokens = match std::env::var("MEMORY_TOKENS") {
        Ok(number) => number.parse()?,
        Err(_) => 30_000,
    };
    let gateway = Gateway::start("memory", 1, |configuration| {
        // In a million requests, a busy machine may stall for a while.
        configuration["introspection"]["timeout"] = json!("1m");
        configuration["cache"] = json!({"max_entries": ENTRIES, "max_bytes": BYTES, "max_ttl": "24h"});
    })
    .await?;
    let mut memory = Memory::default();
    memory.sample(0.0, &gateway.envoy)?;
    let mut statuses = Statuses::new();
    for portion in 1..=PORTIONS {
        let flood = Flood { tokens: tokens / PORTIONS, connections: 64 };
        for (status, count) in flood.pour(gateway.port()).await? {
            *statuses.entry(status).or_default() += count;
        }
        memory.sample((portion * tokens / PORTIONS) as f64, &gateway.envoy)?;
        let complaints = gateway.take_account().complaints;
        ensure!(complaints.is_empty(), "{complaints:?}");
    }
    let hot: Vec<u64> = flood::hot_tokens().map(|token| gateway.server.introspections(token)).collect();
    let result = json!({
        "tokens": tokens, "max_entries": ENTRIES, "max_bytes": BYTES, "samples": memory.json(),
        "growth_bytes": memory.growth_since(FULL)?, "introspections_of_hot_tokens": hot,
    });
    std::fs::write(paths::reliability()?.join("memory.json"), format!("{result:#}\n"))?;
    ensure!(statuses.keys().eq(&[200]), "not all were served: {statuses:?}");
    ensure!(hot.iter().all(|count| *count == 1), "hot tokens were asked about again: {hot:?}");
    let traps = gateway.envoy.traps()?;
    ensure!(traps.is_empty(), "a VM stopped: {traps:?}");
    memory.stays_flat(FULL, ALLOWANCE)
}

/// Small enough that a small flood fills the cache many times over.
const ENTRIES: u64 = 1000;

/// Half of what this many entries would need, so that both bounds are effective.
const BYTES: u64 = 1 << 20;

/// How often memory is sampled.
const PORTIONS: u64 = 50;

/// The share of the flood after which everything is full: most of the slots that workers share are taken after as many tokens as there are
/// slots, and all after seven times as many.
const FULL: f64 = 0.3;

/// How much memory may grow after that. It was observed to grow by 10 kB in the small flood and by 220 kB in a flood of a million. A leak
/// of 50 bytes for each token exceeds the allowance already in the small flood, and one of two bytes in a flood of a million; without
/// bounds, the two levels of the cache would keep 2 kB of each.
const ALLOWANCE: u64 = 1 << 20;
