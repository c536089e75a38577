//! Kubernetes' own validation of the manifests: a real API server with the real CustomResourceDefinitions of Gateway API, Envoy Gateway and
//! Istio, whose rules are partly written in CEL. And the tokens that it issues for service accounts.

use anyhow::{Context, Result};
use integration_tests::control_planes::kubernetes::{ApiServer, ISSUER};
use integration_tests::documentation::page;
use integration_tests::eventually::eventually;
use integration_tests::manifests::Manifests;
use integration_tests::testkit::World;
use integration_tests::{jwt, paths, secrets, shared};
use serde_json::{Value, json};

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

/// If this failed, `kubectl apply --kustomize` would be refused. [`start`] does all the work.
#[tokio::test]
async fn the_api_server_takes_every_manifest() {
    api_server().await;
}

/// If one of these were accepted, the test above would prove nothing about it.
#[tokio::test]
async fn what_no_schema_or_rule_allows_is_refused() -> Result<()> {
    let server = api_server().await;
    let (istio, extension) = (Manifests::build(WAYPOINT)?, Manifests::build(TRAFFIC_EXTENSION)?);
    let envoy_gateway = Manifests::build(ENVOY_GATEWAY)?;
    let plugin = |pointer, value| (&istio, "WasmPlugin", "phantom-token", pointer, value);
    let policy = |pointer, value| (&envoy_gateway, "EnvoyExtensionPolicy", "phantom-token", pointer, value);
    for ((manifests, kind, name, pointer, value), why) in [
        // Unknown fields, and wrong types.
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

/// If this failed, the chapter would lead to a gateway that accepts no workload's token, or any token.
#[tokio::test]
async fn r289_tokens_of_service_accounts_pass_as_their_chapter_says() -> Result<()> {
    let server = api_server().await;
    let page = page("docs/servers.md")?;
    let (_, block) =
        page.blocks_of("Kubernetes, GitHub Actions, Firebase").next().context("no block in the chapter")?;
    let documented: Value = serde_saphyr::from_str(block)?;
    assert_eq!(documented["token"]["issuer"], ISSUER);
    let upstream = documented["keys"]["upstream"].as_str().context("no cluster")?;
    let name = "control-plane-kubernetes-tokens";
    let world = World::scripted(name)?
        .configuration(json!({"introspection": null, "token": null, "rules": null}))
        .configuration(documented.clone())
        // Shortens the wait for keys after a failed fetch.
        .configuration(json!({"keys": {"cooldown": "1s"}}))
        .envoy(|envoy| envoy.cluster_as(cluster(upstream, server)))
        .listener("documented", json!({}))
        .start()
        .await?;
    for namespace in ["shop", "stock"] {
        server.kubectl(&["create", "namespace", namespace], "")?;
        server.kubectl(&["create", "serviceaccount", "caller", "--namespace", namespace], "")?;
    }
    let token = |namespace: &str, audience: &str| {
        let create = ["create", "token", "caller", "--namespace", namespace, "--audience", audience];
        Ok::<_, anyhow::Error>(secrets::noted(server.kubectl(&create, "")?.trim().to_owned()))
    };
    let of_shop = token("shop", "orders-api")?;
    // The keys are served only to authenticated clients until a role allows others.
    world.orders(&of_shop).await?.is_refused(503, "jwks_unavailable");
    server.kubectl(
        &[
            "create",
            "clusterrolebinding",
            "issuer-discovery",
            "--clusterrole=system:service-account-issuer-discovery",
            "--group=system:unauthenticated",
        ],
        "",
    )?;
    eventually("the keys are there", async || Ok(world.orders(&of_shop).await?.status == 200)).await?;
    let arrived = world.orders(&of_shop).await?.is_served();
    assert_eq!(arrived.claims()?["sub"], "system:serviceaccount:shop:caller");
    world.orders(&token("stock", "orders-api")?).await?.is_refused(403, "claim_mismatch");
    world.orders(&token("shop", "payments-api")?).await?.is_refused(401, "wrong_audience");
    let made_up = jwt::with_claims(&jwt::claims(&of_shop)?);
    world.orders(&made_up).await?.has_status(401);
    Ok(())
}

/// The API server's cluster, as in a gateway in Kubernetes.
fn cluster(name: &str, server: &ApiServer) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": server.port()}});
    json!({
        "name": name,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "kubernetes.default.svc",
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": server.certificate()},
                "match_typed_subject_alt_names": [
                    {"san_type": "DNS", "matcher": {"exact": "kubernetes.default.svc"}},
                ],
            }},
        }},
    })
}

const UNKNOWN: &str = "field not declared in schema";
const EXTERNAL: &str = "istio/overlays/external-authorization-server";
const IN_CLUSTER: &str = "istio/overlays/in-cluster-authorization-server";
const WAYPOINT: &str = "istio/overlays/waypoint";
const TRAFFIC_EXTENSION: &str = "istio/overlays/traffic-extension";
const ISTIO_MCP: &str = "istio/overlays/mcp";
const ENVOY_GATEWAY: &str = "envoy-config/envoy-gateway";
const ENVOY_GATEWAY_MCP: &str = "envoy-config/envoy-gateway-mcp";
