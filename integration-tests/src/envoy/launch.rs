//! The process of an Envoy: its start, its log, and its readiness.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::artefact::Artefact;
use crate::client::{Client, Request};
use crate::eventually::eventually;
use crate::paths;
use crate::process::Process;

/// What an Envoy is started from, also when it is restarted.
pub(super) struct Launch {
    pub(super) artefact: Artefact,
    pub(super) name: String,
    pub(super) workers: u32,
    pub(super) drain_seconds: u32,
    pub(super) environment: Vec<(String, String)>,
    /// The folder of the bootstrap configuration and the listeners.
    pub(super) folder: TempDir,
    pub(super) listeners: Vec<String>,
    pub(super) logging: Logging,
}

/// Where an Envoy logs, and how much.
pub(super) enum Logging {
    /// Everything that the filter logs, in the folder that is searched for secrets.
    Searched,
    /// Envoy's default level, in this folder.
    Default(PathBuf),
}

impl Launch {
    pub(super) fn start(&self, log: &Path) -> Result<Process> {
        let (bootstrap_file, admin_file) = (self.folder.path().join(BOOTSTRAP), self.admin_file());
        // An earlier process may have left its own.
        let _ = std::fs::remove_file(&admin_file);
        let (workers, drain_seconds) = (self.workers.to_string(), self.drain_seconds.to_string());
        let arguments = [
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "50",
            "--drain-time-s",
            &drain_seconds,
            "--concurrency",
            &workers,
            "--config-path",
            bootstrap_file.to_str().context("a path that is not UTF-8")?,
            "--admin-address-path",
            admin_file.to_str().context("a path that is not UTF-8")?,
        ];
        let verbosity: &[&str] = match &self.logging {
            Logging::Searched => &["--component-log-level", "wasm:debug,dynamic_modules:debug"],
            Logging::Default(_) => &[],
        };
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Process::start(&paths::envoy()?, &[&arguments, verbosity].concat(), &environment, log)
    }

    /// The path of the log, with this mark after its name.
    pub(super) fn log(&self, mark: &str) -> Result<PathBuf> {
        let folder = match &self.logging {
            Logging::Searched => paths::logs()?,
            Logging::Default(folder) => folder.clone(),
        };
        Ok(folder.join(format!("{}{mark}-envoy.log", self.name)))
    }

    /// Waits until all listeners serve. Returns a client of the admin interface, and the listeners' ports.
    pub(super) async fn ready(&self) -> Result<(Client, HashMap<String, u16>)> {
        let mut found = None;
        eventually("Envoy serves", async || {
            found = self.look().await?;
            Ok(found.is_some())
        })
        .await?;
        found.context("it serves")
    }

    /// Returns a client of the admin interface and the ports of all listeners. `None` if they do not serve yet.
    async fn look(&self) -> Result<Option<(Client, HashMap<String, u16>)>> {
        let Ok(admin_address) = std::fs::read_to_string(self.admin_file()) else { return Ok(None) };
        let Some(port) = admin_address.rsplit(':').next().and_then(|port| port.trim().parse().ok()) else {
            return Ok(None);
        };
        let admin = Client::to_port(port);
        let Ok(answer) = admin.send(Request::get("/listeners?format=json")).await else { return Ok(None) };
        let statuses = answer.json()?;
        let port_of = |status: &Value| {
            let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
            Some((status["name"].as_str()?.to_owned(), u16::try_from(port).ok()?))
        };
        let ports: HashMap<String, u16> =
            statuses["listener_statuses"].as_array().into_iter().flatten().filter_map(port_of).collect();
        let is_live = admin.send(Request::get("/ready")).await.is_ok_and(|answer| answer.status == 200);
        let serves = is_live && self.listeners.iter().all(|name| ports.contains_key(name));
        Ok(serves.then_some((admin, ports)))
    }

    fn admin_file(&self) -> PathBuf {
        self.folder.path().join("admin")
    }
}

pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end: Vec<&str> = lines.iter().rev().take(40).rev().copied().collect();
    format!("the end of {}:\n{}", log.display(), end.join("\n"))
}

pub(super) const BOOTSTRAP: &str = "envoy.yaml";

pub(super) const DRAIN_SECONDS: u32 = 600;
