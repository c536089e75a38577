//! The Grafana dashboard as seen by Prometheus: panels and their queries.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;

pub struct Panel {
    /// The heading of the panel.
    pub title: String,
    /// Grafana's name for the unit of the lines.
    pub unit: String,
    /// The position in a grid of 24 columns: column, row, width, height.
    pub place: [u32; 4],
    /// The queries of the panel's lines. Empty for the title of a row.
    pub queries: Vec<Query>,
}

pub struct Query {
    /// The expression of the query, with Grafana's variables replaced.
    pub expression: String,
    /// The legend of the lines, in which `{{reason}}` is a label.
    pub legend: String,
}

/// Returns the panels in order, with rates over this window.
pub fn panels(window: &str) -> Result<Vec<Panel>> {
    let dashboard: Value = serde_json::from_str(&text()?)?;
    dashboard["panels"].as_array().context("no panels")?.iter().map(|one| panel(one, window)).collect()
}

pub fn text() -> Result<String> {
    Ok(std::fs::read_to_string(paths::monitoring()?.join("grafana-dashboard.json"))?)
}

fn panel(panel: &Value, window: &str) -> Result<Panel> {
    let title = panel["title"].as_str().context("a panel without a title")?.to_owned();
    let side = |name: &str| panel["gridPos"][name].as_u64().and_then(|side| u32::try_from(side).ok());
    let sides = (side("x"), side("y"), side("w"), side("h"));
    let (Some(x), Some(y), Some(width), Some(height)) = sides else { anyhow::bail!("{title} has no place") };
    let query = |target: &Value| {
        let expression =
            target["expr"].as_str().with_context(|| format!("{title} has a target without a query"))?;
        let legend = target["legendFormat"].as_str().unwrap_or_default().to_owned();
        Ok(Query { expression: without_variables(expression, window), legend })
    };
    let queries: Vec<Query> = match panel["type"].as_str() {
        Some("row") => Vec::new(),
        _ => {
            let targets = panel["targets"].as_array().with_context(|| format!("{title} has no queries"))?;
            targets.iter().map(query).collect::<Result<_>>()?
        }
    };
    let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default().to_owned();
    Ok(Panel { queries, unit, place: [x, y, width, height], title })
}

/// Replaces Grafana's variables. Windows are shorter than in Grafana: Prometheus scrapes every second.
fn without_variables(query: &str, window: &str) -> String {
    let subquery = format!("{window}:1s");
    let values = [
        ("$job", ".*"),
        ("$instance", ".*"),
        ("$__rate_interval:15s", &subquery),
        ("$__rate_interval", window),
    ];
    values.iter().fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value))
}
