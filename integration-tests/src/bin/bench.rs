//! Measures the cost of the filter in a real Envoy.
//!
//! `bench` takes about ten minutes and writes `docs/performance.md`; `bench --quick` takes about one and writes to
//! `target/bench`, to check that it works.

use anyhow::{Result, ensure};
use integration_tests::bench::{self, Plan};
use integration_tests::paths;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "clients of this build are too slow to measure with; `./justw bench` has others"
    );
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let trial = paths::root().join("target/bench");
    let (plan, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => (Plan::FULL, paths::root().join("docs")),
        ["--quick"] => (Plan::QUICK, trial.clone()),
        _ => anyhow::bail!("usage: bench [--quick]"),
    };
    bench::run(&plan, &folder, &trial).await
}
