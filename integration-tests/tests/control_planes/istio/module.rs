//! The filter as a native module at the ingress, configured with the EnvoyFilter of docs/hosts/envoy-module.md.

use anyhow::{Context, Result};
use integration_tests::eventually::eventually;
use integration_tests::paths;
use serde_json::json;

use super::{PLUGIN, mesh};
use crate::entrance::Entrance;
use crate::module_page::module_of_page;

/// If this failed, the page would lead to a gateway that the module does not protect, or that serves no one.
#[tokio::test]
async fn r288_istio_serves_with_the_module() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let world = &mesh.world;
    let plugin = mesh.manifests.named(PLUGIN.0, PLUGIN.1)?;
    let mut configuration = plugin["spec"]["pluginConfig"].clone();
    configuration["realm"] = json!("the module");
    let mut filter = module_of_page("EnvoyFilter")?.pop().context("no EnvoyFilter")?;
    filter["metadata"]["namespace"] = json!("istio-ingress");
    filter["spec"]["workloadSelector"]["labels"] =
        json!({"gateway.networking.k8s.io/gateway-name": "ingress"});
    let inserted =
        filter.pointer_mut("/spec/configPatches/0/patch/value/typed_config").context("no filter")?;
    inserted["dynamic_module_config"]["module"]["local"]["filename"] = json!(paths::module()?);
    inserted["filter_config"]["value"] = configuration;
    let manifests = mesh.manifests.clone().and(filter);
    mesh.istiod.apply(&manifests)?;
    mesh.istiod.api_server.kubectl(&["delete", PLUGIN.0, PLUGIN.1, "--namespace", "istio-ingress"], "")?;
    mesh.has_realm("the module").await?;
    mesh.protects_the_api().await?;

    // The wasm filter precedes the module, which refuses the JWTs that the filter forwards.
    mesh.istiod.apply(&mesh.manifests)?;
    eventually("the wasm filter is there again", async || {
        let challenges = mesh.get("/orders")?.await?.challenges().join(" ");
        Ok(challenges.contains("realm=\"orders\""))
    })
    .await?;
    mesh.delete_what_is_more(manifests)?;
    eventually("the module is gone", async || {
        Ok(mesh.orders(&world.issue("orders:read").await?)?.await?.status == 200)
    })
    .await?;
    mesh.serves().await
}
