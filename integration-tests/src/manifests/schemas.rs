//! The schemas of Kubernetes, Gateway API, Envoy Gateway and Istio. An unknown field is an error here, where an API server
//! silently drops it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::paths;

/// Returns the errors of each of these resources.
pub fn errors(resources: &[Value]) -> Result<Vec<Vec<String>>> {
    let tools = paths::kubernetes_schemas()?;
    let (istio, kubernetes): (Vec<_>, Vec<_>) =
        (0..resources.len()).partition(|index| is_istio(&resources[*index]));
    let mut all = vec![Vec::new(); resources.len()];
    let validators =
        [(istio, tools.python.as_path(), "istio.py"), (kubernetes, Path::new("node"), "kubernetes.mjs")];
    for (indices, program, script) in validators {
        let lines: String = indices.iter().map(|index| format!("{}\n", resources[*index])).collect();
        let answers = run(program, &tools.scripts.join(script), &tools.istio_models, lines)?;
        ensure!(answers.len() == indices.len(), "{script}: {} answers to {}", answers.len(), indices.len());
        for (index, answer) in indices.into_iter().zip(answers) {
            all[index] = answer;
        }
    }
    Ok(all)
}

fn is_istio(resource: &Value) -> bool {
    resource["apiVersion"].as_str().is_some_and(|version| version.contains(".istio.io/"))
}

fn run(program: &Path, script: &Path, python_path: &Path, lines: String) -> Result<Vec<Vec<String>>> {
    let mut process = Command::new(program)
        .arg(script)
        .env("PYTHONPATH", python_path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut input = process.stdin.take().context("no input")?;
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = process.wait_with_output()?;
    writer.join().ok().context("the writer stopped")??;
    ensure!(output.status.success(), "{} failed", script.display());
    let lines = std::str::from_utf8(&output.stdout)?.lines();
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}
