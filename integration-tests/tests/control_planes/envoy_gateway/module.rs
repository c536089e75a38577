//! The filter as a native module, configured with Envoy Gateway's own API for modules, as docs/hosts/envoy-module.md describes it.

use anyhow::{Context, Result};
use integration_tests::manifests::Manifests;
use integration_tests::{json, paths};
use serde_json::{Value, json};

use super::{Ingress, POLICY, REALM, ingress};
use crate::entrance::Entrance;
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
    ingress.protects_the_api().await?;
    world.envoy.counts("dynamicmodulescustom.phantom_token_allowed", 1).await?;

    // A file that does not exist is rejected, and the earlier filter continues to serve.
    ingress.apply(&ingress.with_module("/none/libphantom_token.so", "no module")?)?;
    world.envoy.logs("/none/libphantom_token.so").await?;
    ingress.orders(&world.issue("orders:read").await?)?.await?.is_served();
    ingress.get("/orders")?.await?.has_status(401);

    ingress.apply(&ingress.manifests)?;
    ingress.serves().await
}

impl Ingress {
    /// The manifests with the page's module instead of the wasm filter, loaded from this file, and with another realm, which identifies a
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
