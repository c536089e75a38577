//! `dynamic/`: listeners and clusters in files that are replaced while Envoy runs, as Kubernetes replaces those of a ConfigMap.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::envoy::Envoy;
use integration_tests::envoy_config::Example;
use integration_tests::eventually::eventually;
use integration_tests::server::Service;
use integration_tests::testkit::World;
use integration_tests::{api, paths};
use tempfile::TempDir;

use super::story;

/// If this failed, a change of the rules, or an API that moves, would require a restart or empty the cache; or an invalid change would stop
/// the ingress, or not be noticed.
#[tokio::test]
async fn r038_rules_change_with_the_file_and_a_bad_file_changes_nothing() -> Result<()> {
    let world = World::certified("envoy-dynamic")?;
    let volume = Volume::new()?;
    let clusters = clusters_of(world.server(), &world.api)?;
    let listeners = listeners_of(world.server())?;
    volume.replace(&listeners, &clusters)?;
    let bootstrap = Example::read("dynamic/envoy.yaml")?
        .with("envoy-config/dynamic", &volume.path().display().to_string())?
        .with("port_value: 9901", "port_value: 0")?
        .text();
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let envoy = Envoy::start("envoy-dynamic", &bootstrap, &secret, &["ingress"]).await?;
    let world = world.around(envoy, "ingress");
    let (token, _) = story::run(&world, |call| call).await?;
    let status = async |path: &str| anyhow::Ok(world.get(path).bearer(&token).await?.status);

    assert_eq!(status("/reports").await?, 403, "no rule exposes it yet");
    let more =
        listeners.replace(RULES, &format!(r#"{RULES} {{ "path": "/reports", "scopes": ["orders:read"] }},"#));
    volume.replace(&more, &clusters)?;
    eventually("the new rules", async || Ok(status("/reports").await? == 200)).await?;
    assert_eq!(world.introspections(&token).await?, 1, "the cache did not survive");

    let count = async |name: &str| world.envoy.statistic(&format!("listener_manager.lds.{name}")).await;
    assert_eq!(count("update_rejected").await?, 0);
    volume.replace(&listeners.replace(r#""path": "/health""#, r#""path": "health""#), &clusters)?;
    eventually("the bad rules are refused", async || Ok(count("update_rejected").await? > 0)).await?;
    world.envoy.logs(r#"rules[0].path: must start with "/""#).await?;
    assert_eq!(status("/reports").await?, 200, "the rules before do not serve on");
    world.get("/orders").await?.has_status(401);

    let failures = count("update_failure").await? + count("update_rejected").await?;
    volume.replace(more.split_at(more.len() / 2).0, &clusters)?;
    eventually("half a file is refused", async || {
        Ok(count("update_failure").await? + count("update_rejected").await? > failures)
    })
    .await?;
    assert_eq!(status("/reports").await?, 200, "the rules before do not serve on");

    volume.replace(&listeners, &clusters)?;
    eventually("the old rules", async || Ok(status("/reports").await? == 403)).await?;
    let elsewhere = api::start()?;
    volume.replace(&listeners, &clusters_of(world.server(), &elsewhere)?)?;
    eventually("the API has moved", async || {
        world.get("/orders/moved").bearer(&token).named("moved").await?;
        Ok(!elsewhere.received("moved").is_empty())
    })
    .await?;
    assert_eq!(world.introspections(&token).await?, 1, "the cache did not survive");
    Ok(())
}

/// A folder whose files are symbolic links into another one that is replaced by moving one link, as in a ConfigMap volume.
struct Volume(TempDir);

impl Volume {
    fn new() -> Result<Self> {
        let volume = Self(TempDir::new()?);
        for name in FILES {
            symlink(Path::new(DATA).join(name), volume.path().join(name))?;
        }
        Ok(volume)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn replace(&self, listeners: &str, clusters: &str) -> Result<()> {
        let next = TempDir::with_prefix_in("..", self.path())?.keep();
        for (name, text) in FILES.into_iter().zip([listeners, clusters]) {
            std::fs::write(next.join(name), text)?;
        }
        let link = self.path().join("..data_tmp");
        symlink(&next, &link)?;
        Ok(std::fs::rename(link, self.path().join(DATA))?)
    }
}

fn listeners_of(server: &AuthorizationServer) -> Result<String> {
    let example = Example::read("dynamic/lds.yaml")?
        .with("port_value: 10000", "port_value: 0")?
        .with("http://127.0.0.1:9000", server.issuer())?
        .with("target/phantom_token.wasm", &paths::filter()?.display().to_string())?;
    Ok(example.with(RULES, RULES)?.text())
}

fn clusters_of(server: &AuthorizationServer, api: &Service) -> Result<String> {
    let example = Example::read("dynamic/cds.yaml")?
        .with("port_value: 8080", &format!("port_value: {}", api.port()))?
        .with("port_value: 9000", &format!("port_value: {}", server.port()))?;
    Ok(example.text())
}

const FILES: [&str; 2] = ["lds.yaml", "cds.yaml"];
const DATA: &str = "..data";
/// The first rule in the file.
const RULES: &str = r#"{ "path": "/health", "access": "public" },"#;
