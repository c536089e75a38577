//! The report of a run: a summary for the terminal and the page `docs/performance.md`.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::findings::{Finding, Findings, Latency, series};
use super::footprint::Footprint;
use super::gateway::CONNECTIONS;
use super::machine::Machine;
use super::measurement::Plan;
use super::statistics::Summary;
use super::table::table;
use super::targets::Target;
use super::variants::{Destination, Variant};

pub struct Report<'a> {
    pub plan: &'a Plan,
    pub machine: Machine,
    pub findings: Vec<Findings>,
    /// What each variant uses besides processor time, with one worker and with two.
    pub footprints: Vec<HashMap<Variant, Footprint>>,
    pub latencies: Vec<Latency>,
    /// The rate of the latencies, in requests per second.
    pub rate: u32,
    /// The table of instructions.
    pub instructions: String,
    pub targets: Vec<Target>,
}

impl Report<'_> {
    pub fn summary(&self) -> Result<String> {
        Ok([
            format!("One worker:\n\n{}", self.costs(1)?),
            format!("Two workers:\n\n{}", self.costs(2)?),
            format!("Latency at {} requests in a second, µs:\n\n{}", self.rate, self.latency_table()),
            format!("Memory and start:\n\n{}", self.footprint_table()?),
            format!("Instructions:\n\n{}", self.instructions),
            format!("Targets:\n\n{}", self.target_table()),
            format!("Noise floor, what plain Envoy adds to itself:\n\n{}", self.noise()?),
        ]
        .join("\n"))
    }

    pub fn page(&self) -> Result<String> {
        let (direct, upstream) =
            (self.series(1, Destination::Direct)?, self.series(1, Destination::Upstream)?);
        let (plain, plain_upstream) = (direct.finding(Variant::Plain)?, upstream.finding(Variant::Plain)?);
        let with_jwt = |variant| anyhow::Ok(direct.finding(variant)?.added_to_plain_with_jwt.median);
        let calls = direct.finding(Variant::Calls)?.added.median;
        let (plan, machine) = (self.plan, &self.machine);
        let replacements = [
            ("COSTS_1", self.costs(1)?),
            ("COSTS_2", self.costs(2)?),
            ("LATENCY", self.latency_table()),
            ("FOOTPRINTS", self.footprint_table()?),
            ("INSTRUCTIONS", self.instructions.clone()),
            ("TARGETS", self.target_table()),
            ("NOISE", self.noise()?),
            ("PLAIN_CPU_UPSTREAM", number(plain_upstream.cpu.median)),
            ("PLAIN_CPU", number(plain.cpu.median)),
            ("PLAIN_RATE", format!("{:.0}", plain.rate.median)),
            ("JWT_RECEIPT", number(direct.finding(Variant::PlainWithJwt)?.added.median)),
            ("JWT_AUTHN_CACHED", number(with_jwt(Variant::JwtAuthnCached)?)),
            ("JWT_AUTHN", number(with_jwt(Variant::JwtAuthn)?)),
            ("CALLS", number(calls)),
            ("OWN", number(direct.finding(Variant::OneToken)?.added.median - calls)),
            ("PACED_RATE", self.rate.to_string()),
            ("PACED_REQUESTS", self.latencies.iter().map(|one| one.requests).min().unwrap_or(0).to_string()),
            ("CYCLES", plan.cycles.to_string()),
            ("TURN", plan.turn.as_millis().to_string()),
            ("CONNECTIONS", CONNECTIONS.to_string()),
            ("PROCESSOR", machine.processor.clone()),
            ("CORES", machine.cores.to_string()),
            ("KERNEL", machine.kernel.clone()),
            ("ENVOY", machine.envoy.clone()),
            ("MODULE_BYTES", machine.module_bytes.to_string()),
            ("MODULE_SHA256", machine.module_sha256.clone()),
            ("COMMIT", machine.commit.clone()),
            ("DATE", machine.date.clone()),
            ("LOAD", machine.load_average.clone()),
        ];
        let fill = |page: String, (name, text): &(&str, String)| page.replace(&format!("{{{name}}}"), text);
        Ok(replacements.iter().fold(PAGE.to_owned(), fill))
    }

    fn series(&self, workers: u32, destination: Destination) -> Result<&Findings> {
        series(&self.findings, workers, destination)
    }

    fn costs(&self, workers: u32) -> Result<String> {
        let (direct, upstream) =
            (self.series(workers, Destination::Direct)?, self.series(workers, Destination::Upstream)?);
        let jwt_authn = direct.finding(Variant::JwtAuthnCached)?.added.median;
        let ext_authz = direct.finding(Variant::ExtAuthz)?.added.median;
        let header = [
            "variant",
            "added CPU, direct",
            "with upstream",
            "× jwt_authn, cached",
            "× ext_authz",
            "req/s × plain, direct",
            "with upstream",
        ];
        let mut rows = Vec::new();
        for Finding { variant, added, relative_rate, .. } in &direct.variants {
            if *variant == Variant::Plain {
                continue;
            }
            let behind = upstream.finding(*variant)?;
            let is_noise = direct.is_noise(direct.finding(*variant)?)?;
            let share =
                |of: f64| if is_noise { "–".to_owned() } else { format!("{:.2}", added.median / of) };
            rows.push(vec![
                variant.title().to_owned(),
                self.added(direct, *variant)?,
                self.added(upstream, *variant)?,
                share(jwt_authn),
                share(ext_authz),
                format!("{:.2}", relative_rate.median),
                format!("{:.2}", behind.relative_rate.median),
            ]);
        }
        Ok(table(&header, &rows))
    }

    fn added(&self, findings: &Findings, variant: Variant) -> Result<String> {
        let finding = findings.finding(variant)?;
        let median =
            if findings.is_noise(finding)? { "≈ 0".to_owned() } else { number(finding.added.median) };
        Ok(format!("{median} {}", quartiles(&finding.added)))
    }

    fn latency_table(&self) -> String {
        let row = |latency: &Latency| {
            let times = latency.percentiles.map(|time| microseconds(time).to_string());
            [vec![latency.variant.title().to_owned()], times.to_vec()].concat()
        };
        let rows: Vec<_> = self.latencies.iter().map(row).collect();
        table(&["variant", "p50", "p90", "p99", "p99.9"], &rows)
    }

    fn footprint_table(&self) -> Result<String> {
        let mut rows = Vec::new();
        for variant in Variant::ALL {
            let found =
                self.footprints.iter().map(|all| all.get(&variant).context("a variant without footprint"));
            let found = found.collect::<Result<Vec<_>>>()?;
            let starts = found.iter().map(|one| format!("{:.2}", one.start.as_secs_f64()));
            let memory = found.iter().flat_map(|one| [one.at_start, one.at_end].map(megabytes));
            rows.push([variant.title().to_owned()].into_iter().chain(starts).chain(memory).collect());
        }
        let header = [
            "variant",
            "start, s: 1 worker",
            "2 workers",
            "MB at start: 1 worker",
            "after the turns",
            "2 workers",
            "after the turns",
        ];
        Ok(table(&header, &rows))
    }

    fn target_table(&self) -> String {
        let row = |target: &Target| {
            let verdict = match (target.is_met(), target.is_out_of_reach()) {
                (true, _) => "met",
                (false, false) => "missed",
                (false, true) => "missed, by the host calls alone",
            };
            let (limit, measured) = (target.limit.to_string(), format!("{:.2}", target.measured));
            let text = format!("{}: {}", target.variant.title(), target.text);
            vec![text, limit, measured, verdict.to_owned()]
        };
        let rows: Vec<_> = self.targets.iter().map(row).collect();
        table(&["target", "limit", "measured", ""], &rows)
    }

    fn noise(&self) -> Result<String> {
        let mut lines = Vec::new();
        for findings in &self.findings {
            let noise = findings.noise()?;
            lines.push(format!(
                "- {}: {} µs {}, at most {} µs with 95 % confidence",
                findings.title(),
                number(noise.median),
                quartiles(&noise),
                number(noise.farthest()),
            ));
        }
        Ok(format!("{}\n", lines.join("\n")))
    }
}

fn number(number: f64) -> String {
    format!("{number:.1}").replace('-', "−")
}

fn quartiles(summary: &Summary) -> String {
    format!("({}…{})", number(summary.lower_quartile), number(summary.upper_quartile))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn microseconds(time: Duration) -> u128 {
    time.as_micros()
}

const PAGE: &str = include_str!("page.md");
