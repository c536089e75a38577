//! Kubernetes' own judgement of the manifests: a real API server with the real CustomResourceDefinitions of Gateway API, Envoy Gateway
//! and Istio, the rules of which are partly written in CEL.

use anyhow::Result;
use integration_tests::control_planes::kubernetes::ApiServer;
use integration_tests::manifests::Manifests;
use integration_tests::{paths, shared};
use serde_json::json;

shared!(api_server: ApiServer = start);

async fn start() -> Result<ApiServer> {
    let server = ApiServer::start("control-plane-kubernetes").await?;
    for control_plane in ["envoy-gateway", "istio"] {
        server.define(&paths::definitions(control_plane)?)?;
    }
    for folder in
        [EXTERNAL, IN_CLUSTER, WAYPOINT, TRAFFIC_EXTENSION, ISTIO_MCP, ENVOY_GATEWAY, ENVOY_GATEWAY_MCP]
    {
        server.apply(&Manifests::build(folder)?)?;
    }
    Ok(server)
}

/// If this failed, `kubectl apply --kustomize` would be refused. All of it happens in [`start`].
#[tokio::test]
async fn the_api_server_takes_every_manifest() {
    api_server().await;
}

/// If one of these were taken, the test before would prove nothing about it.
#[tokio::test]
async fn what_no_schema_or_rule_allows_is_refused() -> Result<()> {
    let server = api_server().await;
    let (istio, extension) = (Manifests::build(WAYPOINT)?, Manifests::build(TRAFFIC_EXTENSION)?);
    let envoy_gateway = Manifests::build(ENVOY_GATEWAY)?;
    let plugin = |pointer, value| (&istio, "WasmPlugin", "phantom-token", pointer, value);
    let policy = |pointer, value| (&envoy_gateway, "EnvoyExtensionPolicy", "phantom-token", pointer, value);
    for ((manifests, kind, name, pointer, value), why) in [
        // Fields that there are not, and wrong types.
        (plugin("/spec/failStratgy", json!("FAIL_CLOSE")), UNKNOWN),
        (plugin("/spec/failStrategy", json!("FAIL_CLOSED")), "supported values"),
        (plugin("/spec/priority", json!("10")), "expected numeric"),
        ((&istio, "Service", "orders", "/spec/port", json!([])), UNKNOWN),
        ((&extension, "TrafficExtension", "phantom-token", "/spec/url", json!("oci://example.com")), UNKNOWN),
        (policy("/spec/wasm/0/env/hostkeys", json!([])), UNKNOWN),
        // Rules in CEL.
        (
            plugin("/spec/selector", json!({"matchLabels": {"app": "orders"}})),
            "only one of targetRefs or selector",
        ),
        (policy("/spec/wasm/0/code/type", json!("HTTP")), "If type is HTTP"),
        (
            (&istio, "Gateway", "ingress", "/spec/listeners/0/protocol", json!("HTTP")),
            "tls must not be specified for protocols",
        ),
        (plugin("/spec/url", json!("ftp://registry.example.com")), "url must have schema one of"),
        (
            (&istio, "ServiceEntry", "authorization-server", "/spec/addresses", json!(["10.0.0.0/8"])),
            "CIDR addresses are allowed only for NONE/STATIC resolution",
        ),
        (
            (&istio, "RequestAuthentication", "phantom-token", "/spec/jwtRules/0/jwks", json!("{}")),
            "only one of jwks or jwksUri can be set",
        ),
    ] {
        let planted = manifests.with(kind, name, pointer, value.clone())?;
        let refusal = server.apply(&planted).err();
        let refusal = refusal.unwrap_or_else(|| panic!("taken: {kind} {pointer} {value}")).to_string();
        assert!(refusal.contains(why), "{kind} {pointer}: {refusal}");
    }
    Ok(())
}

const UNKNOWN: &str = "field not declared in schema";
const EXTERNAL: &str = "istio/overlays/external-authorization-server";
const IN_CLUSTER: &str = "istio/overlays/in-cluster-authorization-server";
const WAYPOINT: &str = "istio/overlays/waypoint";
const TRAFFIC_EXTENSION: &str = "istio/overlays/traffic-extension";
const ISTIO_MCP: &str = "istio/overlays/mcp";
const ENVOY_GATEWAY: &str = "envoy-config/envoy-gateway";
const ENVOY_GATEWAY_MCP: &str = "envoy-config/envoy-gateway-mcp";
