//! The ingress of the manifests for Envoy Gateway, in a real Envoy configured as its controller would: the filter of the
//! EnvoyExtensionPolicy, turned on by the route, and the cluster of the EnvoyPatchPolicy, unchanged except for address and authority.

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::login::{self, IMPOSTER, LOGIN};
use integration_tests::manifests::{Manifests, envoy_gateway};
use integration_tests::secrets;
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::{Value, json};

/// The ingress, and another whose connections to the authorization server end at an impostor.
struct Ingress {
    world: World,
    misled: Envoy,
    _login: Envoy,
}

shared!(ingress: Ingress = start);

async fn start() -> Result<Ingress> {
    let manifests = Manifests::build("envoy-config/envoy-gateway")?;
    let policy = manifests.named("EnvoyExtensionPolicy", "phantom-token")?;
    let configuration = &policy["spec"]["wasm"][0]["config"];
    let issuer = configuration["token"]["issuer"].as_str().context("no issuer")?;
    let world = World::asking("envoy_gateway", AuthorizationServer::start_as("envoy_gateway", issuer)?)?;
    let web = CertificateAuthority::new()?;
    let login = login::start("envoy_gateway-login", world.server(), &web).await?;
    let (filter, enabled) = envoy_gateway::wasm_filter(&manifests, "phantom-token")?;
    let proxy = manifests.named("EnvoyProxy", "ingress")?;
    let variable = proxy.pointer("/spec/provider/kubernetes/envoyDeployment/container/env/0/name");
    let variable = variable.and_then(Value::as_str).context("no variable")?;
    let (_, cluster) = envoy_gateway::cluster(&manifests, &configuration["introspection"]["upstream"])
        .context("no cluster")?;
    let ingress = async |name: &str, listener: &str| {
        let mut cluster = cluster.clone();
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
            json!({"address": "127.0.0.1", "port_value": login.client(listener).port()});
        cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"] =
            json!({"inline_string": web.pem()});
        EnvoyBuilder::new(name, 1, world.api.port())
            .cluster_as(cluster)
            .environment(variable, GATEWAY_SECRET)
            .listener_of("https", std::slice::from_ref(&filter), Listener::default())
            .routed_by(&[json!({
                "match": {"prefix": "/"}, "route": {"cluster": "api"}, "typed_per_filter_config": enabled,
            })])
            .start()
            .await
    };
    let misled = ingress("envoy_gateway-misled", IMPOSTER).await?;
    let envoy = ingress("envoy_gateway-ingress", LOGIN).await?;
    Ok(Ingress { world: world.around(envoy, "https"), misled, _login: login })
}

/// If this failed, the manifests would make an ingress that lets no request through, or every one.
#[tokio::test]
async fn r074_the_manifests_make_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let world = &ingress().await.world;
    let token = world.issue("orders:read").await?;
    let claims = world.orders(&token).await?.is_served().claims()?;
    assert_eq!(claims["iss"], "https://login.example.com");
    world.get("/health").await?.is_served();
    world.get("/admin").bearer(&token).await?.has_status(403);
    world.get("/orders").await?.has_status(401);
    world.orders(&secrets::fresh_token("unknown")).await?.has_status(401);
    Ok(())
}

/// If this failed, the gateway would send its secret and all tokens to any server at that address.
#[tokio::test]
async fn the_cluster_of_the_patch_verifies_the_server_name() -> Result<()> {
    let Ingress { world, misled, .. } = ingress().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).by(misled.client("https")).await?.has_status(503);
    assert_eq!(world.introspections(&token).await?, 0);
    Ok(())
}
