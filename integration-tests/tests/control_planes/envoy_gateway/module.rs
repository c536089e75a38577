//! The filter as a native module, by Envoy Gateway's own API for modules, as docs/hosts/envoy-module.md has it.

use anyhow::{Context, Result};
use integration_tests::manifests::Manifests;
use integration_tests::{json, paths, secrets};
use serde_json::{Value, json};

use super::{Ingress, POLICY, REALM, ingress};
use crate::module_page::module_of_page;

/// If this failed, the page would lead to a gateway that the module does not protect, or that serves no one.
#[tokio::test]
async fn r288_envoy_gateway_serves_with_the_module() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let world = &ingress.world;
    ingress.apply(&ingress.with_module(&paths::module()?.display().to_string(), "the module")?)?;
    ingress.has_realm("the module").await?;
    let dump = world.envoy.configuration().await?;
    let filter = json::find(&dump, &|one| one["typed_config"]["dynamic_module_config"].is_object());
    let filter = filter.context("no module")?;
    assert!(json::find(&dump, &|one| one["typed_config"]["config"]["vm_config"].is_object()).is_none());
    assert_eq!(filter["typed_config"]["dynamic_module_config"]["do_not_close"], true);
    let token = world.issue("orders:read").await?;
    let claims = ingress.orders(&token)?.await?.is_served().claims()?;
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(world.introspections(&token).await?, 1);
    ingress.get("/health")?.await?.is_served();
    for (call, status) in [
        (ingress.get("/admin")?.bearer(&token), 403),
        (ingress.orders(&world.issue("orders:write").await?)?, 403),
        (ingress.get("/orders")?, 401),
        (ingress.orders(&secrets::fresh_token("unknown"))?, 401),
        (ingress.orders(&world.issue_revoked("orders:read").await?)?, 401),
    ] {
        call.await?.has_status(status);
    }

    world.envoy.counts("dynamicmodulescustom.phantom_token_allowed", 1).await?;

    // A file that is not there is refused, and what was there serves on.
    ingress.apply(&ingress.with_module("/none/libphantom_token.so", "no module")?)?;
    world.envoy.logs("/none/libphantom_token.so").await?;
    ingress.orders(&world.issue("orders:read").await?)?.await?.is_served();
    ingress.get("/orders")?.await?.has_status(401);

    ingress.apply(&ingress.manifests)?;
    ingress.serves().await
}

impl Ingress {
    /// The manifests with the module of the page instead of the wasm filter, this file of it, and another realm, which identifies a
    /// configuration.
    fn with_module(&self, file: &str, realm: &str) -> Result<Manifests> {
        let policy = self.manifests.with(POLICY.0, POLICY.1, REALM, json!(realm))?;
        let documented = module_of_page("EnvoyExtensionPolicy")?;
        let [proxy, use_of_it] = documented.as_slice() else { anyhow::bail!("not two resources") };
        let (mut registered, mut used) =
            (proxy["spec"]["dynamicModules"].clone(), use_of_it["spec"]["dynamicModule"].clone());
        registered[0]["source"]["local"]["path"] = json!(file);
        used[0]["config"] = policy.named(POLICY.0, POLICY.1)?["spec"]["wasm"][0]["config"].clone();
        policy
            .with("EnvoyProxy", "ingress", "/spec/dynamicModules", registered)?
            .with(POLICY.0, POLICY.1, "/spec/dynamicModule", used)?
            .with(POLICY.0, POLICY.1, "/spec/wasm", Value::Null)?
            .with(POLICY.0, POLICY.1, "/metadata/name", json!("module"))
    }
}
