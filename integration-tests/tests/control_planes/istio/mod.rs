//! Istio itself: istiod takes the manifests from a real API server, agents fetch the filter as an image from a real registry, and real
//! Envoys are the ingress and the API's sidecar. The ingress asks the certified authorization server over TLS. What is otherwise than
//! in a mesh says [`istio`](integration_tests::control_planes::istio); what is otherwise than in the manifests, [`on_this_host`].

mod fetching;
mod ingress;
mod sidecar;
mod waypoint;

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::control_planes::istio::{Istiod, Proxy};
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::{Manifests, istio};
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{json, paths, shared};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// istiod, the Envoys of the ingress and of the API's sidecar, and what is around them.
struct Mesh {
    world: World,
    sidecar: Envoy,
    /// The listener of the sidecar.
    inbound: String,
    istiod: Istiod,
    /// The authority that istiod signs with.
    authority: CertificateAuthority,
    /// The manifests as they were applied.
    manifests: Manifests,
    registry: Registry,
    web: CertificateAuthority,
    _login: Envoy,
    _folder: TempDir,
    _ports: [ReservedPort; 2],
    /// Whose turn it is: each test leaves the mesh as it was.
    turn: Mutex<()>,
}

shared!(mesh: Mesh = start);

async fn start() -> Result<Mesh> {
    let registry = Registry::start("istio-registry").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let manifests = Manifests::build("istio/overlays/external-authorization-server")?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let issuer = filter.wasm["pluginConfig"]["token"]["issuer"].as_str().context("no issuer")?;
    let world = World::asking(NAME, AuthorizationServer::start_as(NAME, issuer)?)?;
    let web = CertificateAuthority::new()?;
    let login = login::start("control-plane-istio-login", world.server(), &web).await?;
    let folder = TempDir::new()?;
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, web.pem())?;
    let (port, inbound_port) = (ReservedPort::new()?, ReservedPort::new()?);
    let manifests = on_this_host(&manifests)?
        .with(PLUGIN.0, PLUGIN.1, "/spec/url", image_url(&registry, "phantom-token:0.1.0"))?
        .with("Gateway", "ingress", "/spec/listeners/0/port", json!(port.number()))?
        .with(
            "ServiceEntry",
            "authorization-server",
            "/spec/endpoints",
            json!([
                {"address": "127.0.0.1", "ports": {"http": login.client(LOGIN).port()}},
            ]),
        )?
        .with(
            "DestinationRule",
            "authorization-server",
            "/spec/trafficPolicy/tls/caCertificates",
            json!(trusted),
        )?
        .with("RequestAuthentication", "phantom-token", JWKS_URI, jwks_uri(world.server()))?
        .and(api(inbound_port.number()))
        .and(inbound(inbound_port.number(), world.api.port()))
        .and(tls_secret(&web)?);
    let authority = CertificateAuthority::new()?;
    let istiod = Istiod::start(NAME, &authority, &[]).await?;
    istiod.apply(&manifests)?;
    let listener = format!("0.0.0.0_{}", port.number());
    let inbound = format!("127.0.0.1_{}", inbound_port.number());
    let deployment = deployment(&istiod, "istio-ingress", "ingress-istio").await?;
    let bootstrap = folder.path().join("bootstrap.yaml");
    let options = manifests.named("ConfigMap", "phantom-token-bootstrap")?;
    std::fs::write(&bootstrap, options["data"]["bootstrap.yaml"].as_str().context("no bootstrap")?)?;
    let envoy = istiod
        .proxy(&Proxy {
            name: NAME,
            namespace: "istio-ingress",
            service_account: "ingress-istio",
            labels: &deployment["spec"]["template"]["metadata"]["labels"],
            address: "10.244.0.10",
            kind: "router",
            environment: &[
                ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
                ("ISTIO_BOOTSTRAP_OVERRIDE", bootstrap.to_str().context("a path that is not UTF-8")?),
            ],
            listeners: &[&listener],
        })
        .await?;
    let sidecar = istiod
        .proxy(&Proxy {
            name: "control-plane-istio-sidecar",
            namespace: "orders",
            service_account: "orders",
            labels: &json!({"app": "orders"}),
            address: "10.244.0.11",
            kind: "sidecar",
            environment: &[("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)],
            listeners: &[&inbound],
        })
        .await?;
    let world = world.around(envoy, &listener);
    let turn = Mutex::new(());
    let mesh = Mesh {
        world,
        sidecar,
        inbound,
        istiod,
        authority,
        manifests,
        registry,
        web,
        _login: login,
        _folder: folder,
        _ports: [port, inbound_port],
        turn,
    };
    mesh.serves().await?;
    Ok(mesh)
}

/// The manifests with a host of loopback instead of the API's pods.
fn on_this_host(manifests: &Manifests) -> Result<Manifests> {
    let backend =
        json!([{"group": "networking.istio.io", "kind": "Hostname", "name": "orders.test", "port": 8080}]);
    manifests.with("ServiceEntry", "authorization-server", "/spec/resolution", json!("STATIC"))?.with(
        "HTTPRoute",
        "orders",
        "/spec/rules/0/backendRefs",
        backend,
    )
}

/// The API, where its sidecar listens.
fn api(port: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "api", "namespace": "orders"},
        "spec": {
            "hosts": ["orders.test"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"name": "http", "number": 8080, "protocol": "HTTP"}],
            "endpoints": [{
                "address": "127.0.0.1",
                "ports": {"http": port},
                "labels": {"security.istio.io/tlsMode": "istio"},
                "serviceAccount": "orders",
            }],
        },
    })
}

/// The sidecar's listener on loopback, since nothing redirects a pod's connections to it, and the API behind it.
fn inbound(port: u16, api: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "orders", "namespace": "orders"},
        "spec": {
            "workloadSelector": {"labels": {"app": "orders"}},
            "ingress": [{
                "port": {"name": "http", "number": port, "protocol": "HTTP"},
                "bind": "127.0.0.1",
                "captureMode": "NONE",
                "defaultEndpoint": format!("127.0.0.1:{api}"),
            }],
        },
    })
}

fn jwks_uri(server: &AuthorizationServer) -> Value {
    json!(format!("http://127.0.0.1:{}/jwks", server.port()))
}

fn tls_secret(web: &CertificateAuthority) -> Result<Value> {
    let certificate = web.certify_server(SERVER_NAME)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "api-example-com", "namespace": "istio-ingress"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": certificate.key_pem()},
    }))
}

/// The Deployment that istiod makes of a Gateway.
async fn deployment(istiod: &Istiod, namespace: &str, name: &str) -> Result<Value> {
    let mut found = None;
    eventually("istiod makes the Deployment", async || {
        found = istiod.api_server.get("deployment", namespace, name)?;
        Ok(found.is_some())
    })
    .await?;
    found.context("no Deployment")
}

impl Mesh {
    fn get(&self, path: &str) -> Result<Call<'_>> {
        Ok(self.world.get(path).by_tls(TlsClient::of(self.world.client(), &self.web, None)?))
    }

    fn orders(&self, token: &str) -> Result<Call<'_>> {
        Ok(self.get("/orders")?.bearer(token))
    }

    /// The manifests with another image of this registry, and another realm, which identifies a configuration.
    fn changed(&self, registry: &Registry, image: &str, realm: &str) -> Result<Manifests> {
        self.manifests.with(PLUGIN.0, PLUGIN.1, "/spec/url", image_url(registry, image))?.with(
            PLUGIN.0,
            PLUGIN.1,
            "/spec/pluginConfig/realm",
            json!(realm),
        )
    }

    /// Applies the manifests as they were at first, and waits until their filter serves.
    async fn restore(&self) -> Result<()> {
        self.istiod.apply(&self.manifests)?;
        self.serves().await
    }

    /// Waits until the filter of the manifests serves.
    async fn serves(&self) -> Result<()> {
        self.has_realm("orders").await
    }

    async fn has_realm(&self, realm: &str) -> Result<()> {
        let challenge = format!("realm=\"{realm}\"");
        eventually(&challenge, async || {
            let Ok(outcome) = self.get("/orders")?.await else { return Ok(false) };
            Ok(outcome.status == 401 && outcome.challenges().iter().any(|one| one.contains(&challenge)))
        })
        .await
    }

    /// The file of the module that the ingress has.
    async fn module(&self) -> Result<String> {
        let dump = self.world.envoy.configuration().await?;
        let filter = json::find(&dump, &|one| one["typed_config"]["config"]["vm_config"].is_object());
        let code = filter.context("no module")?.pointer(CODE).context("no code")?;
        Ok(code.to_string())
    }
}

/// A certificate of this service account of a namespace.
fn workload(authority: &CertificateAuthority, namespace: &str, account: &str) -> Result<Certificate> {
    authority.certify_workload(&[&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")])
}

fn image_url(registry: &Registry, image: &str) -> Value {
    json!(format!("oci://{}", registry.reference(image)))
}

const NAME: &str = "control-plane-istio";
const JWKS_URI: &str = "/spec/jwtRules/0/jwksUri";
const PLUGIN: (&str, &str) = ("WasmPlugin", "phantom-token");
const CODE: &str = "/typed_config/config/vm_config/code";
