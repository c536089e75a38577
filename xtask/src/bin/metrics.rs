//! `metrics [--check]`: writes `docs/metrics.md` from the list of metrics; with `--check`, only checks that the page is
//! current.

use std::fmt::Write;

use anyhow::Result;
use phantom_token_core::{MetricKind, metrics};

fn main() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for kind in [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram] {
        writeln!(page, "\n## {}\n\n| name | meaning |\n|---|---|", title(kind))?;
        for metric in metrics().iter().filter(|metric| metric.kind == kind) {
            let name = match metric.name.split_once('.') {
                Some((name, reason)) => format!("{name}{{reason=\"{reason}\"}}"),
                None => metric.name.clone(),
            };
            writeln!(page, "| `{name}` | {} |", metric.meaning)?;
        }
    }
    xtask::publish(&[("docs/metrics.md", page)])
}

fn title(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "Counters",
        MetricKind::Gauge => "Gauges",
        MetricKind::Histogram => "Histograms",
    }
}

const INTRODUCTION: &str = "# Metrics

`./justw metrics` generates this page from the list in `src/metrics.rs`.

Envoy serves the metrics on its admin port: at `/stats?filter=phantom_token` as `wasmcustom.<name>`, and at `/stats/prometheus` as `<name>`.
Their number is fixed: nothing that a client sends becomes a name or a label. Several listeners with the filter in one Envoy share the
counters. Counters are reported and gauges set every 50 ms; counters at once in Kong, and by hosts without timers, which have no gauges.

Denied requests are counted by reason, which Prometheus sees as a label ([monitoring](monitoring.md)). The host's own statistics have it after
a dot: `wasmcustom.phantom_token_denied.inactive`. The access log has it as well: in Envoy, `%RESPONSE_CODE_DETAILS%` is
`phantom_token_denied{inactive}`.
";
