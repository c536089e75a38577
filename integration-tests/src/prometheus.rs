//! A real Prometheus (from Debian's package) on loopback, which scrapes an Envoy every second and evaluates the alert rules for operators;
//! and promtool, which checks the rules.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::eventually::eventually;
use crate::paths;
use crate::process::Process;

/// A running Prometheus, which has no data at first.
pub struct Prometheus {
    _process: Process,
    _folder: TempDir,
    client: Client,
}

impl Prometheus {
    /// Starts Prometheus on a free port. It scrapes the Envoy with this admin port as the job `gateway`.
    pub async fn start(name: &str, admin_port: u16) -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("prometheus.yml");
        // JSON is YAML.
        let settings = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [alert_rules()?],
            "scrape_configs": [{
                "job_name": "gateway",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [format!("127.0.0.1:{admin_port}")]}],
            }],
        });
        std::fs::write(&config, settings.to_string())?;
        let log = paths::logs()?.join(format!("{name}-prometheus.log"));
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(&paths::prometheus()?, &arguments, &[], &log)?;
        let port = Process::logged_port(&log, "\"Listening on\" address=127.0.0.1:").await?;
        let is_ready = async || Ok(std::fs::read_to_string(&log)?.contains("Server is ready"));
        eventually("Prometheus is ready", is_ready).await?;
        let client = Client::to_port(port);
        Ok(Self { _process: process, _folder: folder, client })
    }

    /// Returns the current result of a query: samples with their labels and values.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let data = self.get("query", &[("query", query)]).await?;
        Ok(data["result"].as_array().context("no result")?.clone())
    }

    /// Returns the result of a query over a range of time, in seconds since the epoch: series with their labels and a value for each
    /// second.
    pub async fn query_range(&self, query: &str, from: u64, until: u64) -> Result<Vec<Value>> {
        let (from, until) = (from.to_string(), until.to_string());
        let parameters = [("query", query), ("start", &from), ("end", &until), ("step", "1")];
        let data = self.get("query_range", &parameters).await?;
        Ok(data["result"].as_array().context("no result")?.clone())
    }

    /// The names of all metrics that Prometheus has seen.
    pub async fn names(&self) -> Result<Vec<String>> {
        let data = self.get("label/__name__/values", &[]).await?;
        Ok(serde_json::from_value(data)?)
    }

    /// The alerts that fire or are pending.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let data = self.get("alerts", &[]).await?;
        Ok(data["alerts"].as_array().context("no alerts")?.clone())
    }

    async fn get(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let path = format!("/api/v1/{endpoint}");
        let request = parameters
            .iter()
            .fold(Request::get(path), |request, (name, value)| request.parameter(name, &escaped(value)));
        let mut answer = self.client.send(request).await?.json()?;
        ensure!(answer["status"] == "success", "{endpoint} {parameters:?}: {}", answer["error"]);
        Ok(answer["data"].take())
    }
}

/// Runs promtool on a monitoring file. A failure is an error with promtool's output.
pub fn promtool(arguments: &[&str], file: &str) -> Result<()> {
    let output =
        Command::new(paths::promtool()?).args(arguments).arg(paths::monitoring()?.join(file)).output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "promtool {}: {}", arguments.join(" "), String::from_utf8_lossy(&said));
    Ok(())
}

pub fn alert_rules() -> Result<PathBuf> {
    Ok(paths::monitoring()?.join("prometheus-alerts.yaml"))
}

fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
