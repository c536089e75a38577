//! The ingress that istiod makes from the manifests.

use anyhow::{Context, Result};
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::{istio, istiod};
use serde_json::Value;

use super::{deployment, mesh};
use crate::entrance::Entrance;

/// If this failed, the manifests would make an ingress that lets no request through, or every one.
#[tokio::test]
async fn r074_istio_makes_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.protects_the_api().await?;
    mesh.refuses_escaped_slashes().await
}

/// If this failed, the gateway's pods would lack the secret, or the bootstrap that turns reasons into labels.
#[tokio::test]
async fn istiod_merges_the_options_into_the_deployment() -> Result<()> {
    let mesh = mesh().await;
    let deployment = deployment(&mesh.istiod, "istio-ingress", "ingress-istio").await?;
    let gateway = mesh.manifests.named("Gateway", "ingress")?;
    let options = istio::deployment(&mesh.manifests, gateway);
    assert_eq!(deployment["spec"]["replicas"], options["spec"]["replicas"]);
    let (made, asked) = (&deployment["spec"]["template"]["spec"], &options["spec"]["template"]["spec"]);
    let containers = made["containers"].as_array().context("no containers")?;
    assert_eq!(containers.len(), 1, "another container: {made}");
    for list in ["env", "volumeMounts"] {
        for entry in asked["containers"][0][list].as_array().context("nothing asked")? {
            let all = containers[0][list].as_array().context("no list")?;
            assert!(all.contains(entry), "{list} lacks {entry}: {all:?}");
        }
    }
    let volume = &asked["volumes"][0]["name"];
    assert!(made["volumes"].as_array().context("no volumes")?.iter().any(|one| one["name"] == *volume));
    assert_eq!(made["serviceAccountName"], "ingress-istio");
    Ok(())
}

/// If this failed, alerts on reasons would be silent behind Istio.
#[tokio::test]
async fn the_bootstrap_of_the_options_makes_the_reason_a_label() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.get("/orders")?.await?.has_status(401);
    let label = r#"phantom_token_denied{reason="missing_credentials"}"#;
    eventually("the refusal is counted", async || Ok(mesh.world.envoy.metrics().await?.contains(label))).await
}

/// If this failed, the tests in `tests/envoy` would run another filter configuration than istiod and its agent's.
#[tokio::test]
async fn istiod_makes_of_the_plugin_what_other_tests_take_for_it() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let mut expected = istiod::wasm_filter(&istio::filter(&mesh.manifests).context("no filter")?)?;
    let dump = mesh.world.envoy.configuration().await?;
    let made = json::find(&dump, &|one| {
        one["name"] == expected["name"] && one["typed_config"]["config"].is_object()
    });
    let mut made = made.context("no filter")?["typed_config"].clone();
    for filter in [&mut made, &mut expected["typed_config"]] {
        *filter.pointer_mut("/config/vm_config/code").context("no code")? = Value::Null;
    }
    assert_eq!(made, expected["typed_config"]);
    Ok(())
}
