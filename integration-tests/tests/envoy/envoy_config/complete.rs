//! `complete.yaml`: TLS on both sides, `jwt_authn` and `rbac` behind the filter, and an access log.

use anyhow::{Context, Result};
use integration_tests::api::Api;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{self, Envoy, EnvoyBuilder, Listener};
use integration_tests::envoy_config::Example;
use integration_tests::eventually::eventually;
use integration_tests::port::ReservedPort;
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{authorization_server, jwt, paths, secrets};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::story;

/// The file, and one authorization server behind proxies that end TLS for it: one with the certificate that it should have, and
/// others.
struct Stage {
    gateway: Gateway,
    server: AuthorizationServer,
    api: Api,
    tls: Envoy,
    authority: CertificateAuthority,
}

/// Envoy with the file.
struct Gateway {
    envoy: Envoy,
    client: TlsClient,
    _files: TempDir,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("envoy-complete")?, Api::start()?);
    let authority = CertificateAuthority::new()?;
    let certificate = authority.certify_server(LOGIN)?;
    let of_another_authority = CertificateAuthority::new()?.certify_server(LOGIN)?;
    let of_another_name = authority.certify_server("login.example.org")?;
    let tls = EnvoyBuilder::new("envoy-complete-tls", 1, server.port())
        .relay("login", Listener::default())
        .secured_by(&certificate, None)
        .relay("another-authority", Listener::default())
        .secured_by(&of_another_authority, None)
        .relay("another-name", Listener::default())
        .secured_by(&of_another_name, None)
        .start()
        .await?;
    let example = example(&server, &api, &[tls.client("login").port()])?;
    let gateway = Gateway::start("envoy-complete", example, &authority).await?;
    Ok(Stage { gateway, server, api, tls, authority })
}

/// If this failed, the file that we recommend for production would not do what the README says; or it would without TLS, without
/// HTTP/2, or without verifying the JWT.
#[tokio::test]
async fn r001_r035_r074_the_story_runs_through_the_complete_file() -> Result<()> {
    let stage = stage().await;
    let (token, jwt) =
        story::tell("complete", async |request| stage.call(request).await, &stage.server, &stage.api).await?;
    for statistic in [
        "cluster.authorization-server.ssl.handshake",
        "cluster.authorization-server.upstream_cx_http2_total",
        "http.ingress.jwt_authn.allowed",
        "http.ingress.rbac.allowed",
    ] {
        assert!(stage.gateway.envoy.statistic(statistic).await? > 0, "{statistic}");
    }
    for secret in [token.as_str(), &jwt, GATEWAY_SECRET] {
        assert!(!stage.gateway.envoy.log().contains(secret), "a secret is in the log");
    }
    Ok(())
}

/// If this failed, whoever can answer in the server's place would learn tokens and the secret, and say who is who. That the
/// server is not the right one is not the client's fault.
#[tokio::test]
async fn r024_a_server_with_another_certificate_is_asked_nothing() -> Result<()> {
    let stage = stage().await;
    for (listener, failure) in
        [("another-authority", "fail_verify_error"), ("another-name", "fail_verify_san")]
    {
        let example = example(&stage.server, &stage.api, &[stage.tls.client(listener).port()])?;
        let gateway = Gateway::start(&format!("envoy-{listener}"), example, &stage.authority).await?;
        for round in 0..4 {
            let token = stage.server.issue("orders:read").await?;
            let answer = gateway.client.send(Request::get("/orders").bearer(&token).named(listener)).await?;
            assert_eq!(answer.status, 503, "{listener} {round}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate"), "", "{listener}");
            assert_ne!(answer.header("retry-after"), "", "{listener}");
            assert_eq!(stage.server.introspections(&token).await?, 0, "{listener}: it was asked");
        }
        assert_eq!(stage.api.received(listener).len(), 0);
        let failures =
            gateway.envoy.statistic(&format!("cluster.authorization-server.ssl.{failure}")).await?;
        assert!(failures > 0, "{listener}: it was refused for another reason");
        // It is the only host: to take it out would help nobody.
        let ejected = "cluster.authorization-server.outlier_detection.ejections_enforced_total";
        assert_eq!(gateway.envoy.statistic(ejected).await?, 0, "{listener}");
    }
    Ok(())
}

/// If this failed, a way of writing a path, a host or a field would lead past the rules.
#[tokio::test]
async fn r084_no_way_of_writing_a_request_leads_past_the_rules() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    // Envoy takes `..;` for `..` since 1.39; before that, the filter refuses it.
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
        let answer = stage.call(Request::get(path).named("written")).await?;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(stage.api.received("written").len(), 0, "{path}");
    }
    let request = |method| Request::new(method, "//orders", Vec::new()).bearer(&token);
    for (what, request, status) in [
        ("write", request("POST").named("written"), 403),
        ("underscore", request("GET").header("x_user", "admin").named("written"), 400),
        ("another host", request("GET").header("host", "other.example.com").named("written"), 404),
        ("port", request("GET").header("host", "api.example.com:8443"), 200),
        ("dot", request("GET").header("host", "api.example.com."), 200),
    ] {
        let answer = stage.call(request).await?;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    assert_eq!(stage.api.received("written").len(), 0);
    Ok(())
}

/// `jwt_authn` alone would take every JWT of the server, from whoever has it. If this failed, a JWT that left a service, or was
/// made for a client, would open the API.
#[tokio::test]
async fn r074_a_jwt_of_a_client_does_not_get_through_although_jwt_authn_would_take_it() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let answer = stage.call(Request::get("/orders").bearer(&token)).await?;
    let forwarded = answer.forwarded_authorization().pop().context("no JWT")?;
    let phantom = secrets::noted(forwarded.trim_start_matches("Bearer ").to_owned());
    let forged = jwt::with_claims(&authorization_server::claims(&phantom)?);
    for (name, jwt) in [("phantom", phantom), ("forged", forged)] {
        for path in ["/orders", "/health"] {
            let name = format!("{name}-{}", path.trim_start_matches('/'));
            let answer = stage.call(Request::get(path).bearer(&jwt).named(&name)).await?;
            let received = stage.api.received(&name);
            match path {
                "/orders" => {
                    assert_eq!((answer.status, received.len()), (401, 0), "{name}: {}", answer.text())
                }
                _ => assert!(!received[0].contains_key("authorization"), "{name}"),
            }
        }
        assert_eq!(stage.server.introspections(&jwt).await?, 0, "{name}: it was asked for nothing");
    }
    Ok(())
}

/// If this failed, nobody could tell from the log who called, or why somebody was refused; or the log would be a place to find
/// tokens in.
#[tokio::test]
async fn r110_the_access_log_tells_who_called_and_why_not_and_has_no_token() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
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
            json!({"status": 401, "details": "phantom_token_refused{inactive}", "client_id": null, "subject": null}),
        ),
        (
            "/orders/log/nobody",
            Request::get(format!("/orders/log/nobody?access_token={unknown}")),
            json!({"status": 401, "details": "phantom_token_refused{missing_credentials}", "challenge": r#"Bearer realm="orders""#}),
        ),
        (
            "/orders/log/scope",
            Request::post("/orders/log/scope", "{}").bearer(&token),
            json!({"status": 403, "details": "phantom_token_refused{insufficient_scope}", "client_id": null}),
        ),
    ] {
        stage.call(request).await?;
        let line = stage.gateway.access_log_line(path).await?;
        for (field, value) in expected.as_object().into_iter().flatten() {
            assert_eq!(&line[field], value, "{path}: {field}: {line}");
        }
        assert_eq!((&line["host"], &line["client_address"]), (&json!(SERVER_NAME), &json!("127.0.0.1")));
        let is_number = line["duration_ms"].is_u64() && line["request_id"].is_string();
        assert!(is_number, "{line}");
    }
    for secret in [&token, &unknown] {
        assert!(!stage.gateway.envoy.log().contains(secret.as_str()), "a token is in the log");
    }
    Ok(())
}

/// If this failed, pages could not call the API, or not read why they were refused; or pages of all origins could.
#[tokio::test]
async fn r080_r081_pages_of_the_allowed_origin_may_call_and_read_refusals() -> Result<()> {
    let stage = stage().await;
    for (origin, status, allowed) in
        [("https://app.example.com", 200, "https://app.example.com"), ("https://evil.example.com", 403, "")]
    {
        let preflight = Request::new("OPTIONS", "/orders", Vec::new())
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .named("preflight");
        let answer = stage.call(preflight).await?;
        let may = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
        assert_eq!((answer.status, may(&answer)), (status, allowed.to_owned()), "{origin}");
        let refused = stage.call(Request::get("/orders").header("origin", origin)).await?;
        assert_eq!((refused.status, may(&refused)), (401, allowed.to_owned()), "{origin}");
        assert_eq!(stage.api.received("preflight").len(), 0, "{origin}");
    }
    Ok(())
}

/// If this failed, small buffers would turn away what is sent while a token is looked up.
#[tokio::test]
async fn a_body_that_is_longer_than_all_buffers_waits_for_the_token() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:write").await?;
    let answer = stage.call(Request::post("/orders", vec![b'x'; 1_000_000]).bearer(&token)).await?;
    assert_eq!((answer.status, &answer.json()?["body_length"]), (200, &json!(1_000_000)));
    Ok(())
}

/// Two hosts of the server, one of which is down; and a mistake in the filter's rules, which lets readers write. If this failed,
/// clients would notice the one, or `rbac` would not catch the other.
#[tokio::test]
async fn r035_a_host_that_is_down_is_left_out_and_rbac_catches_a_mistake_in_the_rules() -> Result<()> {
    let stage = stage().await;
    let down = ReservedPort::new()?;
    let ports = [down.number(), stage.tls.client("login").port()];
    let example = example(&stage.server, &stage.api, &ports)?.with(
        r#""methods": ["POST"], "scopes": ["orders:write"]"#,
        r#""methods": ["POST"], "scopes": ["orders:read"]"#,
    )?;
    let gateway = Gateway::start("envoy-mistaken", example, &stage.authority).await?;
    for round in 0..12 {
        let token = stage.server.issue("orders:read").await?;
        let answer = gateway.client.send(Request::get("/orders").bearer(&token)).await?;
        assert_eq!(answer.status, 200, "{round}: {}", answer.text());
        let answer =
            gateway.client.send(Request::post("/orders", "{}").bearer(&token).named("mistake")).await?;
        assert_eq!((answer.status, answer.text()), (403, "RBAC: access denied".to_owned()), "{round}");
    }
    assert_eq!(stage.api.received("mistake").len(), 0);
    let ejected = "cluster.authorization-server.outlier_detection.ejections_enforced_total";
    assert_eq!(gateway.envoy.statistic(ejected).await?, 1);
    Ok(())
}

impl Stage {
    async fn call(&self, request: Request) -> Result<Answer> {
        self.gateway.client.send(request).await
    }
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
        Ok(Self { envoy, client, _files: files })
    }

    /// What the access log says of the request to this path.
    async fn access_log_line(&self, path: &str) -> Result<Value> {
        let line = || {
            let log = self.envoy.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["path"] == path)
        };
        eventually(path, async || Ok(line().is_some())).await?;
        line().context("it was there")
    }
}

/// The file with the ports of this machine, the server at these of them, and the issuer that the server says it is.
fn example(server: &AuthorizationServer, api: &Api, server_ports: &[u16]) -> Result<Example> {
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
        // Where the tests look for what it says.
        .with("envoy.access_loggers.stdout", "envoy.access_loggers.stderr")?
        .with("StdoutAccessLog", "StderrAccessLog")
}

const LOGIN: &str = "login.example.com";
const LOOPBACK: &str = "address: 127.0.0.1, port_value";
