//! What else travels over HTTP, in a real Envoy: WebSockets and gRPC, each with a real client and a real service.

use std::pin::pin;

use anyhow::{Context, Result, bail};
use axum::http::HeaderMap;
use futures::{SinkExt, StreamExt};
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::echo::Echo;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::{PATIENCE, soon};
use integration_tests::health::Health;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// One Envoy in front of both services, and a real and a scripted authorization server for it.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    scripted: ScriptedServer,
    echo: Echo,
    health: Health,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, scripted) = (AuthorizationServer::start("protocols")?, ScriptedServer::start()?);
    let (echo, health) = (Echo::start()?, Health::start()?);
    let configuration = configuration(&server);
    let mut waiting = configuration.clone();
    waiting["introspection"]["endpoint"] = json!("https://login.example.com/introspect");
    waiting["introspection"]["upstream"] = json!("scripted-server");
    waiting["token"]["issuer"] = json!("https://login.example.com");
    let mut cut_off = configuration.clone();
    cut_off["introspection"]["upstream"] = json!("nobody-listens");
    let web_socket = Listener { upgrades_to_web_socket: true, ..Listener::default() };
    let grpc = Listener { upstream: "health", ..Listener::default() };
    let envoy = EnvoyBuilder::new("protocols", 1, echo.port())
        .http2_cluster("health", &[health.port()])
        .cluster("authorization-server", &[server.port()])
        .cluster("scripted-server", &[scripted.port()])
        .closed_cluster("nobody-listens")
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("web-socket", &configuration, web_socket)
        .listener("waiting", &waiting, web_socket)
        .listener("waiting-head-only", &waiting, Listener { stops_head_only: true, ..web_socket })
        .listener("grpc", &configuration, grpc)
        .listener("grpc-cut-off", &cut_off, grpc)
        .start()
        .await?;
    Ok(Stage { envoy, server, scripted, echo, health })
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "log_level": "debug",
        "rules": [
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/grpc.health.v1.Health", "scopes": ["orders:read"]},
        ],
    })
}

/// If this failed, no WebSocket would work behind the ingress, or its service would see the opaque token.
#[tokio::test]
async fn r082_a_handshake_with_a_token_becomes_a_web_socket_whose_service_sees_the_jwt() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let Ok(mut socket) = stage.handshake("r082", bearer(&token)).await? else {
        bail!("the handshake was refused");
    };
    for message in [Message::text("hello"), Message::binary(vec![0; 100_000]), Message::text("again")] {
        socket.send(message.clone()).await?;
        let echoed = soon("an echo", socket.next()).await?.context("the service hung up")??;
        assert_eq!(echoed, message);
    }
    stage.assert_the_jwt_arrived(&stage.echo.received("r082"), &token)
}

/// If this failed, a WebSocket would be a way around the filter. A token in `Sec-WebSocket-Protocol` is where browsers could
/// put one; nobody has opted in to that.
#[tokio::test]
async fn r082_a_handshake_without_a_token_that_is_valid_never_reaches_the_service() -> Result<()> {
    let stage = stage().await;
    let (valid, narrow) =
        (stage.server.issue("orders:read").await?, stage.server.issue("orders:write").await?);
    for (what, field, status) in [
        ("no token", None, 401),
        ("an unknown token", bearer(&secrets::fresh_token("unknown")), 401),
        ("a token without the scope", bearer(&narrow), 403),
        ("a token elsewhere", Some(("sec-websocket-protocol", format!("bearer, {valid}"))), 401),
    ] {
        let refused = stage.handshake("r082-refused", field).await?.err();
        assert_eq!(refused, Some(status), "{what}");
    }
    assert_eq!(stage.echo.received("r082-refused").len(), 0);
    Ok(())
}

/// A client need not wait for 101 before it sends. If its frames carried the handshake past the filter, as a body could where
/// Envoy holds the head only, every WebSocket would be open until the verdict.
#[tokio::test]
async fn r082_a_handshake_and_the_frames_behind_it_wait_for_the_verdict() -> Result<()> {
    let stage = stage().await;
    let other = stage.server.issue("orders:read").await?;
    for listener in ["waiting", "waiting-head-only"] {
        for (name, play, status) in [
            ("r082-active", Response::jwt(&jwt::valid()), "101"),
            ("r082-inactive", Response::new(204, "", ""), "401"),
        ] {
            let name = format!("{name}-{listener}");
            let token = secrets::fresh_token("early");
            let (play, gate) = play.held();
            stage.scripted.respond(&token, play);
            let early = [handshake_head(&name, &token).as_bytes(), HELLO, CLOSE].concat();
            let client = stage.envoy.client(listener);
            let mut exchange = pin!(client.send_raw(&early));
            let others = async {
                stage.scripted.asked(&token, 1).await?;
                // What went on without waiting would arrive before this does.
                stage.handshake("early-others", bearer(&other)).await
            };
            tokio::select! {
                biased;
                early = &mut exchange => bail!("{name}: an answer before the verdict: {early:?}"),
                others = others => assert!(others?.is_ok(), "{name}"),
            }
            assert_eq!(stage.echo.received(&name).len(), 0, "{name}");
            gate.open();
            let answer = exchange.await?;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
            let is_open = status == "101";
            assert_eq!(answer.contains("hello"), is_open, "{name}: {answer}");
            assert_eq!(stage.echo.received(&name).len(), usize::from(is_open), "{name}");
            assert_eq!(stage.scripted.introspections(&token).len(), 1, "{name}");
        }
    }
    Ok(())
}

/// If this failed, no gRPC client could call through the ingress, or its service would see the opaque token.
#[tokio::test]
async fn r083_a_grpc_call_with_a_token_succeeds_and_the_service_sees_the_jwt() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let response = stage.health_client("grpc").await?.check(call("r083-unary", Some(&token), "")).await?;
    assert_eq!(response.into_inner().status(), ServingStatus::Serving.into());
    stage.assert_the_jwt_arrived(&stage.health.received("r083-unary"), &token)
}

/// If this failed, the filter would end or hold back what a service sends bit by bit.
#[tokio::test]
async fn r083_a_grpc_stream_with_a_token_stays_open_and_the_service_sees_the_jwt() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    stage.health.set_status("orders", ServingStatus::Serving).await;
    let response =
        stage.health_client("grpc").await?.watch(call("r083-stream", Some(&token), "orders")).await?;
    let mut statuses = response.into_inner();
    let message = soon("a message", statuses.message()).await??.context("the stream ended")?;
    assert_eq!(message.status(), ServingStatus::Serving.into());
    for status in [ServingStatus::NotServing, ServingStatus::Serving] {
        stage.health.set_status("orders", status).await;
        let message = soon("a message", statuses.message()).await??.context("the stream ended")?;
        assert_eq!(message.status(), status.into());
    }
    stage.assert_the_jwt_arrived(&stage.health.received("r083-stream"), &token)
}

/// If this failed, a real gRPC client would not tell "log in" from "you may not" from "try again later".
#[tokio::test]
async fn r083_a_refused_grpc_call_has_the_status_of_its_reason() -> Result<()> {
    let stage = stage().await;
    let unknown = secrets::fresh_token("unknown");
    let (valid, narrow) =
        (stage.server.issue("orders:read").await?, stage.server.issue("orders:write").await?);
    for (what, listener, token, code, error) in [
        ("no token", "grpc", None, Code::Unauthenticated, "unauthorized"),
        ("an unknown token", "grpc", Some(unknown), Code::Unauthenticated, "invalid_token"),
        ("a token without the scope", "grpc", Some(narrow), Code::PermissionDenied, "insufficient_scope"),
        ("no authorization server", "grpc-cut-off", Some(valid), Code::Unavailable, "unavailable"),
    ] {
        let mut health = stage.health_client(listener).await?;
        let unary = health.check(call("r083-refused", token.as_deref(), "")).await.err();
        let stream = health.watch(call("r083-refused", token.as_deref(), "")).await.err();
        for refused in [unary, stream] {
            let refused = refused.with_context(|| format!("{what}: the call succeeded"))?;
            assert_eq!(refused.code(), code, "{what}: {refused}");
            assert!(refused.message().contains(error), "{what}: {refused}");
        }
    }
    assert_eq!(stage.health.received("r083-refused").len(), 0);
    Ok(())
}

impl Stage {
    /// The WebSocket that a handshake with this field leads to, or the status code of the refusal.
    async fn handshake(
        &self,
        name: &str,
        field: Option<(&'static str, String)>,
    ) -> Result<Result<WebSocketStream<TcpStream>, u16>> {
        let mut request = "ws://api.example.com/orders".into_client_request()?;
        request.headers_mut().insert("x-request-name", name.parse()?);
        if let Some((field, value)) = field {
            request.headers_mut().insert(field, value.parse()?);
        }
        let stream = TcpStream::connect(("127.0.0.1", self.envoy.client("web-socket").port())).await?;
        match soon("the handshake", tokio_tungstenite::client_async(request, stream)).await? {
            Ok((socket, _)) => Ok(Ok(socket)),
            Err(tungstenite::Error::Http(response)) => Ok(Err(response.status().as_u16())),
            Err(other) => Err(other.into()),
        }
    }

    /// A gRPC client of this listener.
    async fn health_client(&self, listener: &str) -> Result<HealthClient<Channel>> {
        let endpoint =
            Endpoint::from_shared(format!("http://127.0.0.1:{}", self.envoy.client(listener).port()))?;
        Ok(HealthClient::new(endpoint.timeout(PATIENCE).connect().await?))
    }

    /// If this failed, the service would have received something else than one request with the JWT of this token.
    fn assert_the_jwt_arrived(&self, received: &[HeaderMap], token: &str) -> Result<()> {
        let [head] = received else { bail!("{} requests arrived", received.len()) };
        let fields: Vec<&str> =
            head.get_all("authorization").iter().map(|value| value.to_str()).collect::<Result<_, _>>()?;
        let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
        secrets::noted_credentials(authorization);
        let claims =
            authorization_server::claims(authorization.strip_prefix("Bearer ").context("no scheme")?)?;
        assert_eq!(claims["iss"], self.server.issuer());
        assert_eq!(claims["client_id"], "app");
        let has_the_token = |value: &[u8]| value.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!head.values().any(|value| has_the_token(value.as_bytes())), "the opaque token arrived");
        Ok(())
    }
}

fn bearer(token: &str) -> Option<(&'static str, String)> {
    Some(("authorization", format!("Bearer {token}")))
}

/// The call of this name that asks about a service.
fn call(name: &'static str, token: Option<&str>, service: &str) -> tonic::Request<HealthCheckRequest> {
    let mut request = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
    request.metadata_mut().insert("x-request-name", name.parse().expect("a name"));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token"));
    }
    request
}

fn handshake_head(name: &str, token: &str) -> String {
    format!(
        "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         x-request-name: {name}\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

/// A frame with the text "hello" (RFC 6455 §5.2), its mask all zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";

/// A frame that closes the WebSocket.
const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
