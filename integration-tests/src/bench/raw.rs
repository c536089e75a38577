//! A run as JSON, with all turns.

use std::io;

use anyhow::Result;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::findings::{Finding, Findings, Latency};
use super::footprint::Footprint;
use super::gateway::{CONNECTIONS, Turn};
use super::measurement::Series;
use super::page::Report;
use super::statistics::Summary;
use super::targets::Target;
use super::variants::Variant;

/// Returns the run with one line for each list.
pub fn json(report: &Report<'_>, series: &[Series]) -> Result<String> {
    let plan = report.plan;
    let findings = report
        .findings
        .iter()
        .zip(series)
        .map(|(findings, series)| measured(findings, series))
        .collect::<Result<Map<_, _>>>()?;
    let latencies: Map<String, Value> = report.latencies.iter().map(latency).collect();
    let footprints: Vec<Map<String, Value>> =
        report.footprints.iter().map(|all| all.iter().map(footprint).collect()).collect();
    let targets: Map<String, Value> = report.targets.iter().map(target).collect();
    let run = json!({
        "machine": report.machine.json(),
        "plan": {
            "cycles": plan.cycles, "turn_milliseconds": plan.turn.as_millis() as u64,
            "connections_per_worker": CONNECTIONS,
        },
        "measured": findings,
        "latency": {"requests_per_second": report.rate, "variants": latencies},
        "footprint": footprints,
        "targets": targets,
    });
    let mut text = Vec::new();
    let formatter = ListsInLines { objects: PrettyFormatter::new() };
    run.serialize(&mut Serializer::with_formatter(&mut text, formatter))?;
    Ok(format!("{}\n", String::from_utf8(text)?))
}

fn measured(findings: &Findings, series: &Series) -> Result<(String, Value)> {
    let variant = |finding: &Finding| {
        let turns = series.turns.get(&finding.variant).map(Vec::as_slice).unwrap_or_default();
        let all =
            |figure: fn(&Turn) -> f64| turns.iter().map(|turn| rounded(figure(turn))).collect::<Vec<_>>();
        let variant = json!({
            "cpu_microseconds_per_request": summary(&finding.cpu),
            "requests_per_second": summary(&finding.rate),
            "added_cpu_microseconds": summary(&finding.added),
            "added_cpu_microseconds_to_plain_with_jwt": summary(&finding.added_to_plain_with_jwt),
            "requests_per_second_relative_to_plain": summary(&finding.relative_rate),
            "turns": {
                "cpu_microseconds_per_request": all(Turn::cpu_per_request),
                "requests_per_second": all(Turn::rate),
            },
        });
        (finding.variant.name().to_owned(), variant)
    };
    let variants: Map<String, Value> = findings.variants.iter().map(variant).collect();
    Ok((
        findings.title(),
        json!({"noise_floor_microseconds": rounded(findings.noise()?.farthest()), "variants": variants}),
    ))
}

fn latency(latency: &Latency) -> (String, Value) {
    let [p50, p90, p99, p999] = latency.percentiles.map(|time| time.as_micros() as u64);
    let figures = json!({
        "requests": latency.requests,
        "microseconds": {"p50": p50, "p90": p90, "p99": p99, "p99.9": p999},
    });
    (latency.variant.name().to_owned(), figures)
}

fn footprint((variant, footprint): (&Variant, &Footprint)) -> (String, Value) {
    let figures = json!({
        "start_milliseconds": footprint.start.as_millis() as u64,
        "own_bytes": {"at_start": footprint.at_start, "at_end": footprint.at_end},
    });
    (variant.name().to_owned(), figures)
}

fn target(target: &Target) -> (String, Value) {
    let figures = json!({
        "limit": target.limit.to_string(), "measured": rounded(target.measured), "is_met": target.is_met(),
    });
    (format!("{}: {}", target.variant.name(), target.text), figures)
}

fn summary(summary: &Summary) -> Value {
    json!({
        "median": rounded(summary.median),
        "quartiles": [rounded(summary.lower_quartile), rounded(summary.upper_quartile)],
        "confidence_95": [rounded(summary.confidence.0), rounded(summary.confidence.1)],
    })
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// A formatter that writes objects over many lines, and each list in one.
struct ListsInLines {
    objects: PrettyFormatter<'static>,
}

impl Formatter for ListsInLines {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.objects.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.objects.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.objects.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.objects.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.objects.end_object_value(writer)
    }
}
