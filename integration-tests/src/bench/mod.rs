//! The cost of the filter and of its alternatives in Envoy, all measured in one run.
//!
//! Machines are noisy: figures of one run are comparable, figures of two runs hardly are. So all variants run at once, each in its own
//! Envoy, and each has many short turns in random order; the cost of a request is the CPU time of its Envoy, not elapsed time; and each
//! turn is compared with plain Envoy's turn within the same second.

mod authority;
mod checks;
mod cpu;
mod credentials;
mod filters;
mod findings;
mod footprint;
mod gateway;
mod instructions;
mod load;
mod machine;
mod measurement;
mod page;
mod plot;
mod raw;
mod statistics;
mod table;
mod targets;
mod variants;

use std::path::Path;

use anyhow::{Context, Result};

use self::credentials::Credentials;
use self::findings::Findings;
use self::gateway::Gateway;
pub use self::instructions::instructions;
use self::machine::Machine;
pub use self::measurement::Plan;
use self::page::Report;
use self::variants::Destination;

/// Measures, prints a summary, and writes the report: the page `performance.md` into `folder`, and the figures and their plot into `bench`
/// beside it. Logs go into `logs`.
pub async fn run(plan: &Plan, folder: &Path, logs: &Path) -> Result<()> {
    for folder in [&folder.join("bench"), logs] {
        std::fs::create_dir_all(folder)?;
    }
    let machine = Machine::look()?;
    println!("bench: starting two Envoys for each variant, with one worker and with two, and an upstream");
    let credentials = Credentials::new()?;
    let (_upstream, upstream_port) = gateway::start_upstream(logs).await?;
    let mut gateways = Vec::new();
    for workers in [1, 2] {
        let mut gateway = Gateway::start(workers, &credentials, upstream_port, logs).await?;
        checks::check(&gateway, &credentials).await?;
        checks::warm(&mut gateway, &credentials).await?;
        gateways.push(gateway);
    }
    println!("bench: every variant does what it shall; warming up");
    measurement::warm_up(plan, &mut gateways).await?;
    println!("bench: measuring {} cycles", plan.cycles);
    let series = measurement::measure(plan, &mut gateways).await?;
    let findings = series.iter().map(Findings::of).collect::<Result<Vec<_>>>()?;
    let slowest = findings::series(&findings, 1, Destination::Direct)?.slowest();
    let single = gateways.first_mut().context("no gateway")?;
    println!("bench: measuring latencies");
    let paced = measurement::pace(plan, single, slowest).await?;

    let mut footprints = Vec::new();
    for gateway in &gateways {
        footprints.push(gateway.footprints().await?);
    }
    let latencies = findings::latencies(&paced);
    let targets = targets::targets(&findings, &footprints)?;
    let (rate, instructions) = (paced.rate, instructions::instructions()?);
    let report = Report { plan, machine, findings, footprints, latencies, rate, instructions, targets };
    println!("\n{}", report.summary()?);
    std::fs::write(folder.join("bench/latest.json"), raw::json(&report, &series)?)?;
    std::fs::write(folder.join("bench/latest.svg"), plot::svg(&report.findings)?)?;
    std::fs::write(folder.join("performance.md"), report.page()?)?;
    println!("bench: written to {}", folder.join("performance.md").display());
    Ok(())
}
