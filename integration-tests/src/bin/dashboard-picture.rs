//! Draws docs/dashboard.svg: the panels of the Grafana dashboard, with data of a real Prometheus that scraped a real Envoy while its
//! authorization server failed twice. Grafana itself is not involved.

use std::time::Duration;

use anyhow::{Context, Result};
use integration_tests::dashboard::{self, Panel, Query};
use integration_tests::faulty_server::Behaviour;
use integration_tests::jwt;
use integration_tests::load::{Load, LoadProfile};
use integration_tests::paths;
use integration_tests::plot::{self, Axis, Canvas, Line, Plot, note, title};
use integration_tests::prometheus::Prometheus;
use integration_tests::trial::{Gateway, LISTENER};
use plotters::element::Text;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    let gateway = Gateway::start("dashboard", 2, |_| ()).await?;
    let prometheus = Prometheus::start("dashboard", gateway.envoy.admin_port()).await?;
    let profile =
        LoadProfile { clients: 40, pause: Duration::from_millis(200), patience: Duration::from_secs(10) };
    let load = Load::gather(gateway.port(), profile);
    // Rates exist only after some time.
    tokio::time::sleep(WINDOW).await;
    let from = jwt::now();
    for (behaviour, seconds) in STORY {
        gateway.server.behave(behaviour);
        println!("dashboard-picture: {behaviour:?} for {seconds} s");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    gateway.envoy.reconfigure(LISTENER, &json!({"rules": "none"})).await?;
    tokio::time::sleep(WINDOW).await;
    let until = jwt::now();
    load.disperse().await?;

    let mut panels = Vec::new();
    for panel in dashboard::panels(&format!("{}s", WINDOW.as_secs()))? {
        let mut lines = Vec::new();
        for query in &panel.queries {
            for series in prometheus.query_range(&query.expression, from, until).await? {
                lines.push(line(query, &series, from, until)?);
            }
        }
        panels.push((panel, lines));
    }
    let rows = panels.iter().map(|(panel, _)| panel.place[1] + panel.place[3]).max().context("no panels")?;
    let picture = plot::svg((24 * COLUMN, rows * ROW), "The dashboard with data", |canvas| {
        panels.iter().try_for_each(|(panel, lines)| draw(canvas, panel, lines))
    })?;
    Ok(std::fs::write(paths::root().join("docs/dashboard.svg"), picture)?)
}

fn draw(canvas: &Canvas<'_>, panel: &Panel, lines: &[Line]) -> Result<()> {
    let [x, y, width, height] = panel.place;
    let canvas = canvas.clone().shrink((x * COLUMN, y * ROW), (width * COLUMN, height * ROW));
    if lines.is_empty() {
        canvas.draw(&Text::new(panel.title.as_str(), (14, 12), title()))?;
        if !panel.queries.is_empty() {
            canvas.draw(&Text::new("no data", (14, 32), note()))?;
        }
        return Ok(());
    }
    let (name, number): (_, fn(f64) -> String) = match panel.unit.as_str() {
        "reqps" => ("requests per second", plain),
        "ops" => ("per second", plain),
        "percentunit" => ("share", |share| format!("{:.0} %", share * 100.0)),
        "ms" => ("milliseconds", plain),
        _ => ("", plain),
    };
    let x = Axis { name: "", number: |seconds| format!("{seconds:.0} s") };
    Plot { title: &panel.title, x, y: Axis { name, number }, lines }.draw(&canvas)
}

/// Returns a line of a panel between two times, in seconds. The line has gaps where Prometheus has no samples.
fn line(query: &Query, series: &Value, from: u64, until: u64) -> Result<Line> {
    let samples = series["values"].as_array().context("a series without values")?;
    let mut points = vec![(0.0, f64::NAN)];
    for sample in samples {
        let time = sample[0].as_f64().context("a sample without a time")? - from as f64;
        let value = sample[1].as_str().context("a sample without a value")?.parse()?;
        if let Some((last, _)) = points.last().filter(|(last, _)| time - last > 1.5) {
            points.push((*last, f64::NAN));
        }
        points.push((time, value));
    }
    points.push(((until - from) as f64, f64::NAN));
    let labels = series["metric"].as_object().context("a series without labels")?;
    let name = labels.iter().fold(query.legend.clone(), |name, (label, value)| {
        name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default())
    });
    Ok(Line { name, points })
}

fn plain(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// What the authorization server does, and for how many seconds.
const STORY: [(Behaviour, u64); 5] = [
    (Behaviour::Healthy, 30),
    (Behaviour::Answers(500), 20),
    (Behaviour::Healthy, 30),
    (Behaviour::Hangs, 20),
    (Behaviour::Healthy, 30),
];

/// The window of rates. Grafana's is four scrapes, a minute at the usual 15 s.
const WINDOW: Duration = Duration::from_secs(8);

/// The size of a column and a row of the grid, in pixels.
const COLUMN: u32 = 40;
const ROW: u32 = 30;
