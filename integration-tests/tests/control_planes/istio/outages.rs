//! What continues to work while a part of the mesh is down: istiod, or the registry when a pod starts.

use anyhow::Result;
use integration_tests::control_planes::istio::Proxy;
use integration_tests::eventually::eventually;
use integration_tests::paths;
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use serde_json::json;

use super::{image_url, mesh};
use crate::entrance::Entrance;
use crate::load::Load;

/// If this failed, an upgrade of Istio would be an outage, or an image that is pushed late would require a change of the resource.
#[tokio::test(flavor = "multi_thread")]
async fn r289_while_istiod_is_down_gateways_serve_and_then_they_fetch_what_was_missing() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let load = Load::gather(mesh).await?;
    load.goes_on().await?;
    mesh.istiod.stop().await;
    load.goes_on().await?;
    mesh.istiod.start_again("again").await?;
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:0.1.0", "after istiod")?)?;
    mesh.has_realm("after istiod").await?;
    load.goes_on().await?;
    load.disperse().await?;

    mesh.is_closed_by(&mesh.changed(&mesh.registry, "phantom-token:later", "later")?).await?;
    mesh.istiod.stop().await;
    mesh.registry.push(&paths::image()?.1, "phantom-token:later")?;
    mesh.istiod.start_again("once-more").await?;
    mesh.has_realm("later").await?;
    mesh.restore().await
}

/// If this failed, a pod that starts while the registry is down would serve without the filter.
#[tokio::test]
async fn r270_a_pod_that_starts_while_the_registry_is_down_refuses_everything() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let registry = Registry::start("istio-registry-late").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let port = ReservedPort::new()?;
    let mut plugin = mesh.selecting_plugin("late", "istio-ingress", "late")?;
    plugin["spec"]["match"] = json!([{"mode": "SERVER"}]);
    plugin["spec"]["url"] = image_url(&registry, "phantom-token:0.1.0");
    let listener = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "late", "namespace": "istio-ingress"},
        "spec": {
            "workloadSelector": {"labels": {"app": "late"}},
            "ingress": [{
                "port": {"name": "http", "number": port.number(), "protocol": "HTTP"},
                "bind": "127.0.0.1",
                "captureMode": "NONE",
                "defaultEndpoint": format!("127.0.0.1:{}", mesh.world.api.port()),
            }],
        },
    });
    let plugin = mesh.manifests.clone().and(plugin);
    let manifests = plugin.clone().and(listener);
    mesh.istiod.apply(&manifests)?;
    drop(registry);
    let inbound = format!("127.0.0.1_{}", port.number());
    let late = Proxy {
        name: "control-plane-istio-late",
        namespace: "istio-ingress",
        service_account: "ingress-istio",
        labels: &json!({"app": "late"}),
        address: "10.244.0.14",
        kind: "sidecar",
        environment: &[],
        listeners: &[&inbound],
    };
    let late = mesh.istiod.proxy(&late).await?;
    let get = |path: &str| mesh.world.get(path).by(late.client(&inbound));
    for path in ["/health", "/orders"] {
        let outcome = get(path).await?.has_status(403);
        assert_eq!(outcome.text(), "RBAC: access denied");
    }
    // Only the filter is missing there.
    mesh.delete_what_is_more(plugin.clone())?;
    eventually("the pod is without the filter", async || Ok(get("/orders").await?.status == 200)).await?;
    get("/orders").await?.is_served();
    mesh.delete_what_is_more(manifests.without(&plugin))
}
