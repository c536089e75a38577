//! A rule for a route at istiod's ingress, behind an EnvoyFilter that changes the route.

use anyhow::{Context, Result};
use integration_tests::manifests::{istio, istiod};
use serde_json::{Value, json};

use super::{PLUGIN, mesh};
use crate::entrance::Entrance;
use crate::routes::{golden, golden_name, golden_rule, is_stale, rewriter, selector};

/// If this failed, the page would leave a hole that it says how to close, or would ask for a filter that is not needed.
#[tokio::test]
async fn r133_behind_istiod_a_rule_for_a_route_holds_with_the_selector() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let with_route = mesh.manifests.clone().and(golden(&mesh.manifests)?);
    mesh.istiod.apply(&with_route)?;
    let rule = golden_rule(&golden_name(&mesh.world.envoy).await?);
    let mut rules = mesh.manifests.named(PLUGIN.0, PLUGIN.1)?["spec"]["pluginConfig"]["rules"].clone();
    rules.as_array_mut().context("no rules")?.push(rule);
    let filter = istiod::wasm_filter(&istio::filter(&mesh.manifests).context("no filter")?)?;
    let name = filter["name"].as_str().context("no name")?;
    let behind = with_route
        .with(PLUGIN.0, PLUGIN.1, "/spec/pluginConfig/rules", rules)?
        .with(PLUGIN.0, PLUGIN.1, "/spec/pluginConfig/realm", json!("routes"))?
        .and(before(name, "rewriter", &rewriter()));
    mesh.istiod.apply(&behind)?;
    mesh.has_realm("routes").await?;
    is_stale(mesh, true).await?;
    // The priority puts the selector after the rewriter, and so next to the filter.
    let mut selecting = before(name, "selector", &selector()?);
    selecting["spec"]["priority"] = json!(1);
    let selected = behind.and(selecting);
    mesh.istiod.apply(&selected)?;
    is_stale(mesh, false).await?;
    mesh.delete_what_is_more(selected)?;
    mesh.restore().await
}

/// Inserts a filter right before the filter of this name.
fn before(filter: &str, name: &str, inserted: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": "istio-ingress"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ingress"}],
            "configPatches": [{
                "applyTo": "HTTP_FILTER",
                "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {
                    "name": "envoy.filters.network.http_connection_manager",
                    "subFilter": {"name": filter},
                }}}},
                "patch": {"operation": "INSERT_BEFORE", "value": inserted},
            }],
        },
    })
}
