//! The waypoint of the ambient overlay as istiod configures it: requests through its tunnel pass the policies of the manifests, and the
//! filter where a WasmPlugin refers to the waypoint. ztunnel, which would carry requests to and from it, does not run.

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::control_planes::istio::{Istiod, Proxy};
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::Manifests;
use integration_tests::registry::Registry;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::TlsClient;
use integration_tests::zero_trust::{self, workload};
use integration_tests::{json, paths, shared};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{JWKS_URI, PLUGIN, deployment, image_url, jwks_uri};

/// istiod in ambient mode, the Envoy of the waypoint, and their surroundings.
struct Ambient {
    world: World,
    istiod: Istiod,
    authority: CertificateAuthority,
    manifests: Manifests,
    /// The filter at the waypoint, and the authorization server as the waypoint knows it.
    filter: Vec<Value>,
    _registry: Registry,
    _login: Envoy,
    _folder: TempDir,
    turn: Mutex<()>,
}

shared!(ambient: Ambient = start);

async fn start() -> Result<Ambient> {
    let registry = Registry::start("istio-waypoint-registry").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let overlay = Manifests::build("istio/overlays/waypoint")?;
    let issuer = overlay.named(PLUGIN.0, PLUGIN.1)?["spec"]["pluginConfig"]["token"]["issuer"].clone();
    let server = AuthorizationServer::start_as(NAME, issuer.as_str().context("no issuer")?)?;
    let world = World::asking(NAME, server)?;
    let web = CertificateAuthority::new()?;
    let login = login::start("control-plane-istio-waypoint-login", world.server(), &web).await?;
    let folder = TempDir::new()?;
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, web.pem())?;
    let manifests = overlay
        .with("RequestAuthentication", "phantom-token", JWKS_URI, jwks_uri(world.server()))?
        .and(api(world.api.port()))
        .and(ready())
        .and(without_own_filters());
    let mut plugin = overlay.named(PLUGIN.0, PLUGIN.1)?.clone();
    json::merge(
        &mut plugin,
        json!({"metadata": {"namespace": "orders"}, "spec": {"url": image_url(&registry, "phantom-token:0.1.0")}}),
    );
    plugin["spec"]["targetRefs"][0]["name"] = json!("waypoint");
    let mut entry = overlay.named("ServiceEntry", "authorization-server")?.clone();
    let endpoints = json!([{"address": "127.0.0.1", "ports": {"http": login.client(LOGIN).port()}}]);
    json::merge(
        &mut entry,
        json!({"metadata": {"namespace": "orders"}, "spec": {"resolution": "STATIC", "endpoints": endpoints}}),
    );
    let mut rule = overlay.named("DestinationRule", "authorization-server")?.clone();
    json::merge(
        &mut rule,
        json!({"metadata": {"namespace": "orders"}, "spec": {"trafficPolicy": {"tls": {"caCertificates": trusted}}}}),
    );
    let authority = CertificateAuthority::new()?;
    let istiod = Istiod::start(NAME, &authority, &[("PILOT_ENABLE_AMBIENT", "true")]).await?;
    istiod.apply(&manifests)?;
    let deployment = deployment(&istiod, "orders", "waypoint").await?;
    let envoy = istiod
        .proxy(&Proxy {
            name: NAME,
            namespace: "orders",
            service_account: "waypoint",
            labels: &deployment["spec"]["template"]["metadata"]["labels"],
            address: ADDRESS,
            kind: "waypoint",
            environment: &[
                ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
                // From the next version on, the tunnel's metadata have a type that only Istio's build of Envoy knows.
                ("ISTIO_META_ISTIO_VERSION", "1.29.1"),
            ],
            listeners: &[TUNNEL],
        })
        .await?;
    let world = world.around(envoy, TUNNEL);
    let ambient = Ambient {
        world,
        istiod,
        authority,
        manifests,
        filter: vec![plugin, entry, rule],
        _registry: registry,
        _login: login,
        _folder: folder,
        turn: Mutex::new(()),
    };
    let gateway = workload(&ambient.authority, "istio-ingress", "ingress-istio")?;
    eventually("the waypoint leads to the API", async || {
        let Ok(outcome) = ambient.at_waypoint(Some(&gateway), "/health")?.await else { return Ok(false) };
        Ok(outcome.status == 200)
    })
    .await?;
    Ok(ambient)
}

/// The EndpointSlice of the waypoint's Service, which Kubernetes would create once its pod is ready.
fn ready() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "waypoint",
            "namespace": "orders",
            "labels": {"kubernetes.io/service-name": "waypoint"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}}],
        "ports": [{"name": "mesh", "port": 15008, "protocol": "TCP"}],
    })
}

/// The API on loopback, with its own address in the mesh.
fn api(port: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "api", "namespace": "orders"},
        "spec": {
            "hosts": ["orders.test"],
            "addresses": ["10.96.7.7"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"name": "http", "number": 8080, "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1", "ports": {"http": port}}],
        },
    })
}

/// Removes the filters that only Istio's build of Envoy has, which record a peer's metadata.
fn without_own_filters() -> Value {
    let removal = |name: &str| {
        json!({
            "applyTo": "HTTP_FILTER",
            "match": {"listener": {"filterChain": {"filter": {
                "name": "envoy.filters.network.http_connection_manager",
                "subFilter": {"name": name},
            }}}},
            "patch": {"operation": "REMOVE"},
        })
    };
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {
            "name": "without-own-filters",
            "namespace": "orders",
            "annotations": {"envoyfilter.istio.io/referenced-services": "orders/login.example.com"},
        },
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"}],
            "configPatches": [
                removal("waypoint_downstream_peer_metadata"), removal("waypoint_upstream_peer_metadata"),
            ],
        },
    })
}

/// If this failed, any workload in the mesh could call the API through the waypoint, or with a JWT that is not for it.
#[tokio::test]
async fn r271_the_waypoint_of_istiod_takes_valid_jwts_from_the_ingress_alone() -> Result<()> {
    let ambient = ambient().await;
    let _turn = ambient.turn.lock().await;
    let world = &ambient.world;
    let jwt = world.server().issue_jwt(Resource::Orders, "orders:read").await?;
    let call = |caller: Option<&Certificate>, path: &str| ambient.at_waypoint(caller, path);
    zero_trust::ingress_alone_is_admitted(NAME, world, &ambient.authority, &jwt, call).await
}

/// If this failed, the filter would serve only at an ingress.
#[tokio::test]
async fn r271_a_filter_that_refers_to_the_waypoint_serves_there() -> Result<()> {
    let ambient = ambient().await;
    let _turn = ambient.turn.lock().await;
    let world = &ambient.world;
    let gateway = workload(&ambient.authority, "istio-ingress", "ingress-istio")?;
    let shop = workload(&ambient.authority, "shop", "shop")?;
    let manifests = ambient.filter.iter().cloned().fold(ambient.manifests.clone(), Manifests::and);
    ambient.istiod.apply(&manifests)?;
    eventually("the waypoint has the filter and knows the authorization server", async || {
        let token = world.issue("orders:read").await?;
        Ok(ambient.at_waypoint(Some(&gateway), "/orders")?.bearer(&token).await?.status == 200)
    })
    .await?;
    let token = world.issue("orders:read").await?;
    let at_waypoint = |caller, token: &str| {
        Ok::<_, anyhow::Error>(ambient.at_waypoint(Some(caller), "/orders")?.bearer(token))
    };
    let claims = at_waypoint(&gateway, &token)?.await?.is_served().claims()?;
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(world.introspections(&token).await?, 1);
    at_waypoint(&gateway, &world.issue_revoked("orders:read").await?)?.await?.has_status(401);
    at_waypoint(&gateway, &world.issue("orders:write").await?)?.await?.has_status(403);
    at_waypoint(&shop, &token)?.await?.has_status(403);
    ambient.istiod.api_server.kubectl(&["delete", "wasmplugin", PLUGIN.1, "--namespace", "orders"], "")?;
    eventually("the waypoint is without the filter", async || {
        Ok(ambient.at_waypoint(Some(&gateway), "/orders")?.await?.status == 403)
    })
    .await
}

impl Ambient {
    /// A request from this workload to the API through the waypoint's tunnel.
    fn at_waypoint(&self, caller: Option<&Certificate>, path: &str) -> Result<Call<'_>> {
        let client = TlsClient::in_mesh(self.world.client(), &self.authority, caller)?;
        Ok(self.world.get(path).by_tls(client.through_tunnel("10.96.7.7:8080")))
    }
}

const NAME: &str = "control-plane-istio-waypoint";
const ADDRESS: &str = "10.244.0.12";
const TUNNEL: &str = "connect_terminate";
