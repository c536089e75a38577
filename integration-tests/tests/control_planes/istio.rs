//! Istio itself: istiod takes the manifests from a real API server, its agent fetches the filter as an image from a real registry, and a
//! real Envoy asks the certified authorization server over TLS. What is otherwise than in a mesh says
//! [`istio`](integration_tests::control_planes::istio); what is otherwise than in the manifests, [`on_this_host`].

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::control_planes::istio::{Istiod, Proxy};
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::{Manifests, istio, istiod};
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{image, json, paths, secrets, shared};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::load::Load;

/// istiod, the ingress's Envoy, and what is around them.
struct Mesh {
    world: World,
    istiod: Istiod,
    /// The manifests as they were applied.
    manifests: Manifests,
    registry: Registry,
    web: CertificateAuthority,
    _login: Envoy,
    _folder: TempDir,
    /// Whose turn it is: each test leaves the ingress as it was.
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
    let port = ReservedPort::new()?;
    let manifests = on_this_host(&manifests)?
        .with(
            "WasmPlugin",
            "phantom-token",
            "/spec/url",
            json!(format!("oci://{}", registry.reference("phantom-token:0.1.0"))),
        )?
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
        .and(api(world.api.port()))
        .and(tls_secret(&web)?);
    let istiod = Istiod::start(NAME).await?;
    istiod.apply(&manifests)?;
    let listener = format!("0.0.0.0_{}", port.number());
    drop(port);
    let deployment = deployment(&istiod).await?;
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
    let world = world.around(envoy, &listener);
    let turn = Mutex::new(());
    let mesh = Mesh { world, istiod, manifests, registry, web, _login: login, _folder: folder, turn };
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

fn api(port: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "api", "namespace": "orders"},
        "spec": {
            "hosts": ["orders.test"],
            "resolution": "STATIC",
            "ports": [{"name": "http", "number": 8080, "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1", "ports": {"http": port}}],
        },
    })
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

/// The Deployment that istiod makes of the Gateway.
async fn deployment(istiod: &Istiod) -> Result<Value> {
    let mut found = None;
    eventually("istiod makes the Deployment", async || {
        found = istiod.api_server.get("deployment", "istio-ingress", "ingress-istio")?;
        Ok(found.is_some())
    })
    .await?;
    found.context("no Deployment")
}

/// If this failed, the manifests would make an ingress that lets no request through, or every one.
#[tokio::test]
async fn r074_istio_makes_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let world = &mesh.world;
    let token = world.issue("orders:read").await?;
    let claims = mesh.orders(&token)?.await?.is_served().claims()?;
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://login.example.com"), &json!("orders-api")));
    assert_eq!(world.introspections(&token).await?, 1);
    mesh.get("/health")?.await?.is_served();
    for (call, status) in [
        (mesh.get("/admin")?.bearer(&token), 403),
        (mesh.orders(&world.issue("orders:write").await?)?, 403),
        (mesh.get("/orders")?, 401),
        (mesh.orders(&secrets::fresh_token("unknown"))?, 401),
        (mesh.orders(&world.issue_revoked("orders:read").await?)?, 401),
    ] {
        let outcome = call.await?.has_status(status);
        assert!(outcome.json()?["error"].is_string(), "not the filter's answer: {outcome}");
    }
    let escaped_slashes = mesh.get("/health%2F..%2Forders")?.bearer(&token).await?;
    assert_eq!((escaped_slashes.status, escaped_slashes.arrived.len()), (400, 0));
    Ok(())
}

/// If this failed, the gateway's pods would have no secret, or not the bootstrap by which reasons become labels.
#[tokio::test]
async fn istiod_merges_the_options_into_the_deployment() -> Result<()> {
    let mesh = mesh().await;
    let deployment = deployment(&mesh.istiod).await?;
    let gateway = mesh.manifests.named("Gateway", "ingress")?;
    let options = istio::deployment(&mesh.manifests, gateway);
    assert_eq!(deployment["spec"]["replicas"], options["spec"]["replicas"]);
    let (made, asked) = (&deployment["spec"]["template"]["spec"], &options["spec"]["template"]["spec"]);
    let containers = made["containers"].as_array().context("no containers")?;
    assert_eq!(containers.len(), 1, "another container: {made}");
    for list in ["env", "volumeMounts"] {
        for entry in asked["containers"][0][list].as_array().context("nothing asked")? {
            let all = containers[0][list].as_array().context("no list")?;
            assert!(all.contains(entry), "{list} lacks {entry}: {all:?}");
        }
    }
    let volume = &asked["volumes"][0]["name"];
    assert!(made["volumes"].as_array().context("no volumes")?.iter().any(|one| one["name"] == *volume));
    assert_eq!(made["serviceAccountName"], "ingress-istio");
    Ok(())
}

/// If this failed, alerts on reasons would be silent behind Istio.
#[tokio::test]
async fn the_bootstrap_of_the_options_makes_the_reason_a_label() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.get("/orders")?.await?.has_status(401);
    let label = r#"phantom_token_denied{reason="missing_credentials"}"#;
    eventually("the refusal is counted", async || Ok(mesh.world.envoy.metrics().await?.contains(label))).await
}

/// If this failed, the tests of the main command would run something else than what istiod and its agent make.
#[tokio::test]
async fn istiod_makes_of_the_plugin_what_other_tests_take_for_it() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let mut expected = istiod::wasm_filter(&istio::filter(&mesh.manifests).context("no filter")?)?;
    let dump = mesh.world.envoy.configuration().await?;
    let made = json::find(&dump, &|one| {
        one["name"] == expected["name"] && one["typed_config"]["config"].is_object()
    });
    let mut made = made.context("no filter")?["typed_config"].clone();
    for filter in [&mut made, &mut expected["typed_config"]] {
        *filter.pointer_mut("/config/vm_config/code").context("no code")? = Value::Null;
    }
    assert_eq!(made, expected["typed_config"]);
    Ok(())
}

/// If this failed, a new version of the filter would be an outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_is_taken_under_load_and_clients_do_not_notice() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.registry.push(image::another()?.path(), "phantom-token:0.2.0")?;
    let before = mesh.module().await?;
    let load = Load::gather(&mesh.world, &mesh.web).await?;
    load.goes_on().await?;
    mesh.istiod.apply(&mesh.changed("phantom-token:0.2.0", "the next version")?)?;
    mesh.has_realm("the next version").await?;
    load.goes_on().await?;
    assert_ne!(mesh.module().await?, before, "the filter is still the old one");
    mesh.istiod.apply(&mesh.manifests)?;
    mesh.serves().await?;
    load.goes_on().await?;
    assert_eq!(mesh.module().await?, before);
    load.disperse().await
}

/// If this failed, a moved tag would change the filter unseen; or who moved it on purpose would wait for it in vain, without knowing.
#[tokio::test]
async fn a_tag_that_was_moved_is_not_fetched_again_but_a_digest_says_which_filter_it_is() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let before = mesh.module().await?;
    mesh.registry.push(&paths::image()?.1, "phantom-token:moved")?;
    mesh.istiod.apply(&mesh.changed("phantom-token:moved", "moved 1")?)?;
    mesh.has_realm("moved 1").await?;
    let next = image::another()?;
    mesh.registry.push(next.path(), "phantom-token:moved")?;
    mesh.istiod.apply(&mesh.changed("phantom-token:moved", "moved 2")?)?;
    mesh.has_realm("moved 2").await?;
    assert_eq!(mesh.module().await?, before, "IfNotPresent fetched again");
    let digest = image::digest(next.path())?;
    let digest = digest.trim_start_matches("sha256:");
    mesh.istiod.apply(&mesh.changed("phantom-token:moved", "moved 3")?.with(
        PLUGIN.0,
        PLUGIN.1,
        "/spec/sha256",
        json!(digest),
    )?)?;
    mesh.has_realm("moved 3").await?;
    assert_ne!(mesh.module().await?, before, "the digest names another filter");
    mesh.istiod.apply(&mesh.manifests.with(PLUGIN.0, PLUGIN.1, "/spec/sha256", json!(""))?)?;
    mesh.istiod.apply(&mesh.manifests)?;
    mesh.serves().await
}

impl Mesh {
    fn get(&self, path: &str) -> Result<Call<'_>> {
        Ok(self.world.get(path).by_tls(TlsClient::of(self.world.client(), &self.web, None)?))
    }

    fn orders(&self, token: &str) -> Result<Call<'_>> {
        Ok(self.get("/orders")?.bearer(token))
    }

    /// The manifests with another image of the registry, and another realm, which identifies a configuration.
    fn changed(&self, image: &str, realm: &str) -> Result<Manifests> {
        let url = format!("oci://{}", self.registry.reference(image));
        self.manifests.with(PLUGIN.0, PLUGIN.1, "/spec/url", json!(url))?.with(
            PLUGIN.0,
            PLUGIN.1,
            "/spec/pluginConfig/realm",
            json!(realm),
        )
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

    /// The file of the module that Envoy has.
    async fn module(&self) -> Result<String> {
        let dump = self.world.envoy.configuration().await?;
        let filter = json::find(&dump, &|one| one["typed_config"]["config"]["vm_config"].is_object());
        let code = filter.context("no module")?.pointer(CODE).context("no code")?;
        Ok(code.to_string())
    }
}

const NAME: &str = "control-plane-istio";
const PLUGIN: (&str, &str) = ("WasmPlugin", "phantom-token");
const CODE: &str = "/typed_config/config/vm_config/code";
