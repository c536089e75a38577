//! `complete.yaml`: TLS on both sides, `jwt_authn` and `rbac` behind the filter, and an access log.

use anyhow::{Context, Result};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::client::Request;
use integration_tests::envoy::{self, Envoy, EnvoyBuilder, Listener};
use integration_tests::envoy_config::Example;
use integration_tests::eventually::eventually;
use integration_tests::port::ReservedPort;
use integration_tests::server::Service;
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{jwt, paths, secrets};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::story;

/// An Envoy with the file, and one authorization server behind TLS-terminating proxies: one with the right certificate, and others.
struct Complete {
    world: World,
    client: TlsClient,
    tls: Envoy,
    authority: CertificateAuthority,
    _files: TempDir,
}

/// Another Envoy with the file.
struct Gateway {
    envoy: Envoy,
    client: TlsClient,
    files: TempDir,
}

shared!(complete: Complete = start);

async fn start() -> Result<Complete> {
    let world = World::certified("envoy-complete")?;
    let authority = CertificateAuthority::new()?;
    let of_another_authority = CertificateAuthority::new()?;
    let mut tls = EnvoyBuilder::new("envoy-complete-tls", 1, world.server().port());
    for (listener, certificate) in [
        ("login", authority.certify_server(LOGIN)?),
        ("another-authority", of_another_authority.certify_server(LOGIN)?),
        ("another-name", authority.certify_server("login.example.org")?),
    ] {
        tls = tls.relay(listener, Listener::default()).secured_by(&certificate, None);
    }
    let tls = tls.start().await?;
    let example = example(world.server(), &world.api, &[tls.client("login").port()])?;
    let Gateway { envoy, client, files } = Gateway::start("envoy-complete", example, &authority).await?;
    Ok(Complete { world: world.around(envoy, "ingress"), client, tls, authority, _files: files })
}

impl Complete {
    fn send(&self, request: Request) -> Call<'_> {
        self.world.send(request).by_tls(self.client.clone())
    }

    fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.send(Request::get(path))
    }

    /// Starts an Envoy with the file, changed by `change`, that calls the servers at these ports.
    async fn gateway(&self, name: &str, ports: &[u16], change: Option<(&str, &str)>) -> Result<Gateway> {
        let mut example = example(self.world.server(), &self.world.api, ports)?;
        if let Some((old, new)) = change {
            example = example.with(old, new)?;
        }
        Gateway::start(name, example, &self.authority).await
    }

    /// Returns the access log's line for the request with this path.
    async fn access_log_line(&self, path: &str) -> Result<Value> {
        let line = || {
            let log = self.world.envoy.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["path"] == path)
        };
        eventually(path, async || Ok(line().is_some())).await?;
        line().context("it was there")
    }
}

/// If this failed, the file recommended for production would not do what the README says; or it would do it without TLS, without HTTP/2, or
/// without verifying the JWT.
#[tokio::test]
async fn r001_r035_r074_the_story_runs_through_the_complete_file() -> Result<()> {
    let Complete { world, client, .. } = complete().await;
    let (token, jwt) = story::run(world, |call| call.by_tls(client.clone())).await?;
    for statistic in [
        "cluster.authorization-server.ssl.handshake",
        "cluster.authorization-server.upstream_cx_http2_total",
        "http.ingress.jwt_authn.allowed",
        "http.ingress.rbac.allowed",
    ] {
        world.envoy.counts(statistic, 1).await?;
    }
    for secret in [token.as_str(), &jwt, GATEWAY_SECRET] {
        assert!(!world.envoy.log().contains(secret), "a secret is in the log");
    }
    Ok(())
}

/// If this failed, an impostor of the server would learn tokens and the secret, and decide which user a token stands for. A wrong server is
/// not the client's fault.
#[tokio::test]
async fn r024_a_server_with_another_certificate_receives_nothing() -> Result<()> {
    let complete = complete().await;
    for (listener, failure) in
        [("another-authority", "fail_verify_error"), ("another-name", "fail_verify_san")]
    {
        let ports = [complete.tls.client(listener).port()];
        let gateway = complete.gateway(&format!("envoy-{listener}"), &ports, None).await?;
        for _ in 0..4 {
            let token = complete.world.issue("orders:read").await?;
            let outcome = complete.world.orders(&token).by_tls(gateway.client.clone()).await?.has_status(503);
            assert_eq!(outcome.header("www-authenticate"), "", "{listener}");
            assert_ne!(outcome.header("retry-after"), "", "{listener}");
            assert_eq!(complete.world.introspections(&token).await?, 0, "{listener}: it was asked");
        }
        gateway.envoy.counts(&format!("cluster.authorization-server.ssl.{failure}"), 1).await?;
        // It is the only host, so ejecting it would not help.
        assert_eq!(gateway.envoy.statistic(EJECTED).await?, 0, "{listener}");
    }
    Ok(())
}

/// If this failed, an unusual spelling of a path, a host or a field would bypass the rules.
#[tokio::test]
async fn r084_no_way_of_writing_a_request_leads_past_the_rules() -> Result<()> {
    let complete = complete().await;
    let token = complete.world.issue("orders:read").await?;
    // Envoy treats `..;` as `..` since 1.39; before that, the filter refuses it.
    let resolved = envoy::version()? >= (1, 39);
    for (path, status) in [
        ("/health/../orders", 401),
        ("/health/%2e%2e/orders", 401),
        ("/health/%2E./orders", 401),
        ("//orders", 401),
        ("/health//..//orders", 403),
        ("/%6frders", 401),
        ("/health%2f..%2forders", 400),
        ("/health/..%5corders", 400),
        ("/orders%2F7", 400),
        ("/health/..;/orders", if resolved { 401 } else { 400 }),
        ("/health\\..\\orders", 401),
        ("/HEALTH", 400),
        ("/health/orders", 403),
        ("/ordersx", 403),
    ] {
        complete.get(path).await?.has_status(status);
    }
    let call = |method| complete.send(Request::new(method, "//orders", Vec::new())).bearer(&token);
    for (what, call, status) in [
        ("write", call("POST"), 403),
        ("underscore", call("GET").header("x_user", "admin"), 400),
        ("another host", call("GET").header("host", "other.example.com"), 404),
        ("port", call("GET").header("host", "api.example.com:8443"), 200),
        ("dot", call("GET").header("host", "api.example.com."), 200),
    ] {
        call.case(what).await?.has_status(status);
    }
    Ok(())
}

/// `jwt_authn` alone would accept every JWT of the server, from any caller. If this failed, a JWT that leaked from a service, or was issued
/// to a client, would open the API.
#[tokio::test]
async fn r074_a_jwt_of_a_client_does_not_get_through_although_jwt_authn_would_take_it() -> Result<()> {
    let complete = complete().await;
    let token = complete.world.issue("orders:read").await?;
    let phantom = complete.get("/orders").bearer(&token).await?.is_served().jwt()?;
    let forged = jwt::with_claims(&jwt::claims(&phantom)?);
    for jwt in [phantom, forged] {
        complete.get("/orders").bearer(&jwt).await?.has_status(401);
        let outcome = complete.get("/health").bearer(&jwt).await?.is_served();
        assert!(!outcome.head().contains_key("authorization"), "{outcome}");
        assert_eq!(complete.world.introspections(&jwt).await?, 0, "it was asked for nothing");
    }
    Ok(())
}

/// If this failed, the log would not show who called, or why a request was refused; or it would contain tokens.
#[tokio::test]
async fn r110_the_access_log_has_the_caller_and_the_reason_but_no_token() -> Result<()> {
    let complete = complete().await;
    let token = complete.world.issue("orders:read").await?;
    let unknown = secrets::fresh_token("log");
    for (path, request, expected) in [
        (
            "/orders/log/granted",
            Request::get(format!("/orders/log/granted?access_token={unknown}")).bearer(&token),
            json!({"status": 200, "details": "via_upstream", "client_id": "app", "subject": "app", "challenge": null}),
        ),
        (
            "/orders/log/inactive",
            Request::get("/orders/log/inactive").bearer(&unknown),
            json!({"status": 401, "details": "phantom_token_denied{inactive}", "client_id": null, "subject": null}),
        ),
        (
            "/orders/log/nobody",
            Request::get(format!("/orders/log/nobody?access_token={unknown}")),
            json!({"status": 401, "details": "phantom_token_denied{missing_credentials}", "challenge": r#"Bearer realm="orders", scope="orders:read""#}),
        ),
        (
            "/orders/log/scope",
            Request::post("/orders/log/scope", "{}").bearer(&token),
            json!({"status": 403, "details": "phantom_token_denied{insufficient_scope}", "client_id": null}),
        ),
    ] {
        complete.send(request).await?;
        let line = complete.access_log_line(path).await?;
        for (field, value) in expected.as_object().into_iter().flatten() {
            assert_eq!(&line[field], value, "{path}: {field}: {line}");
        }
        assert_eq!((&line["host"], &line["client_address"]), (&json!(SERVER_NAME), &json!("127.0.0.1")));
        let is_number = line["duration_ms"].is_u64() && line["request_id"].is_string();
        assert!(is_number, "{line}");
    }
    for secret in [&token, &unknown] {
        assert!(!complete.world.envoy.log().contains(secret.as_str()), "a token is in the log");
    }
    Ok(())
}

/// If this failed, pages could not call the API or not read why they were refused; or pages of all origins could.
#[tokio::test]
async fn r080_r081_pages_of_the_allowed_origin_may_call_and_read_refusals() -> Result<()> {
    let complete = complete().await;
    for (origin, status, allowed) in
        [("https://app.example.com", 200, "https://app.example.com"), ("https://evil.example.com", 403, "")]
    {
        let preflight = complete.send(Request::new("OPTIONS", "/orders", Vec::new()));
        let preflight = preflight.header("origin", origin).header("access-control-request-method", "GET");
        let refused = complete.get("/orders").header("origin", origin).await?.has_status(401);
        for (outcome, status) in [(preflight.await?, status), (refused, 401)] {
            assert_eq!(outcome.header("access-control-allow-origin"), allowed, "{origin}: {outcome}");
            assert_eq!((outcome.status, outcome.arrived.len()), (status, 0), "{origin}: {outcome}");
        }
    }
    Ok(())
}

/// If this failed, small buffers would reject bodies that arrive while a token is introspected.
#[tokio::test]
async fn a_body_that_is_longer_than_all_buffers_waits_for_the_token() -> Result<()> {
    let complete = complete().await;
    let token = complete.world.issue("orders:write").await?;
    let call = complete.send(Request::post("/orders", vec![b'x'; 1_000_000])).bearer(&token);
    assert_eq!(call.await?.is_served().json()?["body_length"], 1_000_000);
    Ok(())
}

/// The server has two hosts, one of which is down; and the filter's rules have an error, which lets readers write. If this failed, clients
/// would notice the former, or `rbac` would not catch the latter.
#[tokio::test]
async fn r035_a_host_that_is_down_is_left_out_and_rbac_catches_an_error_in_the_rules() -> Result<()> {
    let complete = complete().await;
    let down = ReservedPort::new()?;
    let ports = [down.number(), complete.tls.client("login").port()];
    let error = (
        r#""methods": ["POST"], "scopes": ["orders:write"]"#,
        r#""methods": ["POST"], "scopes": ["orders:read"]"#,
    );
    let gateway = complete.gateway("envoy-mistaken", &ports, Some(error)).await?;
    for _ in 0..12 {
        let token = complete.world.issue("orders:read").await?;
        complete.world.orders(&token).by_tls(gateway.client.clone()).await?.is_served();
        let write = complete.world.post("/orders", "{}").bearer(&token).by_tls(gateway.client.clone());
        assert_eq!(write.await?.has_status(403).text(), "RBAC: access denied");
    }
    gateway.envoy.counts(EJECTED, 1).await?;
    Ok(())
}

impl Gateway {
    async fn start(name: &str, example: Example, authority: &CertificateAuthority) -> Result<Self> {
        let files = TempDir::new()?;
        let own = authority.certify_server(SERVER_NAME)?;
        for (name, text) in [("tls.crt", own.pem()), ("tls.key", own.key_pem()), ("ca.crt", authority.pem())]
        {
            std::fs::write(files.path().join(name), text)?;
        }
        let folder = files.path().display().to_string();
        let bootstrap = example
            .with("/etc/envoy/tls", &folder)?
            .with("/etc/ssl/certs/ca-certificates.crt", &format!("{folder}/ca.crt"))?
            .text();
        assert!(!bootstrap.contains(GATEWAY_SECRET), "the secret comes by the environment alone");
        let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
        let envoy = Envoy::start(name, &bootstrap, &secret, &["ingress"]).await?;
        let client = TlsClient::of(envoy.client("ingress"), authority, None)?;
        Ok(Self { envoy, client, files })
    }
}

/// The file with the ports of this machine, the server at these ports, and the server's actual issuer.
fn example(server: &AuthorizationServer, api: &Service, server_ports: &[u16]) -> Result<Example> {
    let host = "- endpoint: { address: { socket_address: { address: login.example.com, port_value: 443 } } }";
    let hosts: Vec<String> = server_ports
        .iter()
        .map(|port| {
            host.replace("address: login.example.com, port_value: 443", &format!("{LOOPBACK}: {port}"))
        })
        .collect();
    Example::read("complete.yaml")?
        .with("address: 0.0.0.0, port_value: 8443", &format!("{LOOPBACK}: 0"))?
        .with("port_value: 9901", "port_value: 0")?
        .with("address: orders.internal, port_value: 8080", &format!("{LOOPBACK}: {}", api.port()))?
        .with(host, &hosts.join(&format!("\n{}", " ".repeat(14))))?
        .with(r#""issuer": "https://login.example.com""#, &format!(r#""issuer": "{}""#, server.issuer()))?
        .with("issuer: https://login.example.com", &format!("issuer: {}", server.issuer()))?
        .with("target/phantom_token.wasm", &paths::filter()?.display().to_string())?
        // The tests read the access log from standard error.
        .with("envoy.access_loggers.stdout", "envoy.access_loggers.stderr")?
        .with("StdoutAccessLog", "StderrAccessLog")
}

const LOGIN: &str = "login.example.com";
const LOOPBACK: &str = "address: 127.0.0.1, port_value";
const EJECTED: &str = "cluster.authorization-server.outlier_detection.ejections_enforced_total";
