//! The machine of a run, and the build that was measured.

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use rsa::sha2::{Digest, Sha256};
use serde_json::{Value, json};

use crate::{jwt, paths};

pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub envoy: String,
    pub module_bytes: usize,
    /// The SHA-256 of the filter in hexadecimal.
    pub module_sha256: String,
    /// The commit, and whether files have changed since.
    pub commit: String,
    /// When the run began (RFC 3339).
    pub date: String,
    /// The load averages of the last 1, 5 and 15 minutes.
    pub load_average: String,
}

impl Machine {
    /// Reads the current state of the machine.
    pub fn look() -> Result<Self> {
        let module = std::fs::read(paths::filter()?)?;
        let processors = std::fs::read_to_string("/proc/cpuinfo")?;
        let processor =
            processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let load = std::fs::read_to_string("/proc/loadavg")?;
        let version = output(Command::new(paths::envoy()?).arg("--version"))?;
        let commit = output(git().args(["rev-parse", "--short=12", "HEAD"]))?;
        let changes =
            output(git().args(["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]))?;
        let date = UNIX_EPOCH + Duration::from_secs(jwt::now());
        Ok(Self {
            processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            envoy: version.split('/').rev().nth(3).context("a version of another form")?.to_owned(),
            module_bytes: module.len(),
            module_sha256: Sha256::digest(&module).iter().map(|byte| format!("{byte:02x}")).collect(),
            commit: if changes.is_empty() { commit } else { format!("{commit}, with changes") },
            date: humantime::format_rfc3339_seconds(date).to_string(),
            load_average: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        })
    }

    pub fn json(&self) -> Value {
        json!({
            "processor": self.processor, "cores": self.cores, "kernel": self.kernel, "envoy": self.envoy,
            "module_bytes": self.module_bytes, "module_sha256": self.module_sha256, "commit": self.commit,
            "date": self.date, "load_average_at_start": self.load_average,
        })
    }
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(paths::root());
    git
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
