//! The native module where Envoy downloads it. docs/hosts/envoy-module.md says when that fails open, and `phantom-token check` reports it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use integration_tests::artefact::{Artefact, METRICS_NAMESPACE};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{self, Response};
use integration_tests::testkit::World;
use integration_tests::{envoy, paths};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A server that offers the module for download once it is published.
struct Download {
    port: u16,
    sha256: String,
    is_published: Arc<AtomicBool>,
}

impl Download {
    /// `version` makes the file unique, so that no Envoy has cached it, without changing its behavior.
    fn of(version: &str) -> Result<Self> {
        let file = [std::fs::read(paths::module()?)?, version.as_bytes().to_vec()].concat();
        let sha256 = format!("{:x}", Sha256::digest(&file));
        let is_published = Arc::new(AtomicBool::new(false));
        let is_there = Arc::clone(&is_published);
        let port = scripted_server::serve(move |_| match is_there.load(Ordering::Relaxed) {
            true => Response::new(200, "application/octet-stream", file.clone()),
            false => Response::status(503),
        })?;
        Ok(Self { port, sha256, is_published })
    }

    fn publish(&self) {
        self.is_published.store(true, Ordering::Relaxed);
    }

    /// Returns the filter's reference to the module.
    fn module(&self, nack_on_cache_miss: bool) -> Value {
        let uri =
            json!({"uri": "http://modules.test/module.so", "cluster": self.cluster(), "timeout": "60s"});
        json!({
            "module": {"remote": {"http_uri": uri, "sha256": self.sha256}},
            "nack_on_cache_miss": nack_on_cache_miss,
            "do_not_close": true,
            "metrics_namespace": METRICS_NAMESPACE,
        })
    }

    fn cluster(&self) -> String {
        format!("modules-{}", self.port)
    }
}

/// If this failed, the page would call a setting safe that opens the gateway, or warn of one that does not.
#[tokio::test]
async fn r290_a_module_that_is_downloaded_is_open_at_first_unless_envoy_refuses_to_wait() -> Result<()> {
    let cache = TempDir::new()?;
    let (closed, open) = (Download::of("closed")?, Download::of("open")?);
    let world = World::scripted("remote-module")?
        .envoy(|envoy| {
            envoy
                .artefact(Artefact::Module)
                .environment("TMPDIR", &cache.path().display().to_string())
                .cluster(&closed.cluster(), &[closed.port])
                .cluster(&open.cluster(), &[open.port])
        })
        .listener("gateway", json!({}))
        .start()
        .await?;
    let push = |download: &Download, refuses| {
        let module = download.module(refuses);
        async { world.envoy.update("gateway", MODULE, module).await }
    };

    // The update is refused until a later one finds the module in the cache; the earlier filter continues to serve.
    assert!(!push(&closed, true).await?);
    world.get("/orders").await?.has_status(401).went_nowhere();
    world.orders(&world.active()).await?.is_served();
    if envoy::version()? < (1, 40) {
        return Ok(());
    }
    closed.publish();
    eventually("a later update finds it", async || push(&closed, true).await).await?;
    assert_eq!(cache.path().read_dir()?.count(), 1, "the page says where Envoy keeps it");
    world.get("/orders").await?.has_status(401).went_nowhere();
    world.orders(&world.active()).await?.is_served();

    // The update is accepted at once, and the gateway is open, even once the module could be downloaded.
    assert!(push(&open, false).await?);
    world.envoy.logs("module will not be loaded").await?;
    let answers = async |status| Ok(world.get("/orders").await?.status == status);
    eventually("the workers have the listener without the filter", async || answers(200).await).await?;
    open.publish();
    world.get("/orders").await?.is_served();
    eventually("a later update finds it", async || push(&open, true).await).await?;
    eventually("the workers have the listener with the filter", async || answers(401).await).await?;
    world.get("/orders").await?.has_status(401).went_nowhere();
    Ok(())
}

const MODULE: &str =
    "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/dynamic_module_config";
