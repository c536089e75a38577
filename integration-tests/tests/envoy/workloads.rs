//! Which workload may call, in a real Envoy with mutual TLS: the certificates are real ones with SPIFFE IDs, and the caller's identity
//! counts in addition to the token, never instead of it.

use anyhow::Result;
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::Request;
use integration_tests::secrets;
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use serde_json::json;

/// One Envoy, whose listeners trust one authority for servers and clients alike.
struct Mesh {
    world: World,
    authority: CertificateAuthority,
}

shared!(mesh: Mesh = start);

async fn start() -> Result<Mesh> {
    let authority = CertificateAuthority::new()?;
    let own = authority.certify_server(SERVER_NAME)?;
    let world = World::scripted("workloads")?
        .configuration(json!({
            "cors": {"allow_origins": ["https://app.example.com"]},
            "rules": [
                {"path": "/orders", "peers": [SHOP, ADMIN], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["DELETE"], "peers": [ADMIN], "scopes": ["orders:read"]},
                {"path": "/reports", "peers": [SHOP], "scopes": ["reports:read"]},
                {"path": "/anybody"},
            ],
        }))
        .listener("mutual-tls", json!({}))
        .envoy(|envoy| envoy.secured_by(&own, Some(&authority)))
        .listener("tls", json!({}))
        .envoy(|envoy| envoy.secured_by(&own, None))
        .listener("plaintext", json!({}))
        .start()
        .await?;
    Ok(Mesh { world, authority })
}

impl Mesh {
    /// A request from a workload with these URIs.
    fn call(&self, uris: &[&str], request: Request) -> Result<Call<'_>> {
        self.call_by(Some(&self.authority.certify_workload(uris)?), request)
    }

    fn call_by(&self, certificate: Option<&Certificate>, request: Request) -> Result<Call<'_>> {
        let client = TlsClient::of(self.world.client(), &self.authority, certificate)?;
        Ok(self.world.send(request).by_tls(client))
    }
}

/// If this failed, no workload could call, or one that the rule does not name could.
#[tokio::test]
async fn r084_a_workload_that_the_rule_names_is_admitted_with_a_token_and_no_other() -> Result<()> {
    let mesh = mesh().await;
    let token = mesh.world.active();
    for (what, uris, method, path, status) in [
        ("the shop", &[SHOP][..], "GET", "/orders", 200),
        ("another that is named", &[ADMIN], "GET", "/orders", 200),
        ("the one for this method", &[ADMIN], "DELETE", "/orders", 200),
        ("one for other methods", &[SHOP], "DELETE", "/orders", 403),
        ("one that is not named", &[STRANGER], "GET", "/orders", 403),
        ("one whose name starts alike", &["spiffe://example.com/ns/shop/sa/shopping"], "GET", "/orders", 403),
        ("one in another trust domain", &["spiffe://example.org/ns/shop/sa/shop"], "GET", "/orders", 403),
        ("one in other letters", &["spiffe://example.com/ns/shop/sa/SHOP"], "GET", "/orders", 403),
        ("one without a name", &[], "GET", "/orders", 403),
        ("the shop by its second name", &[STRANGER, SHOP], "GET", "/orders", 403),
        ("the shop with a second name", &[SHOP, STRANGER], "GET", "/orders", 200),
        ("one that is not named, where nobody is", &[STRANGER], "GET", "/anybody", 200),
    ] {
        let request = Request::new(method, path, Vec::new()).bearer(&token);
        let outcome = mesh.call(uris, request)?.with_token(&token).case(what).await?.has_status(status);
        if status == 200 {
            assert!(outcome.jwt()?.starts_with("eyJ"), "{outcome}");
        } else {
            assert_eq!(outcome.json()?["error"], "access_denied", "{outcome}");
            assert_eq!(outcome.challenges().len(), 0, "a token could not help: {outcome}");
        }
    }
    Ok(())
}

/// If this failed, the certificate of a workload would be accepted instead of the user's token.
#[tokio::test]
async fn r001_r035_the_right_workload_needs_a_token_and_its_scope() -> Result<()> {
    let mesh = mesh().await;
    let (token, unknown) = (mesh.world.active(), secrets::fresh_token("unknown"));
    for (request, status, error) in [
        (Request::get("/orders"), 401, r#"Bearer realm="api""#),
        (Request::get("/orders").bearer(&unknown), 401, "invalid_token"),
        (Request::get("/reports").bearer(&token), 403, "insufficient_scope"),
    ] {
        mesh.call(&[SHOP], request)?.await?.has_status(status).is_challenged_by(error);
    }
    Ok(())
}

/// If an unauthorized workload learned whether a token is valid, it could try stolen tokens; and the server would introspect them for it.
#[tokio::test]
async fn r084_a_workload_that_may_not_call_learns_nothing_about_tokens() -> Result<()> {
    let mesh = mesh().await;
    let (token, unknown) = (mesh.world.active(), secrets::fresh_token("stranger-unknown"));
    let orders = || Request::get("/orders");
    let mut bodies = Vec::new();
    for request in [orders().bearer(&token), orders().bearer(&unknown), orders()] {
        bodies.push(mesh.call(&[STRANGER], request)?.await?.has_status(403).text());
    }
    assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
    assert_eq!(mesh.world.introspections(&token).await? + mesh.world.introspections(&unknown).await?, 0);
    Ok(())
}

/// The caller chooses `Origin`. If this failed, any workload could reach the service with a request that looks like a preflight.
#[tokio::test]
async fn r080_r084_a_preflight_obeys_the_peers_of_the_rule() -> Result<()> {
    let mesh = mesh().await;
    for (uri, path, asked, status) in [
        (SHOP, "/orders", "GET", 200),
        (STRANGER, "/orders", "GET", 403),
        (SHOP, "/orders", "DELETE", 403),
        (ADMIN, "/orders", "DELETE", 200),
        (STRANGER, "/anybody", "GET", 200),
    ] {
        let request = Request::new("OPTIONS", path, Vec::new())
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", asked);
        mesh.call(&[uri], request)?.case(format!("{uri} {asked}")).await?.has_status(status);
    }
    Ok(())
}

/// If Envoy accepted certificates of any authority, an attacker could issue one with the name of an authorized workload.
#[tokio::test]
async fn r084_a_certificate_of_another_authority_does_not_get_through_the_handshake() -> Result<()> {
    let mesh = mesh().await;
    let token = mesh.world.active();
    let impostor = CertificateAuthority::new()?.certify_workload(&[SHOP])?;
    for (what, certificate) in [("of another authority", Some(&impostor)), ("none at all", None)] {
        let request = Request::get("/orders").bearer(&token);
        let refused = mesh.call_by(certificate, request)?.named("another-authority").await;
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
    for failure in ["fail_verify_error", "fail_verify_no_cert"] {
        let refused = mesh.world.envoy.statistic(&format!("listener.mutual-tls.ssl.{failure}")).await?;
        assert!(refused > 0, "it was refused for another reason than {failure}");
    }
    assert_eq!(mesh.world.arrived("another-authority").len(), 0);
    assert_eq!(mesh.world.introspections(&token).await?, 0);
    Ok(())
}

/// If this failed, a caller at a listener without client certificates could name itself in a field, or would be admitted.
#[tokio::test]
async fn r084_without_a_certificate_there_is_no_workload_identity() -> Result<()> {
    let mesh = mesh().await;
    let token = mesh.world.active();
    let shop = mesh.authority.certify_workload(&[SHOP])?;
    let request = |path: &str| {
        let request = Request::get(path).bearer(&token);
        request.header("x-forwarded-client-cert", format!("By=spiffe://a;URI={SHOP}"))
    };
    let plaintext = |path: &str| mesh.world.send(request(path)).at("plaintext");
    let tls = |certificate: Option<&Certificate>| {
        let client = TlsClient::of(mesh.world.envoy.client("tls"), &mesh.authority, certificate)?;
        anyhow::Ok(mesh.world.send(request("/orders")).by_tls(client))
    };
    for (what, call) in [
        ("plaintext", plaintext("/orders")),
        ("TLS", tls(None)?),
        ("TLS that asks for no certificate", tls(Some(&shop))?),
    ] {
        assert_eq!(call.case(what).await?.has_status(403).json()?["error"], "access_denied", "{what}");
    }
    assert_eq!(mesh.world.introspections(&token).await?, 0);
    plaintext("/anybody").await?.is_served();
    Ok(())
}

const SHOP: &str = "spiffe://example.com/ns/shop/sa/shop";
const ADMIN: &str = "spiffe://example.com/ns/shop/sa/admin";
const STRANGER: &str = "spiffe://example.com/ns/other/sa/stranger";
