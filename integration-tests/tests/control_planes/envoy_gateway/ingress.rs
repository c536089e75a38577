//! The ingress that Envoy Gateway makes from the manifests.

use anyhow::{Context, Result};
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::envoy_gateway;
use serde_json::json;

use super::{POLICY, ingress};
use crate::entrance::Entrance;

/// If this failed, the manifests would make an ingress that lets no request through, or every one.
#[tokio::test]
async fn r074_envoy_gateway_makes_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    ingress.protects_the_api().await?;
    ingress.refuses_escaped_slashes().await
}

/// If this failed, alerts on reasons would be silent behind Envoy Gateway.
#[tokio::test]
async fn the_merged_bootstrap_makes_the_reason_a_label() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    ingress.get("/orders")?.await?.has_status(401);
    let envoy = &ingress.world.envoy;
    eventually("the refusal is counted", async || {
        let metrics = envoy.metrics().await?;
        Ok(metrics
            .lines()
            .any(|line| line.starts_with(r#"phantom_token_denied{reason="missing_credentials"}"#)))
    })
    .await
}

/// If this failed, the tests in `tests/envoy` would run another filter configuration than Envoy Gateway's.
#[tokio::test]
async fn envoy_gateway_makes_of_the_policy_what_other_tests_take_for_it() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let (expected, _) = envoy_gateway::wasm_filter(&ingress.manifests, POLICY.1)?;
    let dump = ingress.world.envoy.configuration().await?;
    let manager =
        json::find(&dump, &|one| one["http_filters"][0]["disabled"] == true).context("no filter")?;
    let made = &manager["http_filters"][0];
    assert_eq!(manager["http_filters"][1]["name"], "envoy.filters.http.router");
    let (plugin, expected_plugin) = (&made["typed_config"]["config"], &expected["typed_config"]["config"]);
    let (vm, expected_vm) = (&plugin["vm_config"], &expected_plugin["vm_config"]);
    // The ID begins with the kind of the policy, which is missing for policies from a file.
    let id = format!("envoyextensionpolicy{}", vm["vm_id"].as_str().context("no vm_id")?);
    assert_eq!(id, expected_vm["vm_id"]);
    for (made, expected) in [
        (&plugin["name"], &expected_plugin["name"]),
        (&vm["runtime"], &expected_vm["runtime"]),
        (&vm["environment_variables"], &expected_vm["environment_variables"]),
        (&plugin["configuration"], &expected_plugin["configuration"]),
    ] {
        assert_eq!(made, expected);
    }
    assert_eq!((expected_plugin["fail_open"].as_bool(), plugin["fail_open"].as_bool()), (Some(false), None));
    assert!(vm["code"]["remote"]["sha256"].is_string(), "{vm}");
    let name = made["name"].as_str().context("no name")?;
    let routes = json::find(&dump, &|one| one["typed_per_filter_config"][name].is_object());
    assert!(routes.is_some(), "no route turns it on");
    Ok(())
}

/// If this failed, a SecurityPolicy that verifies JWTs would refuse every opaque token, or the filter would have to be removed.
#[tokio::test]
async fn the_filter_comes_before_the_jwts_of_a_security_policy() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let keys = ingress.world.server().keys().await?;
    let verifying = ingress.manifests.clone().and(json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": "jwts", "namespace": "orders"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "orders"}],
            "jwt": {"providers": [{
                "name": "login",
                "issuer": "https://login.example.com",
                "audiences": ["orders-api"],
                "localJWKS": {"type": "Inline", "inline": keys},
            }]},
        },
    }));
    // This order is the default, as if none were configured.
    let order = json!([{"name": "envoy.filters.http.cors", "before": "envoy.filters.http.jwt_authn"}]);
    let by_default = verifying.with("EnvoyProxy", "ingress", "/spec/filterOrder", order)?;
    for (manifests, status) in [(&verifying, 200), (&by_default, 401)] {
        ingress.apply(manifests)?;
        // `jwt_authn` is active once it refuses what the filter admits.
        eventually("jwt_authn is there", async || Ok(ingress.get("/health")?.await?.status == 401)).await?;
        let token = ingress.world.issue("orders:read").await?;
        eventually("it is where it has to be", async || Ok(ingress.orders(&token)?.await?.status == status))
            .await?;
        ingress.orders(&token)?.await?.has_status(status);
    }
    ingress.apply(&ingress.manifests)?;
    eventually("jwt_authn is gone", async || Ok(ingress.get("/health")?.await?.status == 200)).await?;
    ingress.serves().await
}
