//! Istio: istiod reads the manifests from a real API server, agents fetch the filter as an image from a real registry, and real Envoys are
//! the ingress and the API's sidecar. The ingress calls the certified authorization server over TLS.
//! [`istio`](integration_tests::control_planes::istio) describes the differences from a mesh, and [`Places`] those from the manifests.

mod fetching;
mod ingress;
mod mcp;
mod module;
mod outages;
mod routes;
mod sidecar;
mod waypoint;

use std::path::PathBuf;

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::control_planes::istio::{Istiod, Proxy};
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::{Manifests, istio};
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use integration_tests::testkit::World;
use integration_tests::tls_client::SERVER_NAME;
use integration_tests::{json, paths, shared};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::entrance::Entrance;
use crate::mcp::RESOURCE;

/// istiod, the Envoys of the ingress and of the API's sidecar, and their surroundings.
struct Mesh {
    world: World,
    sidecar: Envoy,
    /// The listener of the sidecar.
    inbound: String,
    istiod: Istiod,
    /// The authority of the certificates that istiod issues.
    authority: CertificateAuthority,
    /// The manifests as applied.
    manifests: Manifests,
    places: Places,
    registry: Registry,
    web: CertificateAuthority,
    _login: Envoy,
    /// Serializes the tests: each restores the mesh.
    turn: Mutex<()>,
}

/// Where the components that the manifests name are on this host.
struct Places {
    gateway: ReservedPort,
    /// The ports of the sidecars of the API and of the MCP server.
    orders: ReservedPort,
    notes: ReservedPort,
    /// The port of the API, which also serves as the MCP server.
    api: u16,
    login: u16,
    jwks_uri: Value,
    image: Value,
    /// The certificate of the Gateway.
    secret: Value,
    /// The folder of the authority's file.
    folder: TempDir,
}

shared!(mesh: Mesh = start);

async fn start() -> Result<Mesh> {
    let registry = Registry::start("istio-registry").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let manifests = Manifests::build("istio/overlays/external-authorization-server")?;
    let filter = istio::filter(&manifests).context("no filter")?;
    let issuer = filter.wasm["pluginConfig"]["token"]["issuer"].as_str().context("no issuer")?;
    let world = World::asking(NAME, AuthorizationServer::start_for_mcp(NAME, issuer, RESOURCE)?)?;
    let web = CertificateAuthority::new()?;
    let login = login::start("control-plane-istio-login", world.server(), &web).await?;
    let places = Places {
        gateway: ReservedPort::new()?,
        orders: ReservedPort::new()?,
        notes: ReservedPort::new()?,
        api: world.api.port(),
        login: login.client(LOGIN).port(),
        jwks_uri: jwks_uri(world.server()),
        image: image_url(&registry, "phantom-token:0.1.0"),
        secret: tls_secret(&web)?,
        folder: TempDir::new()?,
    };
    std::fs::write(places.trusted(), web.pem())?;
    let manifests = places.on_this_host(&manifests)?;
    let authority = CertificateAuthority::new()?;
    let istiod = Istiod::start(NAME, &authority, &[]).await?;
    istiod.apply(&manifests)?;
    let listener = format!("0.0.0.0_{}", places.gateway.number());
    let deployment = deployment(&istiod, "istio-ingress", "ingress-istio").await?;
    let bootstrap = places.folder.path().join("bootstrap.yaml");
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
    let inbound = places.inbound("orders")?;
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let sidecar = sidecar(&istiod, "orders", "10.244.0.11", &secret, &inbound).await?;
    let world = world.around(envoy, &listener);
    let turn = Mutex::new(());
    let mesh = Mesh {
        world,
        sidecar,
        inbound,
        istiod,
        authority,
        manifests,
        places,
        registry,
        web,
        _login: login,
        turn,
    };
    mesh.serves().await?;
    Ok(mesh)
}

/// Starts the sidecar of a service in the API's namespace, and waits until this listener serves.
async fn sidecar(
    istiod: &Istiod,
    service: &str,
    address: &str,
    environment: &[(&str, &str)],
    listener: &str,
) -> Result<Envoy> {
    let proxy = Proxy {
        name: &format!("control-plane-istio-{service}"),
        namespace: "orders",
        service_account: service,
        labels: &json!({"app": service}),
        address,
        kind: "sidecar",
        environment,
        listeners: &[listener],
    };
    istiod.proxy(&proxy).await
}

impl Places {
    /// Adapts the manifests to this host: ports and addresses, loopback hosts instead of pods, and replacements for what does not exist
    /// here.
    fn on_this_host(&self, manifests: &Manifests) -> Result<Manifests> {
        let login = json!([{"address": "127.0.0.1", "ports": {"http": self.login}}]);
        let (server, tls) = ("authorization-server", "/spec/trafficPolicy/tls/caCertificates");
        let mut on_this_host = manifests
            .with(PLUGIN.0, PLUGIN.1, "/spec/url", self.image.clone())?
            .with("Gateway", "ingress", "/spec/listeners/0/port", json!(self.gateway.number()))?
            .with("ServiceEntry", server, "/spec/resolution", json!("STATIC"))?
            .with("ServiceEntry", server, "/spec/endpoints", login)?
            .with("DestinationRule", server, tls, json!(self.trusted()))?
            .with("RequestAuthentication", "phantom-token", JWKS_URI, self.jwks_uri.clone())?
            .and(self.secret.clone());
        for route in manifests.names("HTTPRoute") {
            let host = format!("{route}.test");
            let backend =
                json!([{"group": "networking.istio.io", "kind": "Hostname", "name": host, "port": 8080}]);
            let port = self.port(&route)?;
            on_this_host = on_this_host
                .with("HTTPRoute", &route, "/spec/rules/0/backendRefs", backend)?
                .and(entry(&route, port))
                .and(inbound(&route, port, self.api));
        }
        Ok(on_this_host)
    }

    /// The name of the listener of a service's sidecar.
    fn inbound(&self, service: &str) -> Result<String> {
        Ok(format!("127.0.0.1_{}", self.port(service)?))
    }

    fn port(&self, service: &str) -> Result<u16> {
        match service {
            "orders" => Ok(self.orders.number()),
            "notes" => Ok(self.notes.number()),
            _ => anyhow::bail!("no place for {service}"),
        }
    }

    /// The file of the authority that issued the authorization server's certificate.
    fn trusted(&self) -> PathBuf {
        self.folder.path().join("trusted.pem")
    }
}

/// A ServiceEntry for a service at the port of its sidecar.
fn entry(service: &str, port: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": service, "namespace": "orders"},
        "spec": {
            "hosts": [format!("{service}.test")],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"name": "http", "number": 8080, "protocol": "HTTP"}],
            "endpoints": [{
                "address": "127.0.0.1",
                "ports": {"http": port},
                "labels": {"security.istio.io/tlsMode": "istio"},
                "serviceAccount": service,
            }],
        },
    })
}

/// A Sidecar that listens on loopback, since nothing redirects a pod's connections to it, in front of the service.
fn inbound(service: &str, port: u16, behind: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": service, "namespace": "orders"},
        "spec": {
            "workloadSelector": {"labels": {"app": service}},
            "ingress": [{
                "port": {"name": "http", "number": port, "protocol": "HTTP"},
                "bind": "127.0.0.1",
                "captureMode": "NONE",
                "defaultEndpoint": format!("127.0.0.1:{behind}"),
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

/// Returns the Deployment that istiod makes from a Gateway.
async fn deployment(istiod: &Istiod, namespace: &str, name: &str) -> Result<Value> {
    let mut found = None;
    eventually("istiod makes the Deployment", async || {
        found = istiod.api_server.get("deployment", namespace, name)?;
        Ok(found.is_some())
    })
    .await?;
    found.context("no Deployment")
}

impl Entrance for Mesh {
    fn world(&self) -> &World {
        &self.world
    }

    fn web(&self) -> &CertificateAuthority {
        &self.web
    }
}

impl Mesh {
    /// The manifests with another image from this registry, and another realm, which identifies a configuration.
    fn changed(&self, registry: &Registry, image: &str, realm: &str) -> Result<Manifests> {
        self.manifests.with(PLUGIN.0, PLUGIN.1, "/spec/url", image_url(registry, image))?.with(
            PLUGIN.0,
            PLUGIN.1,
            "/spec/pluginConfig/realm",
            json!(realm),
        )
    }

    /// The filter of the manifests under another name, for workloads with this label in this namespace.
    fn selecting_plugin(&self, name: &str, namespace: &str, app: &str) -> Result<Value> {
        let elsewhere = json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"targetRefs": null, "selector": {"matchLabels": {"app": app}}},
        });
        Ok(json::merged(self.manifests.named(PLUGIN.0, PLUGIN.1)?, elsewhere))
    }

    /// Deletes the resources in these manifests that the initial ones lack.
    fn delete_what_is_more(&self, manifests: Manifests) -> Result<()> {
        self.istiod.api_server.delete(&manifests.without(&self.manifests))
    }

    /// Applies the initial manifests again, and waits until their filter serves.
    async fn restore(&self) -> Result<()> {
        self.istiod.apply(&self.manifests)?;
        self.serves().await
    }

    /// The file of the module that the ingress runs.
    async fn module(&self) -> Result<String> {
        let dump = self.world.envoy.configuration().await?;
        let filter = json::find(&dump, &|one| one["typed_config"]["config"]["vm_config"].is_object());
        let code = filter.context("no module")?.pointer(CODE).context("no code")?;
        Ok(code.to_string())
    }
}

fn image_url(registry: &Registry, image: &str) -> Value {
    json!(format!("oci://{}", registry.reference(image)))
}

const NAME: &str = "control-plane-istio";
const JWKS_URI: &str = "/spec/jwtRules/0/jwksUri";
const PLUGIN: (&str, &str) = ("WasmPlugin", "phantom-token");
const CODE: &str = "/typed_config/config/vm_config/code";
