//! How Istio (pkg/wasm/imagefetcher.go, cache.go) and Envoy Gateway (internal/wasm/imagefetcher.go) find a filter in an image: the variant
//! of the Wasm image specification that they call compatible. The project does not use the other variant, which has its own media types.
//!
//! In an image index, both would select the manifest of linux/amd64 and compare its digest with the operator's. Here an index is refused:
//! the pinned digest has to be the published one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::paths;

/// Returns the filter in an image, a folder that skopeo has copied (`dir:`), if the image has this digest.
///
/// # Errors
/// If those hosts would find no filter in the image.
pub fn plugin(image: &Path, digest: &str) -> Result<Vec<u8>> {
    let manifest = std::fs::read(image.join("manifest.json"))?;
    let got = format!("sha256:{:x}", Sha256::digest(&manifest));
    ensure!(got == digest, "the digest is {got}, not {digest}");
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let layer_type = match manifest["mediaType"].as_str() {
        Some("application/vnd.docker.distribution.manifest.v2+json") => {
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
        }
        Some("application/vnd.oci.image.manifest.v1+json") | None => {
            "application/vnd.oci.image.layer.v1.tar+gzip"
        }
        Some(other) => bail!("{other} is no manifest"),
    };
    let layers = manifest["layers"].as_array().context("the manifest has no layers")?;
    let layer = layers.last().context("the image is empty")?;
    ensure!(layer["mediaType"] == layer_type, "the last layer is {}, not {layer_type}", layer["mediaType"]);
    let file =
        layer["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).context("no digest")?;
    plugin_of_layer(&image.join(file))
}

/// Packages a filter as an OCI image layout in this folder. Returns the image's digest.
pub fn package(filter: &Path, folder: &Path) -> Result<String> {
    let output =
        Command::new(paths::image()?.0).args([filter, folder]).current_dir(paths::root()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Packages a filter that behaves the same but has other bytes.
pub fn another() -> Result<TempDir> {
    let folder = TempDir::new()?;
    let module = folder.path().join("module.wasm");
    let mut bytes = std::fs::read(paths::filter()?)?;
    // An empty custom section with the name `note`.
    bytes.extend_from_slice(b"\x00\x05\x04note");
    std::fs::write(&module, bytes)?;
    package(&module, folder.path())?;
    Ok(folder)
}

/// Returns the digest of the image in an OCI image layout.
pub fn digest(layout: &Path) -> Result<String> {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    Ok(index["manifests"][0]["digest"].as_str().context("the layout has no image")?.to_owned())
}

/// Lists the files of an archive with `tar`: mode, owner, size, time and name.
pub fn listing(archive: &Path) -> Result<String> {
    let listing =
        tar(archive, &["--list", "--gzip", "--verbose", "--numeric-owner", "--utc", "--full-time"])?;
    Ok(String::from_utf8(listing)?)
}

/// Returns the first file named `plugin.wasm`, in any folder.
fn plugin_of_layer(archive: &Path) -> Result<Vec<u8>> {
    let names = String::from_utf8(tar(archive, &["--list", "--gzip"])?)?;
    let name =
        names.lines().find(|name| Path::new(name).file_name().is_some_and(|name| name == "plugin.wasm"));
    let name = name.with_context(|| format!("no plugin.wasm among {names:?}"))?;
    let plugin = tar(archive, &["--extract", "--gzip", "--to-stdout", "--occurrence=1", name])?;
    ensure!(plugin.len() >= 8 && plugin.starts_with(b"\0asm"), "{name} is no module");
    Ok(plugin)
}

fn tar(archive: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("tar").arg("--file").arg(archive).args(arguments).output()?;
    ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
