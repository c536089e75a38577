//! Envoy Gateway on one machine: it accepts the manifests, fetches the filter as an image from a real registry, and runs a real Envoy,
//! which calls the certified authorization server over TLS. [`EnvoyGateway`](integration_tests::control_planes::envoy_gateway) describes
//! the differences from the manifests.

mod fetching;
mod ingress;
mod mcp;
mod module;
mod routes;
mod translator;

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::control_planes::envoy_gateway::{EnvoyGateway, Places};
use integration_tests::envoy::Envoy;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::Manifests;
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use integration_tests::testkit::World;
use integration_tests::tls_client::SERVER_NAME;
use integration_tests::{json, paths, shared};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::entrance::Entrance;
use crate::mcp::RESOURCE;

/// Envoy Gateway, its Envoy, and their surroundings.
struct Ingress {
    world: World,
    control_plane: EnvoyGateway,
    /// The manifests, with the image in the registry.
    manifests: Manifests,
    registry: Registry,
    web: CertificateAuthority,
    certificate: Certificate,
    port: ReservedPort,
    login: Envoy,
    /// Serializes the tests: there is only one Envoy Gateway, and each test restores it.
    turn: Mutex<()>,
}

shared!(ingress: Ingress = start);

async fn start() -> Result<Ingress> {
    let registry = Registry::start("envoy-gateway").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let manifests = Manifests::build("envoy-config/envoy-gateway")?.with(
        POLICY.0,
        POLICY.1,
        IMAGE,
        json!(registry.reference("phantom-token:0.1.0")),
    )?;
    let policy = manifests.named(POLICY.0, POLICY.1)?;
    let issuer = policy.pointer("/spec/wasm/0/config/token/issuer").and_then(Value::as_str);
    let server = AuthorizationServer::start_for_mcp(NAME, issuer.context("no issuer")?, RESOURCE)?;
    let world = World::asking(NAME, server)?;
    let web = CertificateAuthority::new()?;
    let login = login::start("control-plane-envoy_gateway-login", world.server(), &web).await?;
    let (certificate, port) = (web.certify_server(SERVER_NAME)?, ReservedPort::new()?);
    let places = Places {
        gateway: port.number(),
        api: world.api.port(),
        login: login.client(LOGIN).port(),
        trusted: &web,
        certificate: &certificate,
    };
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let (control_plane, envoy) = EnvoyGateway::start(NAME, &manifests, &places, &secret, LISTENER).await?;
    let world = world.around(envoy, LISTENER);
    let turn = Mutex::new(());
    let ingress = Ingress { world, control_plane, manifests, registry, web, certificate, port, login, turn };
    ingress.serves().await?;
    Ok(ingress)
}

impl Entrance for Ingress {
    fn world(&self) -> &World {
        &self.world
    }

    fn web(&self) -> &CertificateAuthority {
        &self.web
    }
}

impl Ingress {
    /// The manifests with another image from the registry.
    fn with_image(&self, name: &str) -> Result<Manifests> {
        self.manifests.with(POLICY.0, POLICY.1, IMAGE, json!(self.registry.reference(name)))
    }

    fn apply(&self, manifests: &Manifests) -> Result<()> {
        let places = Places {
            gateway: self.port.number(),
            api: self.world.api.port(),
            login: self.login.client(LOGIN).port(),
            trusted: &self.web,
            certificate: &self.certificate,
        };
        self.control_plane.apply(manifests, &places)
    }

    /// The SHA-256 of the wasm module that Envoy runs.
    async fn module(&self) -> Result<String> {
        let dump = self.world.envoy.configuration().await?;
        let code = json::find(&dump, &|one| one["remote"]["sha256"].is_string()).context("no module")?;
        Ok(code["remote"]["sha256"].to_string())
    }
}

const NAME: &str = "control-plane-envoy_gateway";
const LISTENER: &str = "ingress/ingress/https";
const POLICY: (&str, &str) = ("EnvoyExtensionPolicy", "phantom-token");
const IMAGE: &str = "/spec/wasm/0/code/image/url";
const REALM: &str = "/spec/wasm/0/config/realm";
