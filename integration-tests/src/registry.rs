//! A real image registry (Debian's docker-registry) on loopback. Skopeo, which shares no code with the project's image builder, pushes and
//! pulls images.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::paths;
use crate::process::Process;

/// A running registry, which is empty at first.
pub struct Registry {
    _process: Process,
    _folder: TempDir,
    client: Client,
}

impl Registry {
    /// Starts the registry on a free port.
    pub async fn start(name: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("config.yml");
        // JSON is YAML.
        let settings = json!({
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": folder.path().join("storage")}},
            "http": {"addr": "127.0.0.1:0"},
        });
        std::fs::write(&config, settings.to_string())?;
        let log = paths::logs()?.join(format!("{name}-docker-registry.log"));
        let arguments = ["serve", config.to_str().context("a path that is not UTF-8")?];
        let process = Process::start(&paths::docker_registry()?, &arguments, &[], &log)?;
        let client = Client::to_port(Process::logged_port(&log, "listening on 127.0.0.1:").await?);
        Ok(Self { _process: process, _folder: folder, client })
    }

    /// The reference of an image in the registry.
    pub fn reference(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.client.port())
    }

    /// Pushes the image of an OCI image layout unchanged.
    pub fn push(&self, layout: &Path, name: &str) -> Result<()> {
        let destination = format!("docker://{}", self.reference(name));
        let source = format!("oci:{}", layout.display());
        skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &source, &destination])?;
        Ok(())
    }

    /// Uploads a manifest unchanged. What it references has to be there already.
    pub async fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: &str,
    ) -> Result<()> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let request = Request::new("PUT", path, manifest.into()).header("content-type", media_type);
        let answer = self.client.send(request).await?;
        ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Pulls an image unchanged: `manifest.json` and a file for each blob, named by its digest.
    pub fn pull(&self, name: &str) -> Result<TempDir> {
        let folder = TempDir::new()?;
        let source = format!("docker://{}", self.reference(name));
        let destination = format!("dir:{}", folder.path().display());
        skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &destination])?;
        Ok(folder)
    }

    /// Inspects an image with skopeo, which reports it as JSON.
    pub fn inspect(&self, name: &str) -> Result<serde_json::Value> {
        let source = format!("docker://{}", self.reference(name));
        Ok(serde_json::from_str(&skopeo(&["inspect", "--tls-verify=false", &source])?)?)
    }
}

fn skopeo(arguments: &[&str]) -> Result<String> {
    let output = Command::new(paths::skopeo()?).arg("--insecure-policy").args(arguments).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "skopeo {}: {complaint}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
