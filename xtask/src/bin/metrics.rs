//! `metrics [--check]`: writes `docs/metrics.md` from the one list of metrics; with `--check`, only tells whether the page is
//! current.

use std::fmt::Write;

use anyhow::Result;
use phantom_token_core::{MetricKind, metrics};

fn main() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for kind in [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram] {
        writeln!(page, "\n## {}\n\n| name | what it tells |\n|---|---|", title(kind))?;
        for metric in metrics().iter().filter(|metric| metric.kind == kind) {
            writeln!(page, "| `{}` | {} |", metric.name, metric.meaning)?;
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

`./justw metrics` writes this page from the one list in `src/metrics.rs`.

Envoy has them on its admin port: `/stats?filter=phantom_token` as `wasmcustom.<name>`, and `/stats/prometheus` as `<name>`. None has a
label, so a client cannot make more of them. What several listeners with the filter in one Envoy count adds up. Gauges are set every
50 ms, by hosts that set timers.

Each refusal counts twice: by whose fault it is (`rejected_…`), and by its reason (`refused_…`), which the access log has as well: in
Envoy, `%RESPONSE_CODE_DETAILS%` is `phantom_token_denied{inactive}`.
";
