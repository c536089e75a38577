//! Tokens outside `Authorization`, in a real Envoy: the query, a cookie, another field, the subprotocols of a WebSocket handshake. None of
//! them reaches a service.

use std::time::Duration;

use anyhow::{Result, bail};
use integration_tests::api::{ANSWER_CACHE_CONTROL, ANSWER_STATUS};
use integration_tests::client::{Protocol, Request};
use integration_tests::echo::{self, CHAT};
use integration_tests::envoy::{self, Listener};
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::{Call, Outcome, World};
use integration_tests::{jwt, secrets};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

shared! {
    /// One Envoy with one worker, in front of an API and a WebSocket service.
    world: World = start
}

async fn start() -> Result<World> {
    let echo = echo::start()?;
    let nowhere = || json!({"token_sources": null});
    let web_socket = Listener { upgrades_to_web_socket: true, upstream: "echo", ..Listener::default() };
    let head_only = Listener { stops_head_only: true, ..Listener::default() };
    World::scripted("token_places")?
        .configuration(json!({
            "token_sources": {
                "query_parameter": "access_token",
                "cookie": "session",
                "header": "x-access-token",
                "websocket_protocol": "access_token.",
            },
            "log_level": "trace",
            "rules": [{"path": "/public", "access": "public"}, {"path": "/orders", "scopes": ["orders:read"]}],
        }))
        .service(echo.heads())
        .envoy(|envoy| envoy.cluster("echo", &[echo.port()]))
        .listener("everywhere", json!({}))
        .listener("together", json!({}))
        .listener_on("head-only", json!({}), head_only)
        .listener("nowhere", nowhere())
        .listener(
            "optional",
            json!({
                "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
                "rules": [{"path": "/orders", "access": "optional", "scopes": ["orders:read"]}],
            }),
        )
        .listener_on("web-socket", json!({}), web_socket)
        .listener_on("web-socket-head-only", json!({}), Listener { stops_head_only: true, ..web_socket })
        .listener_on("web-socket-nowhere", nowhere(), web_socket)
        .start()
        .await
}

/// Clients may escape any character of a form. If the token were used as written, the server would not know it.
#[tokio::test]
async fn r010_an_escaped_token_in_the_query_is_the_token() -> Result<()> {
    let world = world().await;
    let (token, _) = slowly_active(world);
    let escaped = secrets::noted(token.replacen("opaque", "%6Fpa%71ue", 1));
    let call = world.get(format!("/orders?access_token={escaped}&a=1"));
    let outcome = hidden(world, call.with_token(&escaped), &escaped).await?;
    assert_eq!(outcome.json()?["path"], "/orders?a=1");
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

/// If a response were cached for others whose URL differs only in its token, they would see another user's data (RFC 6750 §2.3). Responses
/// that are already private, or unsuccessful, are left unchanged.
#[tokio::test]
async fn r010_a_successful_answer_to_a_url_with_a_token_is_private() -> Result<()> {
    let world = world().await;
    for (status, answered, expected) in [
        ("200", &[][..], &["private"][..]),
        ("201", &[], &["private"]),
        ("203", &[], &["private"]),
        ("200", &["public, max-age=60"], &["private, max-age=60"]),
        ("200", &["no-store"], &["no-store"]),
        ("200", &["max-age=0, No-Store"], &["max-age=0, No-Store"]),
        ("302", &[], &[]),
        ("404", &[], &[]),
        ("404", &["max-age=60"], &["max-age=60"]),
        ("500", &["public"], &["public"]),
    ] {
        for listener in ["everywhere", "head-only"] {
            let (token, _) = slowly_active(world);
            // The first request is cold, and the others are cache hits or need no token.
            for (path, method) in
                [("/orders", "GET"), ("/orders", "GET"), ("/orders", "POST"), ("/public", "GET")]
            {
                let request = Request::new(method, path, Vec::new()).parameter("access_token", &token);
                let call = world.send(request).at(listener).header(ANSWER_STATUS, status);
                let outcome = answered
                    .iter()
                    .fold(call, |call, value| call.header(ANSWER_CACHE_CONTROL, value))
                    .await?;
                assert_eq!(outcome.status.to_string(), status, "{outcome}");
                assert_eq!(cache_control(&outcome), expected, "{answered:?} {outcome}");
            }
        }
    }
    Ok(())
}

/// If only the first of two fields were read, a response with `no-store` could be stored.
#[tokio::test]
async fn r010_no_store_counts_in_whichever_field_it_is() -> Result<()> {
    let outcome = answered_by_the_api(&["max-age=60", "no-store"]).await?;
    assert!(cache_control(&outcome).concat().contains("no-store"), "{:?}", cache_control(&outcome));
    Ok(())
}

/// An API's directives for caches are about more than sharing: if `private` replaced them, a response that has to be revalidated each time
/// would be used without.
#[tokio::test]
async fn r010_a_private_answer_keeps_the_other_directives_of_the_api() -> Result<()> {
    for directive in ["no-cache", "must-revalidate", "no-transform"] {
        let outcome = answered_by_the_api(&[&format!("max-age=60, {directive}")]).await?;
        let found = outcome.header("cache-control");
        assert!(found.contains("private") && found.contains(directive), "{directive}: {found}");
    }
    Ok(())
}

/// If responses were private wherever the token came from, no shared cache would be of any use.
#[tokio::test]
async fn r010_an_answer_is_not_private_because_of_a_token_elsewhere() -> Result<()> {
    let world = world().await;
    let (token, _) = slowly_active(world);
    for place in [Place::Authorization, Place::Cookie, Place::Header] {
        let call = place.call(world, "/orders?a=1", &token).header(ANSWER_CACHE_CONTROL, "public");
        assert_eq!(call.await?.is_served().header("cache-control"), "public");
    }
    Ok(())
}

/// With `allow_on_headers_stop_iteration`, Envoy continues the headers as soon as a body arrives, unless the filter holds the body. If the
/// path were still the client's then, the token would be in it.
#[tokio::test]
async fn r010_r011_a_body_does_not_carry_a_token_past_the_filter() -> Result<()> {
    let world = world().await;
    for protocol in PROTOCOLS {
        for listener in ["everywhere", "head-only"] {
            for place in [Place::Query, Place::Cookie, Place::Header] {
                let post = |token: &str| {
                    let request = place.add(Request::post("/orders", vec![b'b'; 100_000]), token);
                    world.send(request).at(listener).over(protocol).with_token(token).case(place)
                };
                let (token, jwt) = slowly_active(world);
                for _ in COLD_AND_CACHED {
                    let outcome = hidden(world, post(&token), &token).await?;
                    let seen = outcome.json()?;
                    assert_eq!((&seen["body_length"], &seen["path"]), (&json!(100_000), &json!("/orders")));
                    assert_eq!(outcome.jwt()?, jwt, "{outcome}");
                }
                let refused = world.answered(Response::inactive().after(VERDICT));
                post(&refused).await?.is_refused(401, "inactive");
            }
        }
    }
    Ok(())
}

/// HTTP/2 clients send each cookie in its own field (RFC 9113 §8.2.3). If this failed, the API would see the token among them, or lose its
/// own cookies.
#[tokio::test]
async fn r011_a_token_among_cookies_in_fields_of_their_own_is_stripped() -> Result<()> {
    let world = world().await;
    let (token, jwt) = slowly_active(world);
    for _ in COLD_AND_CACHED {
        let call = world.get("/orders").over(Protocol::Http2).with_token(&token);
        let own = format!("session={token}");
        let cookies = ["a=1", &own, "b=2", "c=3; d=4"];
        let call = cookies.iter().fold(call, |call, cookie| call.header("cookie", cookie));
        let outcome = hidden(world, call, &token).await?;
        assert_eq!(outcome.jwt()?, jwt);
        assert_eq!(outcome.received("cookie"), ["a=1; b=2; c=3; d=4"], "{outcome}");
    }
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

/// If this failed, an attacker who can add a token to another client's request would decide which of them counts (RFC 6750 §2).
#[tokio::test]
async fn r009_tokens_in_two_places_are_refused_and_go_nowhere() -> Result<()> {
    let world = world().await;
    for protocol in PROTOCOLS {
        for one in Place::ALL {
            for other in Place::ALL {
                let ((token, _), (second, _)) = (slowly_active(world), slowly_active(world));
                for second in [&second, &token] {
                    let request = other.add(one.add(Request::get("/orders"), &token), second);
                    let call = world.send(request).over(protocol).with_token(&token).case(one).case(other);
                    let outcome = call.await?.has_status(400);
                    assert_eq!(outcome.json()?["error"], "invalid_request", "{outcome}");
                    assert_eq!(world.introspections(second).await?, 0, "{outcome}");
                }
            }
        }
    }
    Ok(())
}

/// If this failed, a token would be accepted where the operator did not enable it: in a URL that ends up in logs, or in a cookie that a
/// page of another site can send.
#[tokio::test]
async fn r010_r011_places_that_are_not_configured_are_not_looked_at() -> Result<()> {
    let world = world().await;
    for protocol in PROTOCOLS {
        for place in [Place::Query, Place::Cookie, Place::Header, Place::WebSocketProtocol] {
            let (token, _) = slowly_active(world);
            let request = place.add(Request::get("/orders"), &token);
            let call = world.send(request).at("nowhere").over(protocol).with_token(&token).case(place);
            let outcome = call.await?.is_refused(401, "missing_credentials");
            assert!(!outcome.challenges().concat().contains("error"), "{outcome}");
            assert_eq!(world.introspections(&token).await?, 0, "{outcome}");
            assert!(!world.envoy.log().contains(&token), "{outcome}");
        }
    }
    Ok(())
}

/// Pages cannot set `Authorization` on a WebSocket. If the token were not removed from the list, the service would see it, and could select
/// it as the protocol, which would send it back in the clear.
#[tokio::test]
async fn r082_a_token_among_the_subprotocols_is_stripped_and_the_other_one_is_negotiated() -> Result<()> {
    let world = world().await;
    // Before 1.39, Envoy does not continue a handshake of which only the headers were held.
    let listeners = if envoy::version()? < (1, 39) {
        &["web-socket"][..]
    } else {
        &["web-socket", "web-socket-head-only"]
    };
    for listener in listeners {
        for fields in [&["chat, {}"][..], &["{},chat"], &["chat", "{}"]] {
            let (token, jwt) = slowly_active(world);
            for occasion in COLD_AND_CACHED {
                let name = format!("{listener} {fields:?} {occasion}");
                let offered = fields.iter().map(|field| (PROTOCOL, field.replace("{}", &prefixed(&token))));
                let Ok(mut socket) = world.handshake(listener, &name, "/orders", offered).await? else {
                    bail!("{name}: the handshake was refused")
                };
                assert_eq!(socket.protocol.as_deref(), Some(CHAT), "{name}");
                socket.is_echoed(Message::text("hello")).await?;
                let arrived = world.arrived(&name);
                let [head] = arrived.as_slice() else { bail!("{name}: {} arrived", arrived.len()) };
                assert_eq!(head.get_all(PROTOCOL).iter().collect::<Vec<_>>(), [CHAT], "{name}");
                assert_eq!(head["authorization"], format!("Bearer {jwt}"), "{name}");
                assert_hidden(world, &format!("{head:?}"), &token);
            }
            assert_eq!(world.introspections(&token).await?, 1);
        }
    }
    Ok(())
}

/// If this failed, WebSockets of pages that put their token into the URL would not work, or show it to the service.
#[tokio::test]
async fn r010_r082_a_token_in_the_url_of_a_web_socket_is_stripped() -> Result<()> {
    let world = world().await;
    let (token, _) = slowly_active(world);
    let path = format!("/orders?access_token={token}&room=7");
    let Ok(mut socket) = world.handshake("web-socket", "in-the-url", &path, []).await? else {
        bail!("the handshake was refused")
    };
    socket.is_echoed(Message::text("hello")).await?;
    let arrived = world.arrived("in-the-url");
    assert_eq!(arrived.len(), 1);
    assert_hidden(world, &format!("{arrived:?}"), &token);
    Ok(())
}

/// If this failed, subprotocols that look like a token would be changed without opting in; or an invalid token would open a
/// WebSocket.
#[tokio::test]
async fn r082_without_opting_in_a_token_among_the_subprotocols_is_none() -> Result<()> {
    let world = world().await;
    let (token, _) = slowly_active(world);
    let offered = (PROTOCOL, format!("chat, {}", prefixed(&token)));
    let refused = world.handshake("web-socket-nowhere", "no-opt-in", "/orders", [offered]).await?.err();
    assert_eq!((refused, world.arrived("no-opt-in").len()), (Some(401), 0));
    assert_eq!(world.introspections(&token).await?, 0);

    let offered = (PROTOCOL, "chat, access_token.not-a-token".to_owned());
    let bearer = ("authorization", format!("Bearer {token}"));
    let handshake = world.handshake("web-socket-nowhere", "untouched", "/orders", [offered, bearer]).await?;
    assert!(handshake.is_ok(), "{:?}", handshake.err());
    let arrived = world.arrived("untouched");
    assert_eq!(arrived[0][PROTOCOL], "chat, access_token.not-a-token");
    assert_hidden(world, &format!("{arrived:?}"), &token);
    Ok(())
}

/// If this failed, an invalid token would open a WebSocket, in whichever place it is sent.
#[tokio::test]
async fn r082_a_handshake_whose_token_is_not_active_or_not_alone_is_refused() -> Result<()> {
    let world = world().await;
    let (valid, _) = slowly_active(world);
    let unknown = secrets::fresh_token("unknown");
    let offered = |token: &str| (PROTOCOL, format!("chat, {}", prefixed(token)));
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    for (what, fields, status) in [
        ("an unknown token", vec![offered(&unknown)], 401),
        ("an empty token", vec![offered("")], 400),
        ("two of them", vec![offered(&valid), offered(&valid)], 400),
        ("and one in Authorization", vec![offered(&valid), bearer(&valid)], 400),
    ] {
        let refused = world.handshake("web-socket", "r082-refused", "/orders", fields).await?.err();
        assert_eq!(refused, Some(status), "{what}");
    }
    assert_eq!(world.arrived("r082-refused").len(), 0);
    assert_eq!(world.introspections(&valid).await?, 0);
    Ok(())
}

/// A field may contain bytes that are not UTF-8 (RFC 9110 §5.5). If those beside a token were changed, a service would no longer recognize
/// its own cookies.
#[tokio::test]
async fn r011_odd_bytes_beside_a_token_stay_as_they_are() -> Result<()> {
    let world = world().await;
    for protocol in PROTOCOLS {
        let (token, _) = slowly_active(world);
        let cookie = [&b"name=Caf\xe9; session="[..], token.as_bytes(), b"; b=\x80"].concat();
        let outcome = world.get("/orders").over(protocol).header("cookie", cookie).await?.is_served();
        assert_eq!(outcome.head()["cookie"].as_bytes(), b"name=Caf\xe9; b=\x80", "{outcome}");
    }
    Ok(())
}

/// If requests with one token did not share an introspection, a page that loads twenty things at once would cause twenty.
#[tokio::test]
async fn r023_requests_share_an_introspection_wherever_their_token_is() -> Result<()> {
    let world = world().await;
    for place in [Place::Query, Place::Cookie, Place::Header] {
        let (token, _) = slowly_active(world);
        let request = place.add(Request::get("/orders"), &token);
        let call = world.send(request).at("together").with_token(&token).case(place);
        for outcome in world.together(vec![call; 20]).await? {
            outcome.is_served();
        }
        assert_eq!(world.introspections(&token).await?, 1, "{place}");
    }
    Ok(())
}

/// Returns a token that the server takes some time to report as active, so that a first request waits; and its JWT.
fn slowly_active(world: &World) -> (String, String) {
    let jwt = jwt::valid();
    (world.answered(Response::jwt(&jwt).after(VERDICT)), jwt)
}

/// Sends a request with a token in its URL to the API, whose response has these `Cache-Control` fields.
async fn answered_by_the_api(cache_control: &[&str]) -> Result<Outcome> {
    let world = world().await;
    let (token, _) = slowly_active(world);
    let call = Place::Query.call(world, "/orders", &token);
    let outcome = cache_control.iter().fold(call, |call, value| call.header(ANSWER_CACHE_CONTROL, value));
    Ok(outcome.await?.is_served())
}

fn cache_control(outcome: &Outcome) -> Vec<&str> {
    let fields = outcome.headers.get_all("cache-control");
    fields.iter().filter_map(|value| value.to_str().ok()).collect()
}

/// Asserts that the call is served and its token arrives nowhere.
async fn hidden(world: &World, call: Call<'_>, token: &str) -> Result<Outcome> {
    let outcome = call.await?.is_served();
    assert_hidden(world, "", token);
    Ok(outcome)
}

#[track_caller]
fn assert_hidden(world: &World, arrived: &str, token: &str) {
    assert!(!arrived.contains(token), "the token arrived");
    assert!(!world.envoy.log().contains(token), "the token is in the log");
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Authorization,
    Query,
    Cookie,
    Header,
    WebSocketProtocol,
}

impl Place {
    const ALL: [Self; 5] =
        [Self::Authorization, Self::Query, Self::Cookie, Self::Header, Self::WebSocketProtocol];

    fn call<'w>(self, world: &'w World, path: &str, token: &str) -> Call<'w> {
        world.send(self.add(Request::get(path), token)).with_token(token).case(self)
    }

    fn add(self, request: Request, token: &str) -> Request {
        match self {
            Self::Authorization => request.bearer(token),
            Self::Query => request.parameter("access_token", token),
            Self::Cookie => request.header("cookie", format!("session={token}")),
            Self::Header => request.header("x-access-token", token),
            Self::WebSocketProtocol => request.header(PROTOCOL, prefixed(token)),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self:?}")
    }
}

/// Returns a token as a subprotocol.
fn prefixed(token: &str) -> String {
    format!("access_token.{token}")
}

const PROTOCOL: &str = "sec-websocket-protocol";
const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// The first request with a token waits for the server, the second is a cache hit.
const COLD_AND_CACHED: [&str; 2] = ["cold", "cached"];

/// How long the scripted server delays its response.
const VERDICT: Duration = Duration::from_millis(100);

/// If this failed, a service that responds to TRACE as RFC 9110 §9.3.8 says would show the JWT to the client.
#[tokio::test]
async fn r177_a_request_that_is_reflected_goes_nowhere_with_a_token() -> Result<()> {
    let world = world().await;
    let token = world.active();
    // Over HTTP/1.1, Envoy itself refuses methods that it does not know.
    for (method, protocol) in [
        ("TRACE", Protocol::Http1),
        ("TRACE", Protocol::Http2),
        ("TRACK", Protocol::Http2),
        ("trace", Protocol::Http2),
    ] {
        for listener in ["everywhere", "optional"] {
            let call = world.send(Request::new(method, "/orders", Vec::new())).at(listener);
            call.over(protocol).bearer(&token).await?.is_refused(403, "no_matching_rule");
        }
    }
    assert_eq!(world.introspections(&token).await?, 0);
    Ok(())
}
