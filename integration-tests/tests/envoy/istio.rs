//! The chain that the manifests for Istio make, in two real Envoys configured as istiod would: the ingress with the filter of the
//! WasmPlugin, which asks the certified authorization server over TLS, and the sidecar with mutual TLS, jwt_authn and RBAC of the
//! policies. Every name and value comes from the manifests, as they are in the checkout.

use anyhow::{Context, Result, bail};
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::login::{self, IMPOSTER, LOGIN};
use integration_tests::manifests::{Manifests, istio, istiod};
use integration_tests::port::ReservedPort;
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The chain, and who else is in the mesh. `misled` is an ingress whose way to the authorization server ends at a server with a
/// certificate for another name.
struct Stage {
    ingress: Envoy,
    misled: Envoy,
    sidecar: Envoy,
    _login: Envoy,
    api: Api,
    server: AuthorizationServer,
    other_server: AuthorizationServer,
    mesh: CertificateAuthority,
    gateway: Certificate,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let manifests = Manifests::build("istio/overlays/external-authorization-server")?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let issuer = filter.wasm["pluginConfig"]["token"]["issuer"].as_str().context("no issuer")?;
    let server = AuthorizationServer::start_as("istio", issuer)?;
    let other_server = AuthorizationServer::start("istio-other")?;
    let api = Api::start()?;
    let (mesh, web) = (CertificateAuthority::new()?, CertificateAuthority::new()?);
    let login = login::start("istio-login", &server, &web).await?;

    let authentication = manifests.named("RequestAuthentication", "phantom-token")?;
    let mut filters = istiod::rbac(&manifests, "orders", "orders")?;
    filters.insert(0, istiod::jwt_authn(authentication, &server.keys().await?)?);
    let own = mesh.certify_server(SERVER_NAME)?;
    let sidecar = EnvoyBuilder::new("istio-sidecar", 1, api.port())
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
    let (misled, ingress) =
        (ingress("istio-misled", IMPOSTER).await?, ingress("istio-ingress", LOGIN).await?);
    Ok(Stage { ingress, misled, sidecar, _login: login, api, server, other_server, mesh, gateway })
}

/// If this failed, the manifests would make a mesh in which nobody gets through, or in which services receive no JWT.
#[tokio::test]
async fn r074_the_manifests_make_a_chain_from_the_opaque_token_to_the_jwt_at_the_api() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let jwt = stage.jwt_of(&token, "istio-chain").await?;
    let claims = authorization_server::claims(&jwt)?;
    assert_eq!(claims["iss"], "https://login.example.com");
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(stage.server.introspections(&token).await?, 1);
    assert_eq!(stage.at_ingress(Request::get("/health"), "istio-health").await?.status, 200);
    assert_eq!(stage.api.received("istio-health").len(), 1);
    Ok(())
}

/// If this failed, the ingress would let through what nobody exposed, or whom the authorization server does not know.
#[tokio::test]
async fn r074_the_ingress_of_the_manifests_refuses_the_rest() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let revoked = stage.server.issue("orders:read").await?;
    stage.server.revoke(&revoked).await?;
    let writing = stage.server.issue("orders:write").await?;
    for (name, request, status) in [
        ("istio-no-rule", Request::get("/admin").bearer(&token), 403),
        ("istio-other-method", Request::post("/orders", "").bearer(&token), 403),
        ("istio-not-the-scope", Request::get("/orders").bearer(&writing), 403),
        ("istio-no-token", Request::get("/orders"), 401),
        ("istio-unknown", Request::get("/orders").bearer(&secrets::fresh_token("unknown")), 401),
        ("istio-revoked", Request::get("/orders").bearer(&revoked), 401),
    ] {
        let answer = stage.at_ingress(request, name).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.json()?["error"].is_string(), "{name}: not the filter's answer: {}", answer.text());
        assert_eq!(stage.api.received(name).len(), 0, "{name}");
    }
    let request = Request::get("/health%2F..%2Forders").bearer(&token);
    assert_eq!(stage.at_ingress(request, "istio-escaped-slashes").await?.text(), "");
    assert_eq!(stage.api.received("istio-escaped-slashes").len(), 0);
    Ok(())
}

/// If this failed, whoever is in the mesh could call the API around the ingress, or with a JWT that is not for it.
#[tokio::test]
async fn r074_the_sidecar_of_the_manifests_takes_valid_jwts_from_the_ingress_alone() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let jwt = stage.jwt_of(&token, "istio-to-be-presented").await?;
    let other_issuer = secrets::noted(stage.other_server.issue_jwt(Resource::Orders, "orders:read").await?);
    let other_audience = secrets::noted(stage.server.issue_jwt(Resource::Payments, "orders:read").await?);
    let made_up = jwt::with_claims(&authorization_server::claims(&jwt)?);
    let shop = stage.mesh.certify_workload(&["spiffe://cluster.local/ns/shop/sa/shop"])?;
    let namesake = stage.mesh.certify_workload(&["spiffe://cluster.local/ns/orders/sa/ingress-istio"])?;
    let gateway = &stage.gateway;
    for (name, caller, token, path, status) in [
        ("istio-straight", gateway, Some(&jwt), "/orders", 200),
        ("istio-opaque", gateway, Some(&token), "/orders", 401),
        ("istio-without-jwt", gateway, None, "/orders", 403),
        ("istio-other-issuer", gateway, Some(&other_issuer), "/orders", 401),
        ("istio-other-audience", gateway, Some(&other_audience), "/orders", 403),
        ("istio-made-up", gateway, Some(&made_up), "/orders", 401),
        ("istio-public-to-the-ingress", gateway, None, "/health", 200),
        ("istio-beside-what-is-public", gateway, None, "/health/x", 403),
        ("istio-around", &shop, Some(&jwt), "/orders", 403),
        ("istio-public-around", &shop, None, "/health", 403),
        ("istio-namesake", &namesake, Some(&jwt), "/orders", 403),
    ] {
        let answer = stage.at_sidecar(Some(caller), token.map(String::as_str), path, name).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(name).len(), usize::from(status == 200), "{name}");
    }
    assert!(stage.at_sidecar(None, Some(&jwt), "/orders", "istio-no-certificate").await.is_err());
    assert_eq!(stage.api.received("istio-no-certificate").len(), 0);
    Ok(())
}

/// If this failed, the gateway would tell its secret and all tokens to whoever answers at that address.
#[tokio::test]
async fn the_gateway_of_the_manifests_asks_nobody_who_is_not_the_authorization_server() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let request = Request::get("/orders").bearer(&token).named("istio-imposter");
    let answer = stage.misled.client("https").send(request).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(stage.server.introspections(&token).await?, 0);
    assert_eq!(stage.api.received("istio-imposter").len(), 0);
    Ok(())
}

/// If this failed, whoever is in the mesh could ask what tokens mean, or the gateway could not.
#[tokio::test]
async fn inside_the_mesh_the_gateway_alone_introspects() -> Result<()> {
    let stage = stage().await;
    let (ingress, inbound) = in_cluster(stage).await?;
    let token = stage.server.issue("orders:read").await?;
    let answer = ingress.client("https").send(Request::get("/orders").bearer(&token)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stage.server.introspections(&token).await?, 1);

    let asking = || Request::post("/oauth/v2/introspect", "token=anything");
    let shop = stage.mesh.certify_workload(&["spiffe://cluster.local/ns/shop/sa/shop"])?;
    for (caller, status) in [(&stage.gateway, 400), (&shop, 403)] {
        let answer =
            TlsClient::of(inbound.client("inbound"), &stage.mesh, Some(caller))?.send(asking()).await?;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert!(TlsClient::of(inbound.client("inbound"), &stage.mesh, None)?.send(asking()).await.is_err());
    Ok(())
}

/// An ingress of the overlay whose authorization server is in the mesh, and that server's sidecar.
async fn in_cluster(stage: &Stage) -> Result<(Envoy, Envoy)> {
    let port = ReservedPort::new()?;
    // The ports of loopback are others than those of pods.
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
    let inbound = EnvoyBuilder::new("istio-authorization-server", 1, stage.server.port())
        .listener_of("inbound", &rbac, Listener { port: port.number(), ..Listener::default() })
        .secured_by(&stage.mesh.certify_server(SERVER_NAME)?, Some(&stage.mesh))
        .routed_by(&routes)
        .start()
        .await?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let upstream =
        filter.wasm["pluginConfig"]["introspection"]["upstream"].as_str().context("no upstream")?;
    let listener = Listener { upstream: ORDERS, ..Listener::default() };
    let ingress = EnvoyBuilder::new("istio-in-cluster", 1, 0)
        .secure_cluster(upstream, &[port.number()], &stage.gateway, &stage.mesh)
        .secure_cluster(ORDERS, &[stage.sidecar.client("inbound").port()], &stage.gateway, &stage.mesh)
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener_of("https", &[istiod::wasm_filter(&filter)?], listener)
        .start()
        .await?;
    Ok((ingress, inbound))
}

impl Stage {
    async fn at_ingress(&self, request: Request, name: &str) -> Result<Answer> {
        self.ingress.client("https").send(request.named(name)).await
    }

    /// The JWT that the API receives when a client calls it with this token.
    async fn jwt_of(&self, token: &str, name: &str) -> Result<String> {
        let answer = self.at_ingress(Request::get("/orders").bearer(token), name).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains(token), "the opaque token reached the API");
        let fields = answer.forwarded_authorization();
        let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
        Ok(secrets::noted(authorization.strip_prefix("Bearer ").context("no scheme")?.to_owned()))
    }

    async fn at_sidecar(
        &self,
        caller: Option<&Certificate>,
        token: Option<&str>,
        path: &str,
        name: &str,
    ) -> Result<Answer> {
        let request = Request::get(path).named(name);
        let request = if let Some(token) = token { request.bearer(token) } else { request };
        TlsClient::of(self.sidecar.client("inbound"), &self.mesh, caller)?.send(request).await
    }
}

/// The cluster of the Service.
const ORDERS: &str = "outbound|8080||orders.orders.svc.cluster.local";
