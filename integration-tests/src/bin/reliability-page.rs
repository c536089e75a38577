//! Writes docs/reliability.md from the results of the trials and of the flood in target/reliability.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use integration_tests::memory::Memory;
use integration_tests::paths;
use integration_tests::plot::Axis;
use integration_tests::timeline;
use serde_json::Value;

fn main() -> Result<()> {
    let rows = rows()?;
    ensure!(!rows.is_empty(), "nothing was tried; `./justw reliability` does");
    let mut page = page(&rows)?;
    if let Ok(result) = std::fs::read(paths::reliability()?.join("memory.json")) {
        memory(&mut page, &serde_json::from_slice(&result)?)?;
    }
    std::fs::write(paths::root().join("docs/reliability.md"), page)?;
    Ok(())
}

/// The trials of one scenario, by the number of workers.
type Trials = BTreeMap<u64, Value>;

fn rows() -> Result<BTreeMap<String, Trials>> {
    let mut rows = BTreeMap::<String, Trials>::new();
    for file in std::fs::read_dir(paths::reliability()?)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let row: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let Some(scenario) = row["scenario"].as_str() else { continue };
        let workers = row["workers"].as_u64().context("a row without workers")?;
        rows.entry(scenario.to_owned()).or_default().insert(workers, row);
    }
    Ok(rows)
}

fn page(rows: &BTreeMap<String, Trials>) -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    let envoy = std::fs::read_link(paths::root().join(".tools/envoy"))?;
    let processors = std::thread::available_parallelism()?;
    writeln!(
        page,
        "The tests generate this page; `./justw reliability` runs longer trials. The last ran with {} on {processors} processors shared by clients,\n\
         servers and Envoy: {} clients, and faults of {}.\n",
        envoy.display().to_string().replace("envoy-", "Envoy "),
        numbers(rows, "clients", |clients| clients.to_string()),
        numbers(rows, "fault_ms", |milliseconds| format!("{:.0} s", milliseconds as f64 / 1000.0)),
    )?;
    let (of_envoy, of_server): (Vec<_>, Vec<_>) =
        rows.iter().partition(|(scenario, _)| scenario.starts_with("Envoy"));
    page.push_str("## The authorization server fails\n\n");
    table(&mut page, "the server", &of_server)?;
    page.push_str("\n## Envoy restarts or changes\n\n");
    table(&mut page, "what happens", &of_envoy)?;
    page.push_str(LEGEND);
    let with_two_workers: Vec<(&str, &Value)> =
        rows.iter().filter_map(|(scenario, trials)| Some((scenario.as_str(), trials.get(&2)?))).collect();
    std::fs::write(paths::root().join("docs/reliability-timeline.svg"), timeline::svg(&with_two_workers)?)?;
    page.push_str(TIMELINE);
    Ok(page)
}

fn table(page: &mut String, heading: &str, rows: &[(&String, &Trials)]) -> Result<()> {
    writeln!(
        page,
        "| {heading} | valid tokens, new | valid tokens, cached | longest wait | time to recover |"
    )?;
    page.push_str("|---|---|---|---|---|\n");
    for (scenario, trials) in rows {
        let longest = trials.values().filter_map(|row| row["worst_latency_ms"].as_u64()).max();
        let recovery: Vec<String> = trials
            .iter()
            .map(|(workers, row)| format!("{} ms ({workers})", row["time_to_recover_ms"]))
            .collect();
        writeln!(
            page,
            "| {scenario} | {} | {} | {} ms | {} |",
            sights(trials, "cold"),
            sights(trials, "known"),
            longest.unwrap_or_default(),
            recovery.join(", "),
        )?;
    }
    Ok(())
}

/// Adds the results of the flood of tokens to the page, and plots them.
fn memory(page: &mut String, result: &Value) -> Result<()> {
    let tokens = Axis { name: "valid tokens, each used once", number: |tokens| format!("{tokens:.0}") };
    let plot = paths::root().join("docs/reliability-memory.svg");
    Memory::from_json(&result["samples"])?.plot(
        "Envoy with one worker, in a flood of tokens",
        tokens,
        &plot,
    )?;
    writeln!(
        page,
        "\n## Memory is bounded\n\n\
         {} valid tokens, each used once, were sent to an Envoy with one worker and a cache limited to {} entries and {} kB\n\
         (`./justw memory`). After the first 30 %, Envoy's resident memory grew by {} kB. Ten tokens that were used again and again in between\n\
         were introspected once each.\n\n\
         ![resident memory over tokens](reliability-memory.svg)",
        result["tokens"],
        result["max_entries"],
        result["max_bytes"].as_u64().unwrap_or_default() >> 10,
        result["growth_bytes"].as_u64().unwrap_or_default() >> 10,
    )?;
    Ok(())
}

/// What clients with one kind of token saw, summed over all numbers of workers.
fn sights(trials: &Trials, kind: &str) -> String {
    let mut sums = BTreeMap::<&str, u64>::new();
    for row in trials.values() {
        for (observed, count) in row["seen"][kind].as_object().into_iter().flatten() {
            *sums.entry(observed).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    let sums: Vec<String> = sums.iter().map(|(observed, count)| format!("{observed}: {count}")).collect();
    sums.join(", ")
}

/// All values of this field, as a range from the least to the greatest.
fn numbers(rows: &BTreeMap<String, Trials>, name: &str, show: impl Fn(u64) -> String) -> String {
    let all: BTreeSet<u64> =
        rows.values().flat_map(BTreeMap::values).filter_map(|row| row[name].as_u64()).collect();
    match (all.first(), all.last()) {
        (Some(first), Some(last)) if show(*first) != show(*last) => {
            format!("{} to {}", show(*first), show(*last))
        }
        (first, _) => first.copied().map(show).unwrap_or_default(),
    }
}

const INTRODUCTION: &str = "\
# Reliability

What clients see during a failure. Many clients call a real Envoy with the filter: some with valid tokens that are cached, some with
valid tokens that are new, some with random tokens, some with none. A fault begins, lasts a while, and ends. Throughout, in every test
run:

- No request without a valid token reaches the API, and each one that does carries the JWT of its own token.
- No client waits longer than the introspection timeout, plus what a busy machine adds.
- No VM stops.
- No valid token is a 401, and no failure of the server has `WWW-Authenticate`; a 503 has `Retry-After`.
- Cached tokens, and requests that need no introspection, are not affected.
- Valid tokens are served again soon after the fault ends.

";

const LEGEND: &str = "
The counts are requests during the fault by status, summed over runs with one, two and four workers. `cut` is a connection that was
closed or refused; only Envoy itself does that. The time to recover runs from the end of the fault to the first new valid token that was
served and after which none was refused; the number of workers is in parentheses.
";

const TIMELINE: &str = "
What clients saw over time, with two workers. A response counts when it arrives, so the 504s of a server that hangs begin after the timeout
of two seconds. Where a strip is blank, no response arrived: a client that waits for a new token sends nothing else meanwhile.

![shares of each status before, during and after each fault](reliability-timeline.svg)
";
