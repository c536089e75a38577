//! Measures the cost of the filter in a real Envoy.
//!
//! `bench` takes about ten minutes and writes `docs/performance.md`; `bench --quick` takes about one minute and writes to `target/bench`,
//! to check that it works. `bench --instructions` only counts the instructions of requests.

use anyhow::{Result, ensure};
use integration_tests::bench::{self, Plan};
use integration_tests::paths;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let trial = paths::root().join("target/bench");
    let (plan, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => (Plan::FULL, paths::root().join("docs")),
        ["--instructions"] => {
            println!("{}", bench::instructions()?);
            return Ok(());
        }
        ["--quick"] => (Plan::QUICK, trial.clone()),
        _ => anyhow::bail!("usage: bench [--quick | --instructions]"),
    };
    ensure!(
        !cfg!(debug_assertions),
        "clients of this build are too slow to measure with; `./justw bench` has others"
    );
    bench::run(&plan, &folder, &trial).await
}
