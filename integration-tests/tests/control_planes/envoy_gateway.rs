//! Envoy Gateway itself, on one machine: it takes the manifests, fetches the filter as an image from a real registry, and runs a real
//! Envoy, which asks the certified authorization server over TLS. What is otherwise than in the manifests says
//! [`EnvoyGateway`](integration_tests::control_planes::envoy_gateway).

use anyhow::{Context, Result};
use integration_tests::artefact::Artefact;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::control_planes::envoy_gateway::{EnvoyGateway, Places, translate};
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::login::{self, LOGIN};
use integration_tests::manifests::{Manifests, envoy_gateway};
use integration_tests::port::ReservedPort;
use integration_tests::registry::Registry;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{image, json, paths, secrets, shared};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::load::Load;

/// Envoy Gateway, its Envoy, and what is around them.
struct Ingress {
    world: World,
    control_plane: EnvoyGateway,
    /// The manifests with the image of the registry.
    manifests: Manifests,
    registry: Registry,
    web: CertificateAuthority,
    certificate: Certificate,
    port: ReservedPort,
    login: Envoy,
    /// Whose turn it is: Envoy Gateway is one, and each test leaves it as it was.
    turn: Mutex<()>,
}

shared!(ingress: Ingress = start);

async fn start() -> Result<Ingress> {
    let registry = Registry::start("envoy-gateway").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let manifests = Manifests::build("envoy-config/envoy-gateway")?.with(
        "EnvoyExtensionPolicy",
        "phantom-token",
        IMAGE,
        json!(registry.reference("phantom-token:0.1.0")),
    )?;
    let policy = manifests.named("EnvoyExtensionPolicy", "phantom-token")?;
    let issuer = policy.pointer("/spec/wasm/0/config/token/issuer").and_then(Value::as_str);
    let server = AuthorizationServer::start_as("control-plane-envoy_gateway", issuer.context("no issuer")?)?;
    let world = World::asking("control-plane-envoy_gateway", server)?;
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
    let name = "control-plane-envoy_gateway";
    let (control_plane, envoy) = EnvoyGateway::start(name, &manifests, &places, &secret, LISTENER).await?;
    let world = world.around(envoy, LISTENER);
    let turn = Mutex::new(());
    let ingress = Ingress { world, control_plane, manifests, registry, web, certificate, port, login, turn };
    ingress.serves().await?;
    Ok(ingress)
}

/// If this failed, the manifests would make an ingress that lets no request through, or every one.
#[tokio::test]
async fn r074_envoy_gateway_makes_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let world = &ingress.world;
    let token = world.issue("orders:read").await?;
    let claims = ingress.orders(&token)?.await?.is_served().claims()?;
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://login.example.com"), &json!("orders-api")));
    assert_eq!(world.introspections(&token).await?, 1);
    ingress.get("/health")?.await?.is_served();
    for (call, status) in [
        (ingress.get("/admin")?.bearer(&token), 403),
        (ingress.orders(&world.issue("orders:write").await?)?, 403),
        (ingress.get("/orders")?, 401),
        (ingress.orders(&secrets::fresh_token("unknown"))?, 401),
        (ingress.orders(&world.issue_revoked("orders:read").await?)?, 401),
    ] {
        let outcome = call.await?.has_status(status);
        assert!(outcome.json()?["error"].is_string(), "not the filter's answer: {outcome}");
    }
    let escaped_slashes = ingress.get("/health%2F..%2Forders")?.bearer(&token).await?;
    assert_eq!((escaped_slashes.status, escaped_slashes.arrived.len()), (400, 0));
    Ok(())
}

/// If this failed, alerts on reasons would be silent behind Envoy Gateway.
#[tokio::test]
async fn the_merged_bootstrap_makes_the_reason_a_label() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    ingress.get("/orders")?.await?.has_status(401);
    let envoy = &ingress.world.envoy;
    eventually("the refusal is counted", async || {
        let metrics = envoy.metrics().await?;
        Ok(metrics
            .lines()
            .any(|line| line.starts_with(r#"phantom_token_denied{reason="missing_credentials"}"#)))
    })
    .await
}

/// If this failed, the tests of the main command would run something else than what Envoy Gateway makes.
#[tokio::test]
async fn envoy_gateway_makes_of_the_policy_what_other_tests_take_for_it() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let (expected, _) = envoy_gateway::wasm_filter(&ingress.manifests, "phantom-token")?;
    let dump = ingress.world.envoy.configuration().await?;
    let manager =
        json::find(&dump, &|one| one["http_filters"][0]["disabled"] == true).context("no filter")?;
    let made = &manager["http_filters"][0];
    assert_eq!(manager["http_filters"][1]["name"], "envoy.filters.http.router");
    let (plugin, expected_plugin) = (&made["typed_config"]["config"], &expected["typed_config"]["config"]);
    let (vm, expected_vm) = (&plugin["vm_config"], &expected_plugin["vm_config"]);
    // The kind of the policy is in front, but not where it comes from a file.
    let id = format!("envoyextensionpolicy{}", vm["vm_id"].as_str().context("no vm_id")?);
    assert_eq!(id, expected_vm["vm_id"]);
    for (made, expected) in [
        (&plugin["name"], &expected_plugin["name"]),
        (&vm["runtime"], &expected_vm["runtime"]),
        (&vm["environment_variables"], &expected_vm["environment_variables"]),
        (&plugin["configuration"], &expected_plugin["configuration"]),
    ] {
        assert_eq!(made, expected);
    }
    assert_eq!((expected_plugin["fail_open"].as_bool(), plugin["fail_open"].as_bool()), (Some(false), None));
    assert!(vm["code"]["remote"]["sha256"].is_string(), "{vm}");
    let name = made["name"].as_str().context("no name")?;
    let routes = json::find(&dump, &|one| one["typed_per_filter_config"][name].is_object());
    assert!(routes.is_some(), "no route turns it on");
    Ok(())
}

/// If this failed, a new version of the filter would be an outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_is_taken_under_load_and_clients_do_not_notice() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let next = image::another()?;
    ingress.registry.push(next.path(), "phantom-token:0.2.0")?;
    let upgraded = ingress.with_image("phantom-token:0.2.0")?.with(
        "EnvoyExtensionPolicy",
        "phantom-token",
        REALM,
        json!("orders of the next version"),
    )?;
    let before = ingress.module().await?;
    let load = Load::gather(&ingress.world, &ingress.web).await?;
    load.goes_on().await?;
    ingress.apply(&upgraded)?;
    ingress.has_realm("orders of the next version").await?;
    load.goes_on().await?;
    assert_ne!(ingress.module().await?, before, "the filter is still the old one");
    ingress.apply(&ingress.manifests)?;
    ingress.serves().await?;
    load.goes_on().await?;
    assert_eq!(ingress.module().await?, before);
    load.disperse().await
}

/// If this failed, a moved tag would change the filter unseen; or who moved it on purpose would wait for it in vain, without knowing.
#[tokio::test]
async fn a_tag_that_was_moved_is_not_fetched_again_but_a_digest_says_which_filter_it_is() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let before = ingress.module().await?;
    ingress.registry.push(&paths::image()?.1, "phantom-token:moved")?;
    ingress.apply(&ingress.with_image("phantom-token:moved")?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("moved 1"),
    )?)?;
    ingress.has_realm("moved 1").await?;
    let next = image::another()?;
    ingress.registry.push(next.path(), "phantom-token:moved")?;
    ingress.apply(&ingress.with_image("phantom-token:moved")?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("moved 2"),
    )?)?;
    ingress.has_realm("moved 2").await?;
    assert_eq!(ingress.module().await?, before, "IfNotPresent fetched again");
    let digest = image::digest(next.path())?;
    let pinned = ingress
        .with_image("phantom-token:moved")?
        .with(
            POLICY.0,
            POLICY.1,
            "/spec/wasm/0/code/image/sha256",
            json!(digest.trim_start_matches("sha256:")),
        )?
        .with(POLICY.0, POLICY.1, REALM, json!("moved 3"))?;
    ingress.apply(&pinned)?;
    ingress.has_realm("moved 3").await?;
    assert_ne!(ingress.module().await?, before, "the digest names another filter");
    ingress.apply(&ingress.manifests)?;
    ingress.serves().await
}

/// If this failed, an image that is not there, or is another than its digest says, would open the gateway.
#[tokio::test]
async fn without_its_filter_the_gateway_is_closed_until_there_is_one() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let token = ingress.world.issue("orders:read").await?;
    let missing = ingress.with_image("phantom-token:none")?;
    let wrong = ingress.manifests.with(
        POLICY.0,
        POLICY.1,
        "/spec/wasm/0/code/image/sha256",
        json!("0123456789abcdef".repeat(4)),
    )?;
    for manifests in [missing, wrong] {
        ingress.apply(&manifests)?;
        eventually("the gateway is closed", async || Ok(ingress.get("/health")?.await?.status != 200))
            .await?;
        for call in [ingress.get("/health")?, ingress.get("/orders")?, ingress.orders(&token)?] {
            call.await?.has_status(500);
        }
        ingress.apply(&ingress.manifests)?;
        ingress.serves().await?;
    }
    Ok(())
}

/// If this failed, the translator would refuse the manifests, or leave out a policy whose filter it cannot fetch. It fetches none.
#[test]
fn the_translator_takes_the_manifests_and_closes_the_route_whose_filter_it_does_not_have() -> Result<()> {
    let certificate = CertificateAuthority::new()?.certify_server(SERVER_NAME)?;
    let translated = translate(&Manifests::build("envoy-config/envoy-gateway")?, &certificate)?;
    let tag = json!({"tagName": "reason", "regex": Artefact::Wasm.reason_tag()});
    assert!(json::find(&translated, &|one| *one == tag).is_some(), "no reason as a label");
    let listener = json::find(&translated, &|one| one["name"] == LISTENER).context("no listener")?;
    let manager = json::find(listener, &|one| one["httpFilters"].is_array()).context("no filters")?;
    assert_eq!(manager["pathWithEscapedSlashesAction"], "REJECT_REQUEST");
    assert_eq!(manager["mergeSlashes"], true);
    assert_eq!(manager["streamIdleTimeout"], "30s");
    let cluster = json::find(&translated, &|one| one["name"] == "authorization-server");
    assert_eq!(cluster.context("no cluster")?["transportSocket"]["typedConfig"]["sni"], "login.example.com");
    let route =
        json::find(&translated, &|one| one["virtualHosts"][0]["domains"] == json!(["api.example.com"]));
    let routes = route.context("no route")?["virtualHosts"][0]["routes"].as_array().context("no routes")?;
    assert!(
        !routes.is_empty() && routes.iter().all(|one| one["directResponse"]["status"] == 500),
        "{routes:?}"
    );
    Ok(())
}

impl Ingress {
    fn get(&self, path: &str) -> Result<Call<'_>> {
        Ok(self.world.get(path).by_tls(TlsClient::of(self.world.client(), &self.web, None)?))
    }

    fn orders(&self, token: &str) -> Result<Call<'_>> {
        Ok(self.get("/orders")?.bearer(token))
    }

    /// The manifests with another image of the registry.
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

    /// Waits until the filter of the manifests serves.
    async fn serves(&self) -> Result<()> {
        self.has_realm("orders").await
    }

    /// Waits until the filter has this realm, which identifies a configuration.
    async fn has_realm(&self, realm: &str) -> Result<()> {
        let challenge = format!("realm=\"{realm}\"");
        eventually(&challenge, async || {
            let outcome = self.get("/orders")?.await?;
            Ok(outcome.status == 401 && outcome.challenges().iter().any(|one| one.contains(&challenge)))
        })
        .await
    }

    /// The SHA-256 of the module that Envoy has.
    async fn module(&self) -> Result<String> {
        let dump = self.world.envoy.configuration().await?;
        let code = json::find(&dump, &|one| one["remote"]["sha256"].is_string()).context("no module")?;
        Ok(code["remote"]["sha256"].to_string())
    }
}

const LISTENER: &str = "ingress/ingress/https";
const POLICY: (&str, &str) = ("EnvoyExtensionPolicy", "phantom-token");
const IMAGE: &str = "/spec/wasm/0/code/image/url";
const REALM: &str = "/spec/wasm/0/config/realm";
