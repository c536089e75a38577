//! `package-image FILTER FOLDER`: makes the OCI image of the filter, as an OCI image layout in the folder, and prints its digest.
//!
//! It is the image that Istio and Envoy Gateway take: one manifest, no index, and one layer, whose `plugin.wasm` is the filter.
//! Its labels come from the filter's `Cargo.toml` and from git: the same filter of the same commit gives the same image, on any
//! machine at any time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [filter, folder] = arguments.as_slice() else { anyhow::bail!("usage: package-image FILTER FOLDER") };

    let filter = fs::read(filter).with_context(|| format!("cannot read {filter}"))?;
    let annotations = annotations()?;
    let layout = Layout::fresh(Path::new(folder))?;
    println!("{}", layout.image(&filter, &annotations)?);
    Ok(())
}

/// An OCI image layout with one image.
struct Layout<'a> {
    folder: &'a Path,
}

impl<'a> Layout<'a> {
    fn fresh(folder: &'a Path) -> Result<Self> {
        // Removes an image layout, but no other folder.
        if folder.join(LAYOUT).exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder.join(BLOBS))?;
        Ok(Self { folder })
    }

    /// Writes the image, and returns its digest.
    fn image(&self, filter: &[u8], annotations: &Annotations) -> Result<String> {
        let archive = archive(filter)?;
        let config = json!({
            "created": annotations.get(CREATED),
            // The filter runs on any platform, but a client that reads these two fields pulls nothing else.
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": annotations},
            "rootfs": {"type": "layers", "diff_ids": [digest(&archive)]},
            "history": [{"created": annotations.get(CREATED), "created_by": "COPY plugin.wasm /"}],
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?,
            "layers": [self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &compressed(&archive)?)?],
            "annotations": annotations,
        });
        let manifest = manifest.to_string();
        let index = json!({"schemaVersion": 2, "manifests": [self.blob(MANIFEST, manifest.as_bytes())?]});
        fs::write(self.folder.join("index.json"), index.to_string())?;
        fs::write(self.folder.join(LAYOUT), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
        Ok(digest(manifest.as_bytes()))
    }

    /// Writes bytes as a blob, and returns their descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest(bytes);
        fs::write(self.folder.join(BLOBS).join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }
}

/// Returns the archive that is the only layer.
fn archive(filter: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(filter.len().try_into()?);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "plugin.wasm", filter)?;
    Ok(archive.into_inner()?)
}

/// Compresses the archive, without a time and a name in the header.
fn compressed(archive: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().read(archive, Compression::best());
    let mut compressed = Vec::new();
    std::io::copy(&mut encoder, &mut compressed)?;
    Ok(compressed)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

type Annotations = BTreeMap<&'static str, String>;

/// Returns the image's annotations, by the keys that OCI defines. `IMAGE_SOURCE` says where the source is, if it is set.
fn annotations() -> Result<Annotations> {
    let packages: Value =
        serde_json::from_str(&output("cargo", &["metadata", "--no-deps", "--format-version=1"])?)?;
    let mut all = packages.get("packages").and_then(Value::as_array).into_iter().flatten();
    let package = all
        .find(|package| package.get("name").is_some_and(|name| name == "phantom-token"))
        .context("there is no package phantom-token")?;
    let fact = |name: &str| {
        package
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("the package has no {name}"))
    };
    // `--abbrev=40` gives the full hash, and `--dirty` considers only tracked files.
    let revision = output("git", &["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"])?;
    let created =
        output("git", &["log", "--max-count=1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?;
    let mut annotations = BTreeMap::from([
        ("org.opencontainers.image.title", fact("name")?),
        ("org.opencontainers.image.description", fact("description")?),
        ("org.opencontainers.image.version", fact("version")?),
        ("org.opencontainers.image.licenses", fact("license")?),
        ("org.opencontainers.image.revision", revision),
        (CREATED, created),
    ]);
    if let Some(source) = std::env::var("IMAGE_SOURCE").ok().filter(|source| !source.is_empty()) {
        annotations.insert("org.opencontainers.image.source", source);
    }
    Ok(annotations)
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {complaint}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

const LAYOUT: &str = "oci-layout";
const BLOBS: &str = "blobs/sha256";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The time of the commit.
const CREATED: &str = "org.opencontainers.image.created";
