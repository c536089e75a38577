//! Tokens elsewhere than in `Authorization`, in a real Envoy: the query, a cookie, another field, the subprotocols of a
//! WebSocket handshake. Wherever one came in, it goes no further.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::HeaderMap;
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use integration_tests::api::{ANSWER_CACHE_CONTROL, ANSWER_STATUS, Api};
use integration_tests::client::{Answer, Client, Protocol, Request};
use integration_tests::echo::{CHAT, Echo};
use integration_tests::envoy::{self, Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::soon;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

/// One Envoy with one worker, in front of an API and a WebSocket service.
struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
    echo: Echo,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api, echo) = (ScriptedServer::start()?, Api::start()?, Echo::start()?);
    let everywhere = configuration(json!({
        "query_parameter": "access_token",
        "cookie": "session",
        "header": "x-access-token",
        "websocket_protocol": "access_token.",
    }));
    let nowhere = configuration(json!({}));
    let plain = Listener::default();
    let web_socket = Listener { upgrades_to_web_socket: true, upstream: "echo", ..plain };
    let envoy = EnvoyBuilder::new("token_places", 1, api.port())
        .cluster("echo", &[echo.port()])
        .cluster("authorization-server", &[server.port()])
        .listener("everywhere", &everywhere, plain)
        .listener("together", &everywhere, plain)
        .listener("head-only", &everywhere, Listener { stops_head_only: true, ..plain })
        .listener("nowhere", &nowhere, plain)
        .listener("web-socket", &everywhere, web_socket)
        .listener("web-socket-head-only", &everywhere, Listener { stops_head_only: true, ..web_socket })
        .listener("web-socket-nowhere", &nowhere, web_socket)
        .start()
        .await?;
    Ok(Stage { envoy, server, api, echo })
}

fn configuration(credentials: Value) -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
        },
        "credentials": credentials,
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "log_level": "trace",
        "rules": [{"path": "/public", "access": "public"}, {"path": "/orders", "scopes": ["orders:read"]}],
    })
}

/// If this failed, the token would be in the access log of every service (RFC 9700 §4.3.2), or a service would miss what the
/// client asked for.
#[tokio::test]
async fn r010_a_token_in_the_query_is_stripped_and_all_else_stays_as_it_was() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        for (before, name, after, seen) in [
            ("?", "access_token", "", "/orders"),
            ("?a=1&", "access_token", "", "/orders?a=1"),
            ("?", "access_token", "&a=1", "/orders?a=1"),
            ("/7?b=%2F%20x+y&", "access_token", "&a=&c&d==%41&&", "/orders/7?b=%2F%20x+y&a=&c&d==%41&&"),
            ("?token=1&", "access%5Ftoken", "&access_token_=2", "/orders?token=1&access_token_=2"),
            ("?next=/a?b&", "%61ccess_token", "&Access_Token=3", "/orders?next=/a?b&Access_Token=3"),
        ] {
            let (token, jwt) = stage.slowly_active("query")?;
            for occasion in OCCASIONS {
                let request = Request::get(format!("/orders{before}{name}={token}{after}"));
                let answer = stage.send(protocol, request).await?;
                assert_eq!(answer.status, 200, "{protocol:?} {occasion} {seen}: {}", answer.text());
                assert_eq!(answer.json()?["path"], seen, "{protocol:?} {occasion}");
                assert_eq!(answer.forwarded_authorization(), [format!("Bearer {jwt}")], "{seen}");
                assert_eq!(answer.header("cache-control"), "private", "{protocol:?} {occasion} {seen}");
                stage.assert_hidden(&token, &stage.api.received(seen));
            }
            assert_eq!(stage.server.introspections(&token).len(), 1, "{protocol:?} {seen}");
        }
    }
    Ok(())
}

/// Clients escape what they like of a form. If the token were taken as it is written, the server would not know it.
#[tokio::test]
async fn r010_an_escaped_token_in_the_query_is_the_token() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.slowly_active("escaped")?;
    let escaped = secrets::noted(token.replacen("opaque", "%6Fpa%71ue", 1));
    let answer =
        stage.send(Protocol::Http1, Request::get(format!("/orders?access_token={escaped}&a=1"))).await?;
    assert_eq!((answer.status, answer.json()?["path"].as_str()), (200, Some("/orders?a=1")));
    assert_eq!(stage.server.introspections(&token).len(), 1);
    assert!(!stage.envoy.log().contains(&escaped));
    Ok(())
}

/// If an answer were kept for others who have the same URL but for its token, they would see what is another's (RFC 6750
/// §2.3). What the API keeps from everybody, or did not succeed at, is the API's affair.
#[tokio::test]
async fn r010_a_successful_answer_to_a_url_with_a_token_is_private() -> Result<()> {
    let stage = stage().await;
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
            let (token, _) = stage.slowly_active("private")?;
            for (occasion, path, method) in [
                ("cold", "/orders", "GET"),
                ("cached", "/orders", "GET"),
                ("cached", "/orders", "POST"),
                ("public", "/public", "GET"),
            ] {
                let request = Request::new(method, format!("{path}?access_token={token}"), Vec::new());
                let request =
                    answered.iter().fold(request.header(ANSWER_STATUS, status), |request, value| {
                        request.header(ANSWER_CACHE_CONTROL, value)
                    });
                let answer = stage.envoy.client(listener).send(request).await?;
                let what = format!("{status} {answered:?}, {listener} {occasion} {method}");
                assert_eq!(answer.status.to_string(), status, "{what}: {}", answer.text());
                let found: Vec<_> = answer.headers.get_all("cache-control").iter().collect();
                assert_eq!(found, expected, "{what}");
            }
        }
    }
    Ok(())
}

/// If two fields were taken for the first of them, what nobody may store could be stored.
#[tokio::test]
async fn r010_no_store_counts_in_whichever_field_it_is() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.slowly_active("two-fields")?;
    let request = Request::get(format!("/orders?access_token={token}"))
        .header(ANSWER_CACHE_CONTROL, "max-age=60")
        .header(ANSWER_CACHE_CONTROL, "no-store");
    let answer = stage.send(Protocol::Http1, request).await?;
    let found: Vec<_> = answer.headers.get_all("cache-control").iter().collect();
    assert!(
        found.iter().any(|value| value.to_str().is_ok_and(|text| text.contains("no-store"))),
        "{found:?}"
    );
    Ok(())
}

/// If answers were private wherever the token came from, no shared cache would be of use any more.
#[tokio::test]
async fn r010_an_answer_is_not_private_because_of_a_token_elsewhere() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.slowly_active("not-private")?;
    let request = || Request::get("/orders?a=1").header(ANSWER_CACHE_CONTROL, "public");
    for request in [
        request().bearer(&token),
        request().header("cookie", format!("session={token}")),
        request().header("x-access-token", &token),
    ] {
        let answer = stage.send(Protocol::Http1, request).await?;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "public"));
    }
    Ok(())
}

/// With `allow_on_headers_stop_iteration`, Envoy goes on with the head as soon as a body comes, unless the filter holds it. If
/// the path were still the client's then, the token would be in it.
#[tokio::test]
async fn r010_r011_a_body_does_not_carry_a_token_past_the_filter() -> Result<()> {
    let stage = stage().await;
    let body = vec![b'b'; 100_000];
    for protocol in PROTOCOLS {
        for listener in ["everywhere", "head-only"] {
            for place in [Place::Query, Place::Cookie, Place::Header] {
                let what = format!("{protocol:?} {listener} {place:?}");
                let (token, jwt) = stage.slowly_active("body")?;
                for occasion in OCCASIONS {
                    let request = place.post("/orders", &token, body.clone()).named(&what);
                    let answer = stage.envoy.client(listener).speaking(protocol).send(request).await?;
                    assert_eq!(answer.status, 200, "{what} {occasion}: {}", answer.text());
                    let seen = answer.json()?;
                    assert_eq!((&seen["body_length"], &seen["path"]), (&json!(100_000), &json!("/orders")));
                    assert_eq!(answer.forwarded_authorization(), [format!("Bearer {jwt}")], "{what}");
                }
                stage.assert_hidden(&token, &stage.api.received(&what));

                let refused = secrets::fresh_token("body-refused");
                stage.server.respond(&refused, Response::new(204, "", "").after(VERDICT));
                let request = place.post("/orders", &refused, body.clone()).named(&refused);
                let answer = stage.envoy.client(listener).speaking(protocol).send(request).await?;
                assert_eq!((answer.status, answer.header("cache-control")), (401, "no-store"), "{what}");
                assert_eq!(stage.api.received(&refused).len(), 0, "{what}");
            }
        }
    }
    Ok(())
}

/// If this failed, the API would see the token among the cookies, or lose cookies of its own. HTTP/2 clients send each in a
/// field of its own (RFC 9113 §8.2.3).
#[tokio::test]
async fn r011_a_token_in_a_cookie_is_stripped_and_other_cookies_stay() -> Result<()> {
    let stage = stage().await;
    for (protocol, before, after, seen) in [
        (Protocol::Http1, &[][..], &[][..], None),
        (Protocol::Http1, &["a=1; "], &["; b=2"], Some("a=1; b=2")),
        (Protocol::Http1, &["a=1;"], &[";b=\"2\""], Some("a=1; b=\"2\"")),
        (
            Protocol::Http1,
            &["session2=1; xsession=2; "],
            &["; Session=3"],
            Some("session2=1; xsession=2; Session=3"),
        ),
        (Protocol::Http2, &[], &[], None),
        (Protocol::Http2, &["a=1; "], &["; b=2"], Some("a=1; b=2")),
        (Protocol::Http2, &["a=1", ""], &["", "b=2", "c=3; d=4"], Some("a=1; b=2; c=3; d=4")),
    ] {
        let (token, jwt) = stage.slowly_active("cookie")?;
        let (last, first) = (before.last().unwrap_or(&""), after.first().unwrap_or(&""));
        let own = format!("{last}session={token}{first}");
        let fields = before.iter().rev().skip(1).rev().copied().chain([own.as_str()]);
        let fields: Vec<&str> = fields.chain(after.iter().skip(1).copied()).collect();
        for occasion in OCCASIONS {
            let name = format!("{token}-{occasion}").replace("opaque", "cookie");
            let request = fields
                .iter()
                .fold(Request::get("/orders").named(&name), |request, field| request.header("cookie", field));
            let answer = stage.send(protocol, request).await?;
            assert_eq!(answer.status, 200, "{protocol:?} {seen:?}: {}", answer.text());
            assert_eq!(answer.forwarded_authorization(), [format!("Bearer {jwt}")]);
            let received = stage.api.received(&name);
            let [head] = received.as_slice() else { bail!("{} requests arrived", received.len()) };
            let cookies: Vec<_> = head.get_all("cookie").iter().collect();
            assert_eq!(cookies, seen.into_iter().collect::<Vec<_>>(), "{protocol:?} {occasion}");
            stage.assert_hidden(&token, &received);
        }
        assert_eq!(stage.server.introspections(&token).len(), 1);
    }
    Ok(())
}

/// If this failed, the API would see the token in the field that it came in.
#[tokio::test]
async fn r011_a_token_in_another_field_is_stripped() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        let (token, jwt) = stage.slowly_active("field")?;
        for occasion in OCCASIONS {
            let name = format!("field-{protocol:?}-{occasion}");
            let request = Request::get("/orders").header("x-access-token", &token).named(&name);
            let answer = stage.send(protocol, request).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.forwarded_authorization(), [format!("Bearer {jwt}")]);
            let received = stage.api.received(&name);
            assert!(!received[0].contains_key("x-access-token"), "{name}");
            stage.assert_hidden(&token, &received);
        }
    }
    Ok(())
}

/// If this failed, whoever can add one token to a request of another would decide which of them counts (RFC 6750 §2).
#[tokio::test]
async fn r009_tokens_in_two_places_are_refused_and_go_nowhere() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        for one in Place::ALL {
            for other in Place::ALL {
                let (token, _) = stage.slowly_active("two")?;
                let (second, _) = stage.slowly_active("two")?;
                for second in [&second, &token] {
                    let name = format!("two-{protocol:?}-{one:?}-{other:?}");
                    let request = other.add(one.add(Request::get("/orders"), &token), second).named(&name);
                    let answer = stage.send(protocol, request).await?;
                    assert_eq!(answer.status, 400, "{name}: {}", answer.text());
                    assert_eq!(answer.json()?["error"], "invalid_request", "{name}");
                    assert_eq!(stage.api.received(&name).len(), 0, "{name}");
                    assert_eq!(stage.server.introspections(second).len(), 0, "{name}");
                }
            }
        }
    }
    Ok(())
}

/// If this failed, a token would count where the operator did not ask for it: in a URL that everybody logs, or in a cookie that
/// a page of another site can send.
#[tokio::test]
async fn r010_r011_places_that_are_not_configured_are_not_looked_at() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        for place in [Place::Query, Place::Cookie, Place::Header, Place::WebSocketProtocol] {
            let (token, _) = stage.slowly_active("nowhere")?;
            let name = format!("nowhere-{protocol:?}-{place:?}");
            let request = place.add(Request::get("/orders"), &token).named(&name);
            let answer = stage.envoy.client("nowhere").speaking(protocol).send(request).await?;
            assert_eq!(answer.status, 401, "{name}");
            assert!(!answer.header("www-authenticate").contains("error"), "{name}");
            assert_eq!(stage.api.received(&name).len(), 0, "{name}");
            assert_eq!(stage.server.introspections(&token).len(), 0, "{name}");
            assert!(!stage.envoy.log().contains(&token), "{name}");
        }
    }
    Ok(())
}

/// If this failed, a public service would collect tokens. It needs none, so nobody is asked about them.
#[tokio::test]
async fn r010_r011_r074_a_public_route_passes_on_no_token_from_anywhere() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        for place in Place::ALL {
            let (token, _) = stage.slowly_active("public")?;
            let name = format!("public-{protocol:?}-{place:?}");
            let request = place.add(Request::get("/public/a"), &token).header("cookie", "a=1").named(&name);
            let answer = stage.send(protocol, request).await?;
            assert_eq!((answer.status, &answer.json()?["path"]), (200, &json!("/public/a")), "{name}");
            assert_eq!(answer.forwarded_authorization().len(), 0, "{name}");
            let received = stage.api.received(&name);
            assert_eq!(received.len(), 1, "{name}");
            assert_eq!(received[0]["cookie"], "a=1", "{name}");
            stage.assert_hidden(&token, &received);
            assert_eq!(stage.server.introspections(&token).len(), 0, "{name}");
        }
    }
    Ok(())
}

/// Pages cannot set `Authorization` on a WebSocket. If the token were not taken off the list, the service would see it, and
/// could choose it as the protocol, which would send it back into the open.
#[tokio::test]
async fn r082_a_token_among_the_subprotocols_is_stripped_and_the_other_one_is_negotiated() -> Result<()> {
    let stage = stage().await;
    // Before 1.39, Envoy does not go on with a handshake whose head alone was held.
    let listeners = if envoy::version()? < (1, 39) {
        &["web-socket"][..]
    } else {
        &["web-socket", "web-socket-head-only"]
    };
    for listener in listeners {
        for fields in [&["chat, {}"][..], &["{},chat"], &["chat", "{}"]] {
            let (token, jwt) = stage.slowly_active("web-socket")?;
            for occasion in OCCASIONS {
                let what = format!("{listener} {fields:?} {occasion}");
                let fields = fields.iter().map(|field| {
                    let value = field.replace("{}", &format!("access_token.{token}"));
                    ("sec-websocket-protocol", value)
                });
                let handshake = stage.handshake(listener, &what, "/orders", fields).await?;
                let Ok((mut socket, chosen)) = handshake else { bail!("{what}: the handshake was refused") };
                assert_eq!(chosen.as_deref(), Some(CHAT), "{what}");
                socket.send(Message::text("hello")).await?;
                let echoed = soon("an echo", socket.next()).await?.context("the service hung up")??;
                assert_eq!(echoed, Message::text("hello"), "{what}");
                let received = stage.echo.received(&what);
                let [head] = received.as_slice() else { bail!("{what}: {} arrived", received.len()) };
                let offered: Vec<_> = head.get_all("sec-websocket-protocol").iter().collect();
                assert_eq!(offered, [CHAT], "{what}");
                assert_eq!(head["authorization"], format!("Bearer {jwt}"), "{what}");
                stage.assert_hidden(&token, &received);
            }
            assert_eq!(stage.server.introspections(&token).len(), 1);
        }
    }
    Ok(())
}

/// A list may be spread over several fields (RFC 9110 §5.3). If only the first were looked at, the token would stay in another.
#[tokio::test]
async fn r082_a_token_is_stripped_from_whichever_field_of_the_list_it_is_in() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        for (number, (fields, seen)) in [
            (&["{}"][..], &[][..]),
            (&["{}", "chat"], &["chat"]),
            (&["chat", "{}"], &["chat"]),
            (&["chat , {}", "v2.chat,v1"], &["chat, v2.chat, v1"]),
        ]
        .into_iter()
        .enumerate()
        {
            let (token, _) = stage.slowly_active("list")?;
            let name = format!("list-{protocol:?}-{number}");
            let request = fields.iter().fold(Request::get("/orders").named(&name), |request, field| {
                let value = field.replace("{}", &format!("access_token.{token}"));
                request.header("sec-websocket-protocol", value)
            });
            assert_eq!(stage.send(protocol, request).await?.status, 200, "{name}");
            let received = stage.api.received(&name);
            let offered: Vec<_> = received[0].get_all("sec-websocket-protocol").iter().collect();
            assert_eq!(offered, seen, "{name}");
            stage.assert_hidden(&token, &received);
        }
    }
    Ok(())
}

/// If this failed, WebSockets of pages that put their token into the URL would not work, or show it to the service.
#[tokio::test]
async fn r010_r082_a_token_in_the_url_of_a_web_socket_is_stripped() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.slowly_active("web-socket-query")?;
    let handshake =
        stage.handshake("web-socket", "", &format!("/orders?access_token={token}&room=7"), []).await?;
    let Ok((mut socket, _)) = handshake else { bail!("the handshake was refused") };
    socket.send(Message::text("hello")).await?;
    assert_eq!(
        soon("an echo", socket.next()).await?.context("the service hung up")??,
        Message::text("hello")
    );
    let received = stage.echo.received("/orders?room=7");
    assert_eq!(received.len(), 1);
    stage.assert_hidden(&token, &received);
    Ok(())
}

/// If this failed, subprotocols would be touched that look like a token, although nobody has opted in; or a token that counts
/// for nothing would open a WebSocket.
#[tokio::test]
async fn r082_without_opting_in_a_token_among_the_subprotocols_is_none() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.slowly_active("no-opt-in")?;
    let offered = ("sec-websocket-protocol", format!("chat, access_token.{token}"));
    let refused = stage.handshake("web-socket-nowhere", "no-opt-in", "/orders", [offered]).await?.err();
    assert_eq!((refused, stage.echo.received("no-opt-in").len()), (Some(401), 0));
    assert_eq!(stage.server.introspections(&token).len(), 0);

    let offered = ("sec-websocket-protocol", "chat, access_token.not-a-token".to_owned());
    let bearer = ("authorization", format!("Bearer {token}"));
    let handshake = stage.handshake("web-socket-nowhere", "untouched", "/orders", [offered, bearer]).await?;
    assert!(handshake.is_ok(), "{:?}", handshake.err());
    let received = stage.echo.received("untouched");
    assert_eq!(received[0]["sec-websocket-protocol"], "chat, access_token.not-a-token");
    stage.assert_hidden(&token, &received);
    Ok(())
}

/// If this failed, a token that is not valid would open a WebSocket, by whatever way it comes.
#[tokio::test]
async fn r082_a_handshake_whose_token_is_not_active_or_not_alone_is_refused() -> Result<()> {
    let stage = stage().await;
    let (valid, _) = stage.slowly_active("not-alone")?;
    let unknown = secrets::fresh_token("unknown");
    let offered = |token: &str| ("sec-websocket-protocol", format!("chat, access_token.{token}"));
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    for (what, fields, status) in [
        ("an unknown token", vec![offered(&unknown)], 401),
        ("an empty token", vec![offered("")], 400),
        ("two of them", vec![offered(&valid), offered(&valid)], 400),
        ("and one in Authorization", vec![offered(&valid), bearer(&valid)], 400),
    ] {
        let refused = stage.handshake("web-socket", "r082-refused", "/orders", fields).await?.err();
        assert_eq!(refused, Some(status), "{what}");
    }
    assert_eq!(stage.echo.received("r082-refused").len(), 0);
    assert_eq!(stage.server.introspections(&valid).len(), 0);
    Ok(())
}

/// What an API asks of caches is more than who may share: one that has to be asked each time would be used without, if `private`
/// took the place of what it said.
#[tokio::test]
async fn r010_a_private_answer_keeps_the_other_directives_of_the_api() -> Result<()> {
    let stage = stage().await;
    for directive in ["no-cache", "must-revalidate", "no-transform"] {
        let (token, _) = stage.slowly_active("directives")?;
        let request = Request::get("/orders").parameter("access_token", &token);
        let request = request.header(ANSWER_CACHE_CONTROL, format!("max-age=60, {directive}"));
        let answer = stage.send(Protocol::Http1, request).await?;
        let found = answer.header("cache-control");
        assert!(found.contains("private") && found.contains(directive), "{directive}: {found}");
    }
    Ok(())
}

/// A field may hold bytes that are not UTF-8 (RFC 9110 §5.5). If those beside a token were changed, a service would not know
/// its own cookies any more.
#[tokio::test]
async fn r011_odd_bytes_beside_a_token_stay_as_they_are() -> Result<()> {
    let stage = stage().await;
    for protocol in PROTOCOLS {
        let (token, _) = stage.slowly_active("odd")?;
        let name = format!("odd-{protocol:?}");
        let cookie = [&b"name=Caf\xe9; session="[..], token.as_bytes(), b"; b=\x80"].concat();
        let request = Request::get("/orders").header("cookie", cookie).named(&name);
        assert_eq!(stage.send(protocol, request).await?.status, 200, "{name}");
        let received = stage.api.received(&name);
        assert_eq!(received[0]["cookie"].as_bytes(), b"name=Caf\xe9; b=\x80", "{name}");
    }
    Ok(())
}

/// If requests that need the same answer did not share the question, a page that loads twenty things at once would ask twenty
/// times.
#[tokio::test]
async fn r023_requests_share_an_introspection_wherever_their_token_is() -> Result<()> {
    let stage = stage().await;
    for place in [Place::Query, Place::Cookie, Place::Header] {
        let (token, _) = stage.slowly_active("together")?;
        let client = stage.envoy.client("together");
        let calls = (0..20).map(|_| client.send(place.add(Request::get("/orders"), &token)));
        for answer in join_all(calls).await {
            assert_eq!(answer?.status, 200, "{place:?}");
        }
        assert_eq!(stage.server.introspections(&token).len(), 1, "{place:?}");
    }
    Ok(())
}

impl Stage {
    /// A token that the server needs some time to find active, so that a first request waits; and its JWT.
    fn slowly_active(&self, meaning: &str) -> Result<(String, String)> {
        let (token, jwt) = (secrets::fresh_token(meaning), jwt::valid());
        self.server.respond(&token, Response::jwt(&jwt).after(VERDICT));
        Ok((token, jwt))
    }

    async fn send(&self, protocol: Protocol, request: Request) -> Result<Answer> {
        self.gateway().speaking(protocol).send(request).await
    }

    fn gateway(&self) -> Client {
        self.envoy.client("everywhere")
    }

    /// If this failed, the token would be in a log, or in what a service received.
    fn assert_hidden(&self, token: &str, received: &[HeaderMap]) {
        let shows = |value: &[u8]| value.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!received.is_empty(), "nothing arrived");
        for head in received {
            assert!(!head.values().any(|value| shows(value.as_bytes())), "the token arrived");
        }
        assert!(!self.envoy.log().contains(token), "the token is in the log");
    }

    /// The WebSocket that a handshake with these fields leads to and the subprotocol that was chosen, or the status code of
    /// the refusal.
    async fn handshake(
        &self,
        listener: &str,
        name: &str,
        path: &str,
        fields: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Result<(WebSocketStream<TcpStream>, Option<String>), u16>> {
        let mut request = format!("ws://api.example.com{path}").into_client_request()?;
        if !name.is_empty() {
            request.headers_mut().insert("x-request-name", name.parse()?);
        }
        for (field, value) in fields {
            request.headers_mut().append(field, value.parse()?);
        }
        let stream = TcpStream::connect(("127.0.0.1", self.envoy.client(listener).port())).await?;
        let handshake = pin!(tokio_tungstenite::client_async(request, stream));
        match soon("the handshake", handshake).await? {
            Ok((socket, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol");
                let chosen = chosen.map(|value| Ok::<_, anyhow::Error>(value.to_str()?.to_owned()));
                Ok(Ok((socket, chosen.transpose()?)))
            }
            Err(tungstenite::Error::Http(response)) => Ok(Err(response.status().as_u16())),
            Err(other) => Err(other.into()),
        }
    }
}

/// Where a client puts its token.
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

    fn add(self, request: Request, token: &str) -> Request {
        match self {
            Self::Authorization => request.bearer(token),
            Self::Query => request.parameter("access_token", token),
            Self::Cookie => request.header("cookie", format!("session={token}")),
            Self::Header => request.header("x-access-token", token),
            Self::WebSocketProtocol => {
                request.header("sec-websocket-protocol", format!("access_token.{token}"))
            }
        }
    }

    fn post(self, path: &str, token: &str, body: Vec<u8>) -> Request {
        self.add(Request::post(path, body), token)
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// The first request with a token waits for the server, the second finds the answer in the cache.
const OCCASIONS: [&str; 2] = ["cold", "cached"];

/// How long the scripted server thinks.
const VERDICT: Duration = Duration::from_millis(100);
