//! The filter's image, from the recipe that publishes it through a real registry to a real Envoy.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::authorization_server::AuthorizationServer;
use integration_tests::client::Request;
use integration_tests::registry::Registry;
use integration_tests::{api, example, image, paths};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// If this failed, an image's digest would not prove that it was built from the sources that it names.
#[test]
fn the_same_filter_is_the_same_image_whenever_and_wherever_it_is_made() -> Result<()> {
    let folder = TempDir::new()?;
    let (here, elsewhere) = (folder.path().join("here"), folder.path().join("elsewhere"));
    let digest = package(&paths::filter()?, &here, &[("TZ", "UTC"), ("UMASK", "022")])?;
    std::thread::sleep(A_MOMENT);
    assert_eq!(digest, package(&paths::filter()?, &elsewhere, &[("TZ", "Asia/Tokyo"), ("UMASK", "077")])?);
    assert_eq!(digest, image::digest(&here)?);
    assert_eq!(fs::read(here.join("index.json"))?, fs::read(elsewhere.join("index.json"))?);
    let other = folder.path().join("other.wasm");
    fs::write(&other, b"\0asm\x01\0\0\0")?;
    assert_ne!(digest, package(&other, &here, &[("UMASK", "022")])?, "another filter has the same digest");
    Ok(())
}

/// If this failed, Istio and Envoy Gateway would find no filter in the published image, or another one.
#[tokio::test]
async fn a_published_image_is_what_istio_and_envoy_gateway_fetch() -> Result<()> {
    let registry = Registry::start("image").await?;
    let digest = image::digest(&paths::image()?.1)?;
    let said = publish(&registry.reference("published:tag"))?;
    assert!(said.ends_with(&format!("/published:tag@{digest}")), "{said}");

    let fetched = registry.pull(&format!("published@{digest}"))?;
    let plugin = image::plugin(fetched.path(), &digest)?;
    assert!(plugin == fs::read(paths::filter()?)?, "the registry has another filter");

    let manifest: Value = serde_json::from_slice(&fs::read(fetched.path().join("manifest.json"))?)?;
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    let layer = manifest["layers"][0]["digest"].as_str().unwrap_or_default().replace("sha256:", "");
    let listing = image::listing(&fetched.path().join(layer))?;
    let parts: Vec<&str> = listing.split_whitespace().collect();
    let size = plugin.len().to_string();
    assert_eq!(parts, ["-rw-r--r--", "0/0", &size, "1970-01-01", "00:00:00", "plugin.wasm"]);
    Ok(())
}

/// If this failed, a man in the middle would see the registry's credentials, and could replace the filter.
#[tokio::test]
async fn only_a_registry_that_is_called_by_a_name_of_loopback_may_do_without_tls() -> Result<()> {
    let registry = Registry::start("image-plain").await?;
    let by_another_name = registry.reference("plain:tag").replace("127.0.0.1", "0.0.0.0");
    let error = publish(&by_another_name).err().context("it was published without TLS")?;
    assert!(error.to_string().contains("HTTP response to HTTPS client"), "{error}");
    let by_name = registry.reference("plain:tag").replace("127.0.0.1", "localhost");
    assert!(publish(&by_name)?.contains("/plain:tag@sha256:"));
    Ok(())
}

/// If this failed, an image would not state its sources, version and license.
#[tokio::test]
async fn an_image_says_what_it_is() -> Result<()> {
    let registry = Registry::start("image-labels").await?;
    let (folder, version) = (TempDir::new()?, env!("CARGO_PKG_VERSION"));
    let said = publish(&registry.reference("untagged"))?;
    assert!(said.contains(&format!("/untagged:{version}@sha256:")), "the version is not its tag: {said}");
    let source = "https://example.com/phantom-token";
    package(&paths::filter()?, folder.path(), &[("IMAGE_SOURCE", source), ("UMASK", "022")])?;
    registry.push(folder.path(), "labelled")?;
    let labels = registry.inspect("labelled")?["Labels"].clone();
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(paths::root()).output()?;
    let head = String::from_utf8(head.stdout)?;
    let revision = labels["org.opencontainers.image.revision"].as_str().unwrap_or_default();
    assert_eq!(revision.trim_end_matches("-dirty"), head.trim());
    let facts =
        [("title", "phantom-token"), ("version", version), ("licenses", "Apache-2.0"), ("source", source)];
    for (name, expected) in facts {
        assert_eq!(labels[format!("org.opencontainers.image.{name}")], expected, "{labels}");
    }
    Ok(())
}

/// If this failed, the test above would prove nothing.
#[tokio::test]
async fn other_images_are_rejected() -> Result<()> {
    let registry = Registry::start("image-planted").await?;
    for (name, file, layer_type, complaint) in [
        ("right", "plugin.wasm", LAYER, ""),
        ("other-file", "phantom_token.wasm", LAYER, "no plugin.wasm"),
        ("other-layer", "plugin.wasm", "application/vnd.oci.image.layer.v1.tar", "the last layer is"),
        ("no-module", "plugin.wasm", LAYER, "is no module"),
    ] {
        let (folder, content) =
            (TempDir::new()?, if name == "no-module" { "nothing" } else { "\0asm\x01\0\0\0" });
        let digest = plant(folder.path(), file, content, layer_type)?;
        registry.push(folder.path(), name)?;
        let found = image::plugin(registry.pull(name)?.path(), &digest);
        match found {
            Ok(plugin) => assert!(complaint.is_empty() && plugin == content.as_bytes(), "{name} was taken"),
            Err(error) => {
                assert!(!complaint.is_empty() && error.to_string().contains(complaint), "{name}: {error}")
            }
        }
    }
    let manifest = fs::read_to_string(registry.pull("right")?.path().join("manifest.json"))?;
    let platform = json!({"architecture": "amd64", "os": "linux"});
    let one = json!({"mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len(), "platform": platform});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}).to_string();
    registry.put_manifest("right", "index", INDEX, &index).await?;
    for expected in [digest(&index), digest(&manifest)] {
        let fetched = image::plugin(registry.pull("right:index")?.path(), &expected);
        assert!(fetched.is_err(), "an index was taken for {expected}");
    }
    Ok(())
}

/// If this failed, the image would contain a filter that does not run.
#[tokio::test]
async fn the_filter_of_a_published_image_runs_in_envoy() -> Result<()> {
    let (registry, server, api) = (
        Registry::start("image-in-envoy").await?,
        AuthorizationServer::start("image-in-envoy")?,
        api::start()?,
    );
    publish(&registry.reference("in-envoy:tag"))?;
    let fetched = registry.pull("in-envoy:tag")?;
    let module = fetched.path().join("extracted.wasm");
    fs::write(&module, image::plugin(fetched.path(), &image::digest(&paths::image()?.1)?)?)?;
    let envoy = example::start("image-in-envoy", &module, &server, &api, "https://app.example.com").await?;
    let gateway = envoy.client("ingress");
    let token = server.issue("orders:read").await?;
    let answer = gateway.send(Request::get("/orders/7").bearer(&token)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.forwarded_authorization().iter().all(|field| field.starts_with("Bearer eyJ")));
    assert_eq!(gateway.send(Request::get("/orders/7")).await?.status, 401);
    Ok(())
}

/// Packages a filter as an image in this environment. Returns its digest.
fn package(filter: &Path, folder: &Path, environment: &[(&str, &str)]) -> Result<String> {
    let output = Command::new("sh")
        .args(["-c", r#"umask "$UMASK" && exec "$@""#, "sh"])
        .args([&paths::image()?.0, filter, folder])
        .envs(environment.iter().copied())
        .current_dir(paths::root())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Publishes `target/image` with the recipe, without rebuilding it. Returns the recipe's last line.
fn publish(reference: &str) -> Result<String> {
    let output = Command::new("./justw")
        .args(["--no-deps", "publish", reference])
        .current_dir(paths::root())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    Ok(said.trim_end().lines().last().context("the recipe said nothing")?.to_owned())
}

/// Creates an OCI image layout whose image has this one file. Returns the image's digest.
fn plant(folder: &Path, file: &str, content: &str, layer_type: &str) -> Result<String> {
    fs::write(folder.join(file), content)?;
    let compression = if layer_type == LAYER { "--gzip" } else { "--no-auto-compress" };
    let tar = Command::new("tar").current_dir(folder).args(["--create", compression, file]).output()?;
    ensure!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    fs::create_dir_all(folder.join("blobs/sha256"))?;
    let blob = |media_type: &str, bytes: &[u8]| -> Result<Value> {
        let digest = digest(bytes);
        fs::write(folder.join("blobs").join(digest.replace(':', "/")), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    };
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?,
        "layers": [blob(layer_type, &tar.stdout)?],
    });
    let index = json!({"schemaVersion": 2, "manifests": [blob(MANIFEST, manifest.to_string().as_bytes())?]});
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    image::digest(folder)
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Long enough for a timestamp in seconds to change.
const A_MOMENT: Duration = Duration::from_millis(1_100);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
