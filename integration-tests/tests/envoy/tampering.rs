//! What a client or another filter could change in a request after its rule was selected, in a real Envoy: fields that override its path,
//! nominations in `Connection`, trailers, another route. The service behind it records what arrives, byte by byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use integration_tests::client::Request;
use integration_tests::envoy::Listener;
use integration_tests::jwt;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::{Value, json};

/// One Envoy in front of the service, which replaces the world's API.
struct Tampering {
    world: World,
    service: Service,
}

shared!(tampering: Tampering = start);

async fn start() -> Result<Tampering> {
    let service = Service::start()?;
    let web_socket = Listener { upgrades_to_web_socket: true, ..Listener::default() };
    let trailers = Listener { upstream: "with-trailers", ..Listener::default() };
    let mut world = World::scripted("tampering")?
        .configuration(json!({
            "token_sources": {"cookie": "session", "header": "x-access-token"},
            "claim_to_headers": [{"header": "x-user-id", "pointer": "/sub"}],
            "cors": {"allow_origins": ["https://app.example.com"]},
            "rules": [
                {"path": "/health", "access": "public"},
                {"path": "/orders", "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["DELETE"], "scopes": ["admin"]},
            ],
        }))
        .envoy(|envoy| {
            let ports = [service.port];
            envoy.cluster("api", &ports).cluster_with_trailers("with-trailers", &ports)
        })
        .listener_on("plain", json!({}), web_socket)
        .listener("keeping", json!({"override_headers": "keep"}))
        .listener_on("trailers", json!({}), trailers)
        .envoy(|envoy| envoy.relay("trailers-without-the-filter", trailers))
        .configuration(json!({"rules": [
            {"path": "/", "scopes": ["orders:read"]},
            {"path": "/", "routes": ["admin"], "scopes": ["admin"]},
        ]}));
    for (name, before) in [
        ("alone", vec![]),
        ("behind-lua", vec![lua()]),
        ("behind-lua-and-cors", vec![lua(), cors()]),
        ("behind-header-mutation", vec![header_mutation()]),
        ("behind-header-mutation-and-cors", vec![header_mutation(), cors()]),
        ("behind-cors-and-lua", vec![cors(), lua()]),
        ("behind-lua-and-selector", vec![lua(), selector()]),
        ("behind-header-mutation-and-selector", vec![header_mutation(), selector()]),
    ] {
        world = world.listener(name, json!({})).envoy(|envoy| envoy.preceded_by(&before).routed_by(&table()));
    }
    Ok(Tampering { world: world.start().await?, service })
}

/// A route table in which a header field selects the route `admin`.
fn table() -> [Value; 2] {
    let route = |name: &str, matches: Value| {
        json!({
            "name": name,
            "match": matches,
            "route": {"cluster": "api"},
            "request_headers_to_add": [{"header": {"key": "x-route", "value": name}}],
        })
    };
    let golden = json!({"prefix": "/", "headers": [{"name": "x-tier", "string_match": {"exact": "gold"}}]});
    [route("admin", golden), route("rest", json!({"prefix": "/"}))]
}

fn lua() -> Value {
    let script = "function envoy_on_request(handle) handle:headers():replace('x-tier', 'gold') end";
    filter("lua", "lua.v3.Lua", json!({"default_source_code": {"inline_string": script}}))
}

/// The route selector of docs/hosts/envoy.md.
fn selector() -> Value {
    let script = "function envoy_on_request(handle) handle:clearRouteCache() handle:metadata() end";
    filter("route-selector", "lua.v3.Lua", json!({"default_source_code": {"inline_string": script}}))
}

fn header_mutation() -> Value {
    let header = json!({"header": {"key": "x-tier", "value": "gold"}});
    let mutations = json!({"request_mutations": [{"append": header}]});
    filter("header-mutation", "header_mutation.v3.HeaderMutation", json!({"mutations": mutations}))
}

fn cors() -> Value {
    filter("cors", "cors.v3.Cors", json!({}))
}

fn filter(name: &str, type_name: &str, mut configuration: Value) -> Value {
    configuration["@type"] = json!(format!("type.googleapis.com/envoy.extensions.filters.http.{type_name}"));
    json!({"name": name, "typed_config": configuration})
}

/// If one of these fields reached a service that honors it, `GET /orders` would be admitted and another path or method be served. A public
/// path and a preflight need no token, so they would be open to all.
#[tokio::test]
async fn r131_a_field_that_overrides_the_target_reaches_no_service() -> Result<()> {
    let Tampering { world, service } = tampering().await;
    let token = active(world, "orders:read");
    let preflight = Request::new("OPTIONS", "/orders", Vec::new())
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "GET");
    for (listener, arrives) in [("plain", false), ("keeping", true)] {
        for (what, call) in [
            ("cold", world.orders(&token)),
            ("cached", world.orders(&token)),
            ("public", world.get("/health")),
            ("preflight", world.send(preflight.clone())),
        ] {
            let name = format!("r131 {listener} {what}");
            let call = call.at(listener).named(&name);
            let outcome = OVERRIDES.iter().fold(call, |call, field| call.header(field, OVERRIDE)).await?;
            assert_eq!(outcome.status, 200, "{outcome}");
            let arrived = service.received(&name)?;
            assert_eq!(arrived.contains(OVERRIDE), arrives, "{name}: {arrived}");
        }
    }
    Ok(())
}

/// If a handshake could nominate fields of the gateway, the next hop would remove the JWT or the user's identity from the request.
#[tokio::test]
async fn r078_a_handshake_nominates_no_field_of_the_gateway() -> Result<()> {
    let Tampering { world, service } = tampering().await;
    let token = active(world, "orders:read");
    for (what, connection) in [
        ("nominating", "Upgrade, authorization, x-user-id"),
        ("nominating first", "x-user-id,upgrade"),
        ("kept", "keep-alive, Upgrade"),
        ("usual", "Upgrade"),
    ] {
        let name = format!("r078 {what}");
        let handshake = format!(
            "GET /orders HTTP/1.1\r\nhost: a\r\nx-request-name: {name}\r\nauthorization: Bearer {token}\r\n\
            connection: {connection}\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = world.client().send_raw(handshake.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 101"), "{name}: {answer}");
        let arrived = service.received(&name)?.to_lowercase();
        let fields: Vec<&str> = arrived.lines().filter(|line| line.starts_with("connection:")).collect();
        assert_eq!(fields, ["connection: upgrade"], "{name}: {arrived}");
        assert!(arrived.contains("\nx-user-id: alice\r"), "{name}: {arrived}");
    }
    Ok(())
}

/// Trailers arrive long after the decision. If a service merged them into its fields, a client could claim an identity or permissions
/// there.
#[tokio::test]
async fn r132_no_trailer_looks_like_a_field_of_the_gateway() -> Result<()> {
    let Tampering { world, service } = tampering().await;
    let credentials = format!("authorization: Bearer {}\r\n", active(world, "orders:read"));
    for (what, listener, path, credentials) in [
        ("relay", "trailers-without-the-filter", "/orders", ""),
        ("cold", "trailers", "/orders", credentials.as_str()),
        ("cached", "trailers", "/orders", &credentials),
        ("public", "trailers", "/health", ""),
    ] {
        let name = format!("r132 {what}");
        let forged =
            ["Authorization", "x-user-id", "X_User_Id", "x-original-url", "cookie", "x-access-token"];
        let trailers: String = forged.iter().map(|field| format!("{field}: forged\r\n")).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nx-request-name: {name}\r\n{credentials}connection: close\r\n\
            transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-checksum: kept\r\n{trailers}\r\n"
        );
        let answer = world.envoy.client(listener).send_raw(request.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        let arrived = service.received(&name)?;
        assert!(arrived.contains("x-checksum: kept"), "{name}: no trailers arrive: {arrived}");
        assert_eq!(arrived.contains("forged"), what == "relay", "{name}: {arrived}");
    }
    Ok(())
}

/// If this failed, the page would promise what Envoy does not guarantee, or would demand a filter that is no longer needed. Where the route
/// is stale, a token without the scope of the route is admitted.
#[tokio::test]
async fn r133_a_rule_for_a_route_holds_if_the_filter_right_before_selects_the_route() -> Result<()> {
    let Tampering { world, service } = tampering().await;
    let (token, admin) = (active(world, "orders:read"), active(world, "orders:read admin"));
    for (listener, is_stale) in [
        ("behind-lua", true),
        ("behind-header-mutation", true),
        ("behind-cors-and-lua", true),
        // Header mutation keeps the cached route, so that the cors filter has no reason to select one. This filter then clears it.
        ("behind-header-mutation-and-cors", true),
        ("behind-lua-and-cors", false),
        ("behind-lua-and-selector", false),
        ("behind-header-mutation-and-selector", false),
    ] {
        for what in ["cold", "cached"] {
            let name = format!("r133 {listener} {what}");
            let outcome = world.orders(&token).at(listener).named(&name).await?;
            assert_eq!(outcome.status, if is_stale { 200 } else { 403 }, "{outcome}");
            if is_stale {
                let arrived = service.received(&name)?;
                assert!(arrived.contains("x-route: admin"), "{name}: {arrived}");
            }
            let outcome = world.orders(&admin).at(listener).await?;
            assert_eq!(outcome.status, 200, "{outcome}");
        }
    }
    for (tier, status) in [("gold", 403), ("silver", 200)] {
        let outcome = world.orders(&token).at("alone").header("x-tier", tier).await?;
        assert_eq!(outcome.status, status, "{outcome}");
    }
    Ok(())
}

/// A token of alice with this scope.
fn active(world: &World, scope: &str) -> String {
    let mut claims = jwt::valid_claims();
    claims["scope"] = json!(scope);
    world.answered(Response::jwt(&jwt::with_claims(&claims)).header("cache-control", "max-age=60"))
}

/// A service that records whatever arrives, and accepts every handshake.
#[derive(Clone)]
struct Service {
    port: u16,
    received: Arc<Mutex<HashMap<String, String>>>,
}

impl Service {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let service = Self { port: listener.local_addr()?.port(), received: Arc::default() };
        let own = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = own.clone();
                std::thread::spawn(move || service.serve(stream));
            }
        });
        Ok(service)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !is_complete(&text) {
            match stream.read(&mut piece)? {
                0 => break,
                size => text.push_str(&String::from_utf8_lossy(&piece[..size])),
            }
        }
        let is_handshake = text.to_lowercase().contains("\r\nupgrade: websocket\r\n");
        let name = text.lines().find_map(|line| line.strip_prefix("x-request-name: ")).unwrap_or_default();
        if let Ok(mut received) = self.received.lock() {
            received.insert(name.to_owned(), text.clone());
        }
        let answer: &[u8] = match is_handshake {
            true => b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        };
        stream.write_all(answer)
    }

    /// Returns the last request with this name as it arrived: its headers and, if it is chunked, its body and trailers.
    fn received(&self, name: &str) -> Result<String> {
        let received = self.received.lock().ok().and_then(|received| received.get(name).cloned());
        received.with_context(|| format!("{name}: nothing arrived"))
    }
}

/// Whether a request has arrived completely, including trailers. No body here has a length.
fn is_complete(text: &str) -> bool {
    match text.split_once("\r\n\r\n") {
        None => false,
        Some((head, rest)) if head.to_lowercase().contains("transfer-encoding: chunked") => {
            rest.contains("0\r\n") && rest.ends_with("\r\n\r\n")
        }
        Some(_) => true,
    }
}

const OVERRIDES: [&str; 7] = [
    "x-original-url",
    "X-Rewrite-URL",
    "x-http-method-override",
    "X-HTTP-Method",
    "x-method-override",
    "x_original_url",
    "X_HTTP_Method_Override",
];

const OVERRIDE: &str = "/orders/of-somebody-else";
