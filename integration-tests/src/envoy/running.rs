//! A running Envoy: its listeners, its statistics, its log, and changes of its configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::launch::{BOOTSTRAP, DRAIN_SECONDS, Launch, Logging, tail};
use super::listener::{configuration_pointer, patient};
use crate::artefact::Artefact;
use crate::client::{Client, Request};
use crate::eventually::eventually;
use crate::paths;
use crate::port::ReservedPort;
use crate::process::Process;

pub struct Envoy {
    process: Process,
    launch: Launch,
    admin: Client,
    ports: HashMap<String, u16>,
    log: PathBuf,
    _closed_ports: Vec<ReservedPort>,
}

impl Envoy {
    /// Starts Envoy with two workers and this bootstrap configuration, YAML or JSON, and waits until these listeners serve.
    pub async fn start(
        name: &str,
        bootstrap: &str,
        environment: &[(&str, &str)],
        listeners: &[&str],
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join(BOOTSTRAP), bootstrap)?;
        let launch = Launch {
            artefact: Artefact::chosen(),
            name: name.to_owned(),
            workers: 2,
            drain_seconds: DRAIN_SECONDS,
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            folder,
            listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
            logging: Logging::Searched,
        };
        Self::launch(launch, Vec::new()).await
    }

    /// Returns the Envoy that a control plane, this process, starts and configures, once these listeners serve. It writes the address of
    /// its admin interface into the file `admin` in the folder, and logs where the control plane does.
    pub async fn started_by(
        control_plane: Process,
        name: &str,
        folder: TempDir,
        listeners: &[&str],
    ) -> Result<Self> {
        let launch = Launch {
            artefact: Artefact::Wasm,
            name: name.to_owned(),
            workers: 0,
            drain_seconds: DRAIN_SECONDS,
            environment: Vec::new(),
            folder,
            listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
            logging: Logging::Searched,
        };
        let log = launch.log("")?;
        let (admin, ports) = launch.ready().await.with_context(|| tail(&log))?;
        Ok(Self { process: control_plane, launch, admin, ports, log, _closed_ports: Vec::new() })
    }

    /// Kills Envoy and restarts it with its original configuration and all later changes, on the same fixed ports. The name of its new log
    /// contains this mark.
    pub async fn restart(&mut self, mark: &str) -> Result<()> {
        self.process.stop();
        self.log = self.launch.log(&format!("-{mark}"))?;
        self.process = self.launch.start(&self.log)?;
        (self.admin, self.ports) = self.launch.ready().await.with_context(|| tail(&self.log))?;
        Ok(())
    }

    pub(super) async fn launch(launch: Launch, closed_ports: Vec<ReservedPort>) -> Result<Self> {
        let log = launch.log("")?;
        let process = launch.start(&log)?;
        let (admin, ports) = launch.ready().await.with_context(|| tail(&log))?;
        Ok(Self { process, launch, admin, ports, log, _closed_ports: closed_ports })
    }

    /// The artefact of the filter that Envoy runs.
    pub fn artefact(&self) -> Artefact {
        self.launch.artefact
    }

    /// Returns a client of this listener.
    pub fn client(&self, listener: &str) -> Client {
        Client::to_port(self.ports.get(listener).copied().unwrap_or_default())
    }

    /// The port of the admin interface on loopback, which has `/stats/prometheus`.
    pub fn admin_port(&self) -> u16 {
        self.admin.port()
    }

    /// The process id.
    pub fn process_id(&self) -> Result<u32> {
        self.process.id()
    }

    /// Returns all of Envoy's metrics in Prometheus's format.
    pub async fn metrics(&self) -> Result<String> {
        Ok(self.admin.send(Request::get("/stats/prometheus")).await?.text())
    }

    pub async fn configuration(&self) -> Result<Value> {
        self.admin.send(Request::get("/config_dump")).await?.json()
    }

    /// Returns the sum of one of Envoy's counters or gauges over all workers.
    pub async fn statistic(&self, name: &str) -> Result<u64> {
        let answer = self.admin.send(Request::get(format!("/stats?format=json&filter=^{name}$"))).await?;
        let statistics = answer.json()?;
        Ok(statistics["stats"]
            .as_array()
            .and_then(|all| all.first())
            .and_then(|one| one["value"].as_u64())
            .unwrap_or(0))
    }

    /// Replaces the configuration of a listener's filter while Envoy runs, and waits until Envoy has accepted or rejected it. Returns
    /// whether Envoy accepted it.
    pub async fn reconfigure(&self, listener: &str, configuration: &Value) -> Result<bool> {
        let pointer = format!("{}/value", configuration_pointer(self.launch.artefact));
        self.update(listener, &pointer, json!(patient(configuration).to_string())).await
    }

    /// Replaces any part of a listener like [`reconfigure`](Self::reconfigure).
    pub async fn update(&self, listener: &str, pointer: &str, value: Value) -> Result<bool> {
        let path = self.launch.folder.path().join("listeners.json");
        let mut listeners: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let all = listeners["resources"].as_array_mut().context("no listeners")?;
        let one = all.iter_mut().find(|one| one["name"] == listener).context("no such listener")?;
        *one.pointer_mut(pointer).context("a listener without that part")? = value;
        let (taken, refused) = self.updates().await?;
        let next = self.launch.folder.path().join("next.json");
        std::fs::write(&next, listeners.to_string())?;
        std::fs::rename(&next, &path)?;
        let mut is_taken = false;
        eventually("Envoy looks at its new listeners", async || {
            let (taken_now, refused_now) = self.updates().await?;
            is_taken = refused_now == refused;
            Ok(taken_now > taken || refused_now > refused)
        })
        .await?;
        Ok(is_taken)
    }

    /// Waits until at least this many requests are at a listener. Its filter has then seen each of them, and does so before it sees any
    /// later response.
    ///
    /// # Errors
    /// If there are fewer after a long time.
    pub async fn holds(&self, listener: &str, requests: u64) -> Result<()> {
        self.counts(&active(listener), requests).await
    }

    /// Waits until no request is at a listener.
    ///
    /// # Errors
    /// If there still are some after a long time.
    pub async fn holds_nothing(&self, listener: &str) -> Result<()> {
        self.holds_at_most(listener, 0).await
    }

    /// Waits until at most this many requests are at a listener.
    ///
    /// # Errors
    /// If there still are more after a long time.
    pub async fn holds_at_most(&self, listener: &str, requests: u64) -> Result<()> {
        let (what, name) = (format!("at most {requests} requests are at {listener}"), active(listener));
        eventually(&what, async || Ok(self.statistic(&name).await? <= requests)).await
    }

    /// Waits until a statistic has at least this value.
    ///
    /// # Errors
    /// If it is still lower after a long time.
    pub async fn counts(&self, name: &str, least: u64) -> Result<()> {
        eventually(&format!("{name} >= {least}"), async || Ok(self.statistic(name).await? >= least)).await
    }

    /// Waits until the log contains this text.
    ///
    /// # Errors
    /// If it still does not after a long time.
    pub async fn logs(&self, text: &str) -> Result<()> {
        eventually(&format!("in the log: {text}"), async || Ok(self.log().contains(text))).await
    }

    /// Waits until Envoy has drained and removed every replaced listener.
    ///
    /// # Errors
    /// If some are still draining after a long time.
    pub async fn drained(&self) -> Result<()> {
        eventually("listeners are let go", async || {
            let listeners = self.statistic("listener_manager.total_listeners_draining").await?;
            Ok(listeners + self.statistic("listener_manager.total_filter_chains_draining").await? == 0)
        })
        .await
    }

    /// Starts draining Envoy: responses close their connections, and after the drain time Envoy stops listening. Only a restart ends this.
    pub async fn drain(&self) -> Result<()> {
        let answer = self.admin.send(Request::post("/drain_listeners?graceful", "")).await?;
        ensure!(answer.status == 200, "Envoy does not drain: {}", answer.text());
        Ok(())
    }

    /// The resident memory of Envoy, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.process.resident_bytes()
    }

    /// Returns the log lines that report a stopped VM. An empty log is an error, since it would report nothing.
    pub fn traps(&self) -> Result<Vec<String>> {
        let log = self.log();
        ensure!(!log.is_empty(), "Envoy has no log");
        let tells = |line: &&str| TRAPS.iter().any(|trap| line.contains(trap));
        Ok(log.lines().filter(tells).map(str::to_owned).collect())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn updates(&self) -> Result<(u64, u64)> {
        let taken = self.statistic("listener_manager.lds.update_success").await?;
        Ok((taken, self.statistic("listener_manager.lds.update_rejected").await?))
    }
}

/// Whether Envoy accepts this file, relative to the root of the checkout, and its output (`--mode validate`).
pub fn validate(path: &Path, environment: &[(String, String)]) -> Result<(bool, String)> {
    let output = Command::new(paths::envoy()?)
        .args(["--mode", "validate", "--config-path"])
        .arg(path)
        .envs(environment.iter().cloned())
        .current_dir(paths::root())
        .output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The major and minor version of Envoy that the tests run.
pub fn version() -> Result<(u32, u32)> {
    let output = Command::new(paths::envoy()?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, named) = text.split_once("version: ").with_context(|| format!("no version: {text}"))?;
    let version = named.split('/').nth(1).with_context(|| format!("no version: {text}"))?;
    let mut numbers = version.split('.').map(str::parse);
    let mut number =
        || numbers.next().context("a version has two numbers")?.context("a version is of numbers");
    Ok((number()?, number()?))
}

/// The name of the gauge of requests at a listener.
fn active(listener: &str) -> String {
    format!("http.{listener}.downstream_rq_active")
}

/// The recipe `search-logs` searches for the same texts.
const TRAPS: [&str; 4] = ["panicked at", "wasm trap", "RuntimeError", "Function: proxy_on"];
