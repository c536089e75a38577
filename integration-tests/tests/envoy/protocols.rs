//! Other protocols over HTTP, in a real Envoy: WebSockets and gRPC, each with a real client and a real service.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::HeaderMap;
use integration_tests::envoy::Listener;
use integration_tests::eventually::{PATIENCE, soon};
use integration_tests::health::Health;
use integration_tests::json::merged;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::{World, by_scripted_server};
use integration_tests::{echo, jwt, secrets};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// One Envoy in front of a WebSocket service and a gRPC service.
struct Services {
    world: World,
    health: Health,
}

shared!(services: Services = start);

async fn start() -> Result<Services> {
    let (echo, health) = (echo::start()?, Health::start()?);
    let web_socket = Listener { upgrades_to_web_socket: true, upstream: "echo", ..Listener::default() };
    let grpc = Listener { upstream: "health", ..Listener::default() };
    let waiting = || merged(&by_scripted_server(), json!({"token": {"issuer": "https://login.example.com"}}));
    let world = World::certified("protocols")?
        .configuration(json!({"rules": [
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/grpc.health.v1.Health", "scopes": ["orders:read"]},
        ]}))
        .service(echo.heads())
        .service(health.heads())
        .envoy(|envoy| envoy.cluster("echo", &[echo.port()]).http2_cluster("health", &[health.port()]))
        .envoy(|envoy| envoy.closed_cluster("closed-port"))
        .listener_on("web-socket", json!({}), web_socket)
        .listener_on("waiting", waiting(), web_socket)
        .listener_on("waiting-head-only", waiting(), Listener { stops_head_only: true, ..web_socket })
        .listener_on(
            "ending",
            merged(&waiting(), json!({"end_streams_with_token": true, "token": {"leeway": "0s"}})),
            web_socket,
        )
        .envoy(|envoy| {
            envoy.routed_by(&[json!({
                "match": {"prefix": "/"},
                "route": {"cluster": "echo", "max_stream_duration": {"grpc_timeout_header_max": "0s"}},
            })])
        })
        .listener_on("grpc", json!({}), grpc)
        .listener_on("grpc-cut-off", json!({"introspection": {"upstream": "closed-port"}}), grpc)
        .start()
        .await?;
    Ok(Services { world, health })
}

/// If this failed, no WebSocket would work behind the ingress, or its service would see the opaque token.
#[tokio::test]
async fn r082_a_handshake_with_a_token_becomes_a_web_socket_whose_service_sees_the_jwt() -> Result<()> {
    let world = &services().await.world;
    let token = world.issue("orders:read").await?;
    let Ok(mut socket) = world.handshake("web-socket", "r082", "/orders", bearer(&token)).await? else {
        bail!("the handshake was refused");
    };
    for message in [Message::text("hello"), Message::binary(vec![0; 100_000]), Message::text("again")] {
        socket.is_echoed(message).await?;
    }
    assert_the_jwt_arrived(&world.arrived("r082"), &token).await
}

/// If this failed, a WebSocket would be a way around the filter. Browsers could put a token into `Sec-WebSocket-Protocol`, but this
/// configuration does not accept it there.
#[tokio::test]
async fn r082_a_handshake_without_a_token_that_is_valid_never_reaches_the_service() -> Result<()> {
    let world = &services().await.world;
    let (valid, narrow) = (world.issue("orders:read").await?, world.issue("orders:write").await?);
    for (what, field, status) in [
        ("no token", None, 401),
        ("an unknown token", bearer(&secrets::fresh_token("unknown")), 401),
        ("a token without the scope", bearer(&narrow), 403),
        ("a token elsewhere", Some(("sec-websocket-protocol", format!("bearer, {valid}"))), 401),
    ] {
        let refused = world.handshake("web-socket", "r082-refused", "/orders", field).await?.err();
        assert_eq!(refused, Some(status), "{what}");
    }
    assert_eq!(world.arrived("r082-refused").len(), 0);
    Ok(())
}

/// A client need not wait for status 101 before it sends frames. If these carried the handshake past the filter, as a body could where
/// Envoy holds only the headers, every WebSocket would be open until the decision.
#[tokio::test]
async fn r082_a_handshake_and_the_frames_behind_it_wait_for_the_decision() -> Result<()> {
    let world = &services().await.world;
    let other = world.issue("orders:read").await?;
    for listener in ["waiting", "waiting-head-only"] {
        for (response, status) in [(Response::jwt(&jwt::valid()), "101"), (Response::inactive(), "401")] {
            let name = format!("r082-{status}-{listener}");
            let (token, gate) = world.answered_later(response);
            let early = [handshake_head(&name, &token).as_bytes(), HELLO, CLOSE].concat();
            let client = world.envoy.client(listener);
            let mut exchange = pin!(client.send_raw(&early));
            let others = async {
                world.scripted.asked(&token, 1).await?;
                // A handshake forwarded without waiting would arrive before this one.
                world.handshake("web-socket", "early-others", "/orders", bearer(&other)).await
            };
            tokio::select! {
                biased;
                early = &mut exchange => bail!("{name}: an answer before the verdict: {early:?}"),
                others = others => assert!(others?.is_ok(), "{name}"),
            }
            assert_eq!(world.arrived(&name).len(), 0, "{name}");
            gate.open();
            let answer = exchange.await?;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
            let is_open = status == "101";
            assert_eq!(answer.contains("hello"), is_open, "{name}: {answer}");
            assert_eq!(world.arrived(&name).len(), usize::from(is_open), "{name}");
            assert_eq!(world.scripted.introspections(&token).len(), 1, "{name}");
        }
    }
    Ok(())
}

/// If this failed, a client could hold a WebSocket open and receive messages after its token has expired, for as long as the service allows
/// (hasura/graphql-engine#578, dunglas/mercure#679). A client cannot ask for more time; without the option, the socket outlives its token.
#[tokio::test]
async fn r179_a_web_socket_ends_with_its_token_where_that_is_configured() -> Result<()> {
    let world = &services().await.world;
    let opened = |listener, timeout: &str| {
        let token = world.active_with(json!({"exp": jwt::now() + LIFETIME.as_secs()}));
        let head = handshake_head("r179", &token).replace("\r\n\r\n", &format!("{timeout}\r\n\r\n"));
        let early = [head.as_bytes(), HELLO].concat();
        let client = world.envoy.client(listener);
        async move { tokio::time::timeout(2 * LIFETIME, client.send_raw(&early)).await }
    };
    let (ended, longer, kept) =
        tokio::join!(opened("ending", ""), opened("ending", "\r\ngrpc-timeout: 1H"), opened("waiting", ""),);
    for ended in [ended, longer] {
        let answer = ended.context("it stays open")??;
        assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("hello"), "{answer}");
    }
    assert!(kept.is_err(), "{kept:?}");
    Ok(())
}

/// If this failed, no gRPC client could call through the ingress, or its service would see the opaque token.
#[tokio::test]
async fn r083_a_grpc_call_with_a_token_succeeds_and_the_service_sees_the_jwt() -> Result<()> {
    let world = &services().await.world;
    let token = world.issue("orders:read").await?;
    let response = health_client("grpc").await?.check(call("r083-unary", Some(&token), "")).await?;
    assert_eq!(response.into_inner().status(), ServingStatus::Serving.into());
    assert_the_jwt_arrived(&world.arrived("r083-unary"), &token).await
}

/// If this failed, the filter would end or hold back a stream of the service.
#[tokio::test]
async fn r083_a_grpc_stream_with_a_token_stays_open_and_the_service_sees_the_jwt() -> Result<()> {
    let Services { world, health } = services().await;
    let token = world.issue("orders:read").await?;
    health.set_status("orders", ServingStatus::Serving).await;
    let response = health_client("grpc").await?.watch(call("r083-stream", Some(&token), "orders")).await?;
    let mut statuses = response.into_inner();
    for (change, status) in
        [(false, ServingStatus::Serving), (true, ServingStatus::NotServing), (true, ServingStatus::Serving)]
    {
        if change {
            health.set_status("orders", status).await;
        }
        let message = soon("a message", statuses.message()).await??.context("the stream ended")?;
        assert_eq!(message.status(), status.into());
    }
    assert_the_jwt_arrived(&world.arrived("r083-stream"), &token).await
}

/// If this failed, a real gRPC client could not distinguish "log in" from "you may not" and "try again later".
#[tokio::test]
async fn r083_a_refused_grpc_call_has_the_status_of_its_reason() -> Result<()> {
    let world = &services().await.world;
    let unknown = secrets::fresh_token("unknown");
    let (valid, narrow) = (world.issue("orders:read").await?, world.issue("orders:write").await?);
    for (what, listener, token, code, error) in [
        ("no token", "grpc", None, Code::Unauthenticated, "unauthorized"),
        ("an unknown token", "grpc", Some(unknown), Code::Unauthenticated, "invalid_token"),
        ("a token without the scope", "grpc", Some(narrow), Code::PermissionDenied, "insufficient_scope"),
        ("no authorization server", "grpc-cut-off", Some(valid), Code::Unavailable, "unavailable"),
    ] {
        let mut health = health_client(listener).await?;
        let unary = health.check(call("r083-refused", token.as_deref(), "")).await.err();
        let stream = health.watch(call("r083-refused", token.as_deref(), "")).await.err();
        for refused in [unary, stream] {
            let refused = refused.with_context(|| format!("{what}: the call succeeded"))?;
            assert_eq!(refused.code(), code, "{what}: {refused}");
            assert!(refused.message().contains(error), "{what}: {refused}");
        }
    }
    assert_eq!(world.arrived("r083-refused").len(), 0);
    Ok(())
}

/// Returns a gRPC client of this listener.
async fn health_client(listener: &str) -> Result<HealthClient<Channel>> {
    let port = services().await.world.envoy.client(listener).port();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    Ok(HealthClient::new(endpoint.timeout(PATIENCE).connect().await?))
}

/// Asserts that the service received exactly one request, with the JWT of this token.
async fn assert_the_jwt_arrived(arrived: &[HeaderMap], token: &str) -> Result<()> {
    let [head] = arrived else { bail!("{} requests arrived", arrived.len()) };
    let fields: Vec<_> = head.get_all("authorization").iter().collect();
    let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
    let authorization = authorization.to_str()?;
    secrets::noted_credentials(authorization);
    let claims = jwt::claims(authorization.strip_prefix("Bearer ").context("no scheme")?)?;
    assert_eq!(claims["iss"], services().await.world.server().issuer());
    assert_eq!(claims["client_id"], "app");
    assert!(!format!("{head:?}").contains(token), "the opaque token arrived");
    Ok(())
}

fn bearer(token: &str) -> Option<(&'static str, String)> {
    Some(("authorization", format!("Bearer {token}")))
}

/// A call with this name that asks for a service's status.
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

/// The lifetime of a token whose expiry is awaited: long enough to be introspected.
const LIFETIME: Duration = Duration::from_secs(4);

/// A frame with the text "hello" (RFC 6455 §5.2), its mask all zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";

/// A frame that closes the WebSocket.
const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
