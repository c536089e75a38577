//! Secrets that Envoy delivers to the native module by its secret discovery service (SDS).

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use integration_tests::artefact::Artefact;
use integration_tests::envoy;
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::Response;
use integration_tests::testkit::{World, WorldBuilder};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a secret discovery response, which Envoy watches.
struct Discovery(TempDir);

impl Discovery {
    fn new() -> Result<Self> {
        let discovery = Self(tempfile::tempdir()?);
        discovery.write(&json!([]))?;
        Ok(discovery)
    }

    /// Delivers a secret.
    fn deliver(&self, value: &str) -> Result<()> {
        secrets::noted(value.trim_end().to_owned());
        self.write(&json!([{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": NAME,
            "generic_secret": {"secret": {"inline_string": value}},
        }]))
    }

    /// Writes the file. Envoy reads it when another file replaces it.
    fn write(&self, resources: &Value) -> Result<()> {
        let file = |name: &str| self.0.path().join(name);
        std::fs::write(file("next.json"), json!({"resources": resources}).to_string())?;
        Ok(std::fs::rename(file("next.json"), file("secrets.json"))?)
    }

    /// Returns a configuration's reference to the secret.
    fn reference(&self) -> Value {
        let path = self.0.path().join("secrets.json");
        // Envoy opens the listener after this time, whether or not the secret has arrived.
        let source = json!({"path_config_source": {"path": path}, "initial_fetch_timeout": "0.2s"});
        json!({"sds": {"name": NAME, "sds_config": source}})
    }
}

/// A world whose module uses this as its client secret.
fn builder(name: &str, secret: Value) -> Result<WorldBuilder> {
    let world = World::scripted(name)?.workers(4).envoy(|envoy| envoy.artefact(Artefact::Module));
    Ok(world.configuration(by_secret(secret)))
}

/// Adds a listener and starts the world. Returns `None` in an Envoy without the callbacks, where the configuration has to be refused.
async fn started(builder: WorldBuilder) -> Result<Option<World>> {
    let builder = builder.listener("gateway", json!({})).envoy(|envoy| envoy.balanced());
    if envoy::version()? < (1, 40) {
        let (accepted, output) = builder.validate()?;
        ensure!(!accepted && output.contains("older than 1.40"), "{output}");
        return Ok(None);
    }
    builder.start().await.map(Some)
}

fn by_secret(secret: Value) -> Value {
    // With few slots, another token may take that of a cached one.
    let cache =
        json!({"max_entries": 1_000_000, "max_bytes": 256_000_000, "shared_max_bytes": 1_000_000_000});
    // Objects are merged, so the usual configuration must not contain a secret.
    json!({"introspection": {"client_secret": secret}, "cache": cache})
}

/// Whether the authorization server received this secret with the introspection of a new token.
async fn asks_with(world: &World, secret: &str) -> Result<bool> {
    let token = world.active();
    world.orders(&token).await?.is_served();
    let asked = world.scripted.introspections(&token);
    let expected = format!("Basic {}", STANDARD.encode(format!("gateway:{secret}")));
    Ok(asked.first().and_then(|one| one.field("authorization")) == Some(expected.as_str()))
}

/// If this failed, the authorization server would refuse a rotated secret until Envoy is restarted, requests would fail during the
/// rotation, or all cached tokens would be introspected again.
#[tokio::test]
async fn r280_a_secret_by_sds_rotates_without_a_restart() -> Result<()> {
    let discovery = Discovery::new()?;
    discovery.deliver("the-first-secret")?;
    let Some(world) = started(builder("sds-rotation", discovery.reference())?).await? else { return Ok(()) };
    assert!(asks_with(&world, "the-first-secret").await?);
    let cached = world.active();
    world.orders(&cached).await?.is_served();
    let (waiting, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let rotation = async {
        world.envoy.holds("gateway", 1).await?;
        discovery.deliver("the-second-secret")?;
        eventually("the second secret is in use", async || asks_with(&world, "the-second-secret").await)
            .await?;
        for _ in 0..40 {
            assert!(asks_with(&world, "the-second-secret").await?, "a worker has the first one again");
            world.orders(&cached).await?.is_served();
        }
        gate.open();
        Ok(())
    };
    let (outcome, ()) = tokio::try_join!(async { world.orders(&waiting).await }, rotation)?;
    outcome.is_served();
    assert_eq!(world.introspections(&cached).await?, 1, "the cache outlives the change");
    assert_eq!(world.introspections(&waiting).await?, 1);
    Ok(())
}

/// If this failed, static secrets of the bootstrap, for which Envoy needs no service, could not be used.
#[tokio::test]
async fn r280_a_static_secret_of_the_bootstrap_is_one_as_well() -> Result<()> {
    let builder = builder("sds-static", json!({"sds": {"name": NAME}}))?
        .envoy(|envoy| envoy.generic_secret(NAME, &secrets::noted("a-static-secret".to_owned())));
    let Some(world) = started(builder).await? else { return Ok(()) };
    assert!(asks_with(&world, "a-static-secret").await?);
    Ok(())
}

/// If requests passed before the configuration is complete, they would pass without rules.
#[tokio::test]
async fn r281_no_request_passes_before_all_secrets_have_come() -> Result<()> {
    let discovery = Discovery::new()?;
    let public = json!({"rules": [{"path": "/orders"}, {"path": "/health", "access": "public"}]});
    let builder = builder("sds-late", discovery.reference())?.configuration(public);
    let Some(world) = started(builder).await? else { return Ok(()) };
    let token = world.active();
    for call in [world.orders(&token), world.get("/health")] {
        let refused = call.await?.has_status(500).went_nowhere();
        assert_eq!(refused.text(), "", "docs/troubleshooting.md says what to look for");
    }
    world.envoy.logs(&format!("waits for secrets by SDS: {NAME}")).await?;
    discovery.deliver("a-late-secret")?;
    eventually("it serves", async || Ok(world.orders(&token).await?.status == 200)).await?;
    world.get("/health").await?.has_status(200);
    assert!(asks_with(&world, "a-late-secret").await?);
    Ok(())
}

/// If an invalid delivered secret took effect, it would close the gateway, although the secret before it is still valid.
#[tokio::test]
async fn r281_the_last_good_secret_stays_in_use() -> Result<()> {
    let discovery = Discovery::new()?;
    discovery.deliver("a-good-secret")?;
    let Some(world) = started(builder("sds-mistake", discovery.reference())?).await? else { return Ok(()) };
    assert!(asks_with(&world, "a-good-secret").await?);
    discovery.deliver("a-secret-from-a-file\n")?;
    world.envoy.logs("configuration: introspection.client_secret: ends with a line break").await?;
    assert!(asks_with(&world, "a-good-secret").await?);
    discovery.deliver("a-better-secret")?;
    eventually("it is in use", async || asks_with(&world, "a-better-secret").await).await?;
    Ok(())
}

/// If this failed, a gateway whose secret can never arrive would replace one that serves.
#[tokio::test]
async fn r281_a_secret_that_envoy_refuses_is_an_error() -> Result<()> {
    let message = if envoy::version()? < (1, 40) { "older than 1.40" } else { "is refused by Envoy" };
    let discovery = Discovery::new()?;
    // The validated bootstrap has no node, without which Envoy subscribes to nothing.
    for (name, reference) in [
        ("sds-without-secret", json!({"sds": {"name": "no-such-secret"}})),
        ("sds-without-node", discovery.reference()),
    ] {
        let (accepted, output) = builder(name, reference)?.listener("gateway", json!({})).validate()?;
        assert!(!accepted && output.contains(message), "{name}: {output}");
    }
    Ok(())
}

const NAME: &str = "introspection-client";
