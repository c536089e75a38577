//! The chain that the manifests for Istio make, in two real Envoys configured as istiod would: the ingress with the filter of the
//! WasmPlugin, which calls the certified authorization server over TLS, and the sidecar with the policies' mutual TLS, jwt_authn and RBAC.
//! Every name and value comes from the manifests in the checkout.

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::Request;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::login::{self, IMPOSTER, LOGIN};
use integration_tests::manifests::{Manifests, istio, istiod};
use integration_tests::port::ReservedPort;
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{secrets, zero_trust};
use serde_json::{Value, json};

/// The chain, and other members of the mesh. `misled` is an ingress whose connections to the authorization server end at a server with a
/// certificate for another name.
struct Mesh {
    world: World,
    misled: Envoy,
    sidecar: Envoy,
    _login: Envoy,
    authority: CertificateAuthority,
    gateway: Certificate,
}

shared!(mesh: Mesh = start);

async fn start() -> Result<Mesh> {
    let manifests = Manifests::build("istio/overlays/external-authorization-server")?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let issuer = filter.wasm["pluginConfig"]["token"]["issuer"].as_str().context("no issuer")?;
    let world = World::asking("istio", AuthorizationServer::start_as("istio", issuer)?)?;
    let (mesh, web) = (CertificateAuthority::new()?, CertificateAuthority::new()?);
    let login = login::start("istio-login", world.server(), &web).await?;

    let authentication = manifests.named("RequestAuthentication", "phantom-token")?;
    let mut filters = istiod::rbac(&manifests, "orders", "orders")?;
    filters.insert(0, istiod::jwt_authn(authentication, &world.server().keys().await?)?);
    let own = mesh.certify_server(SERVER_NAME)?;
    let sidecar = EnvoyBuilder::new("istio-sidecar", 1, world.api.port())
        .listener_of("inbound", &filters, Listener::default())
        .secured_by(&own, Some(&mesh))
        .start()
        .await?;

    let identity = istio::identity(manifests.named("Gateway", "ingress")?);
    let gateway = mesh.certify_workload(&[&format!("spiffe://{identity}")])?;
    let deployment = istio::deployment(&manifests, manifests.named("Gateway", "ingress")?);
    let variable = deployment.pointer("/spec/template/spec/containers/0/env/0/name").and_then(Value::as_str);
    let variable = variable.context("no variable")?;
    let edge = manifests.named("EnvoyFilter", "edge")?;
    let edge = edge.pointer("/spec/configPatches/0/patch/value/typed_config").context("no fields")?;
    let ingress = async |name: &str, listener: &str| {
        let port = login.client(listener).port();
        EnvoyBuilder::new(name, 1, 0)
            .cluster_as(istiod::cluster(&manifests, "login.example.com", port, &web)?)
            .secure_cluster(ORDERS, &[sidecar.client("inbound").port()], &gateway, &mesh)
            .environment(variable, GATEWAY_SECRET)
            .listener_of(
                "https",
                &[istiod::wasm_filter(&filter)?],
                Listener { upstream: ORDERS, ..Listener::default() },
            )
            .managed_by(edge)
            .start()
            .await
    };
    let misled = ingress("istio-misled", IMPOSTER).await?;
    let world = world.around(ingress("istio-ingress", LOGIN).await?, "https");
    Ok(Mesh { world, misled, sidecar, _login: login, authority: mesh, gateway })
}

/// If this failed, the manifests would make a mesh in which no request gets through, or in which services receive no JWT.
#[tokio::test]
async fn r074_the_manifests_make_a_chain_from_the_opaque_token_to_the_jwt_at_the_api() -> Result<()> {
    let world = &mesh().await.world;
    let token = world.issue("orders:read").await?;
    let claims = world.orders(&token).await?.is_served().claims()?;
    assert_eq!(claims["iss"], "https://login.example.com");
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(world.introspections(&token).await?, 1);
    world.get("/health").await?.is_served();
    Ok(())
}

/// If this failed, the ingress would let requests through to unexposed paths, or with tokens unknown to the authorization
/// server.
#[tokio::test]
async fn r074_the_ingress_of_the_manifests_refuses_the_rest() -> Result<()> {
    let world = &mesh().await.world;
    let token = world.issue("orders:read").await?;
    for (call, status) in [
        (world.get("/admin").bearer(&token), 403),
        (world.post("/orders", "").bearer(&token), 403),
        (world.orders(&world.issue("orders:write").await?), 403),
        (world.get("/orders"), 401),
        (world.orders(&secrets::fresh_token("unknown")), 401),
        (world.orders(&world.issue_revoked("orders:read").await?), 401),
    ] {
        let outcome = call.await?.has_status(status);
        assert!(outcome.json()?["error"].is_string(), "not the filter's answer: {outcome}");
    }
    let escaped_slashes = world.get("/health%2F..%2Forders").bearer(&token).await?;
    assert_eq!((escaped_slashes.text().as_str(), escaped_slashes.arrived.len()), ("", 0));
    Ok(())
}

/// If this failed, any workload in the mesh could call the API without the ingress, or with a JWT that is not for it.
#[tokio::test]
async fn r074_the_sidecar_of_the_manifests_takes_valid_jwts_from_the_ingress_alone() -> Result<()> {
    let mesh = mesh().await;
    let world = &mesh.world;
    let jwt = world.orders(&world.issue("orders:read").await?).await?.is_served().jwt()?;
    let call = |caller: Option<&Certificate>, path: &str| mesh.at_sidecar(caller, path);
    zero_trust::ingress_alone_is_admitted("istio", world, &mesh.authority, &jwt, call).await
}

/// If this failed, the gateway would send its secret and all tokens to any server at that address.
#[tokio::test]
async fn the_gateway_of_the_manifests_queries_the_authorization_server_only() -> Result<()> {
    let Mesh { world, misled, .. } = mesh().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).by(misled.client("https")).await?.has_status(503);
    assert_eq!(world.introspections(&token).await?, 0);
    Ok(())
}

/// If this failed, any workload in the mesh could introspect tokens, or the gateway could not.
#[tokio::test]
async fn inside_the_mesh_the_gateway_alone_introspects() -> Result<()> {
    let mesh = mesh().await;
    let (ingress, inbound) = in_cluster(mesh).await?;
    let token = mesh.world.issue("orders:read").await?;
    mesh.world.orders(&token).by(ingress.client("https")).await?.is_served();
    assert_eq!(mesh.world.introspections(&token).await?, 1);

    let asking = || Request::post("/oauth/v2/introspect", "token=anything");
    let shop = zero_trust::workload(&mesh.authority, "shop", "shop")?;
    for (caller, status) in [(&mesh.gateway, 400), (&shop, 403)] {
        let answer =
            TlsClient::of(inbound.client("inbound"), &mesh.authority, Some(caller))?.send(asking()).await?;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert!(TlsClient::of(inbound.client("inbound"), &mesh.authority, None)?.send(asking()).await.is_err());
    Ok(())
}

/// Starts an ingress of the overlay whose authorization server is in the mesh, and that server's sidecar.
async fn in_cluster(mesh: &Mesh) -> Result<(Envoy, Envoy)> {
    let port = ReservedPort::new()?;
    // The ports on loopback differ from those of pods.
    let manifests = Manifests::build("istio/overlays/in-cluster-authorization-server")?.with(
        "AuthorizationPolicy",
        "introspection",
        "/spec/rules/0/to/0/operation/ports/0",
        json!(port.number().to_string()),
    )?;
    let routes = [json!({
        "match": {"path": "/oauth/v2/introspect"},
        "route": {"cluster": "api", "prefix_rewrite": "/token/introspection"},
    })];
    let rbac = istiod::rbac(&manifests, "login", "authorization-server")?;
    let inbound = EnvoyBuilder::new("istio-authorization-server", 1, mesh.world.server().port())
        .listener_of("inbound", &rbac, Listener { port: port.number(), ..Listener::default() })
        .secured_by(&mesh.authority.certify_server(SERVER_NAME)?, Some(&mesh.authority))
        .routed_by(&routes)
        .start()
        .await?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let upstream =
        filter.wasm["pluginConfig"]["introspection"]["upstream"].as_str().context("no upstream")?;
    let listener = Listener { upstream: ORDERS, ..Listener::default() };
    let ingress = EnvoyBuilder::new("istio-in-cluster", 1, 0)
        .secure_cluster(upstream, &[port.number()], &mesh.gateway, &mesh.authority)
        .secure_cluster(ORDERS, &[mesh.sidecar.client("inbound").port()], &mesh.gateway, &mesh.authority)
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener_of("https", &[istiod::wasm_filter(&filter)?], listener)
        .start()
        .await?;
    Ok((ingress, inbound))
}

impl Mesh {
    /// A request from this workload to the sidecar, bypassing the ingress.
    fn at_sidecar(&self, caller: Option<&Certificate>, path: &str) -> Result<Call<'_>> {
        let client = TlsClient::of(self.sidecar.client("inbound"), &self.authority, caller)?;
        Ok(self.world.get(path).by_tls(client))
    }
}

/// The name of the Service's cluster.
const ORDERS: &str = "outbound|8080||orders.orders.svc.cluster.local";
