//! Control planes as their projects publish them: how they translate the manifests, and the Envoys that they run.

pub mod envoy_gateway;
pub mod istio;
pub mod kubernetes;

use std::path::Path;

use anyhow::{Context, Result};

use crate::process::Process;

/// Starts a program in this folder, with all its output in the file `log`.
fn start_in(
    folder: &Path,
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    log: &Path,
) -> Result<Process> {
    const SCRIPT: &str = r#"cd "$1" && shift && exec "$@" >&2"#;
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    let program = program.to_str().context("a path that is not UTF-8")?;
    let arguments = [&["-c", SCRIPT, "sh", folder, program], arguments].concat();
    Process::start(Path::new("sh"), &arguments, environment, log)
}
