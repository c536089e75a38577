//! A rule for a route at Envoy Gateway's ingress, behind a patch that changes the route.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{LISTENER, POLICY, REALM, ingress};
use crate::entrance::Entrance;
use crate::routes::{golden, golden_name, golden_rule, is_stale, rewriter, selector};

/// If this failed, the page would leave a hole that it says how to close, or would ask for a filter that is not needed.
#[tokio::test]
async fn r133_behind_envoy_gateway_a_rule_for_a_route_holds_with_the_selector() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let with_route = ingress.manifests.clone().and(golden(&ingress.manifests)?);
    ingress.apply(&with_route)?;
    let rule = golden_rule(&golden_name(&ingress.world.envoy).await?);
    let policy = ingress.manifests.named(POLICY.0, POLICY.1)?;
    let mut rules = policy["spec"]["wasm"][0]["config"]["rules"].clone();
    rules.as_array_mut().context("no rules")?.push(rule);
    let behind = with_route.with(POLICY.0, POLICY.1, "/spec/wasm/0/config/rules", rules)?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("routes"),
    )?;
    ingress.apply(&behind.clone().and(first(&[rewriter()])))?;
    ingress.has_realm("routes").await?;
    is_stale(ingress, true).await?;
    ingress.apply(&behind.and(first(&[rewriter(), selector()?])))?;
    is_stale(ingress, false).await?;
    ingress.apply(&ingress.manifests)?;
    ingress.serves().await
}

/// Inserts these filters before all others, the first of which is phantom-token.
fn first(filters: &[Value]) -> Value {
    let patches: Vec<Value> = filters
        .iter()
        .rev()
        .map(|filter| {
            json!({
                "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                "name": LISTENER,
                "operation": {
                    "op": "add",
                    "path": "/filter_chains/0/filters/0/typed_config/http_filters/0",
                    "value": filter,
                },
            })
        })
        .collect();
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "filters", "namespace": "ingress"},
        "spec": {
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ingress"},
            "type": "JSONPatch",
            "jsonPatches": patches,
        },
    })
}
