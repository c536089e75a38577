//! The Grafana dashboard as seen by Prometheus: panels and their queries.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;

pub struct Panel {
    /// What is above it.
    pub title: String,
    /// The queries of its lines, where Grafana's variables are written as what they become here.
    pub queries: Vec<String>,
}

/// The panels in their order, without the titles of rows.
pub fn panels() -> Result<Vec<Panel>> {
    let dashboard: Value = serde_json::from_str(&text()?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    panels.iter().filter(|panel| panel["type"] != "row").map(panel).collect()
}

pub fn text() -> Result<String> {
    Ok(std::fs::read_to_string(paths::monitoring()?.join("grafana-dashboard.json"))?)
}

fn panel(panel: &Value) -> Result<Panel> {
    let title = panel["title"].as_str().context("a panel without a title")?.to_owned();
    let targets = panel["targets"].as_array().with_context(|| format!("{title} has no queries"))?;
    let query = |target: &Value| Some(without_variables(target["expr"].as_str()?));
    let queries = targets.iter().map(query).collect::<Option<_>>();
    Ok(Panel { queries: queries.with_context(|| format!("{title} has a target without a query"))?, title })
}

/// Time is shorter here than at Grafana: Prometheus scrapes each second.
fn without_variables(query: &str) -> String {
    let values =
        [("$job", ".*"), ("$instance", ".*"), ("$__rate_interval:15s", "1m:1s"), ("$__rate_interval", "1m")];
    values.iter().fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value))
}
