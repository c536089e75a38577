//! What a client, or another filter, could make of a request after its rule was chosen, in a real Envoy: fields that override its
//! path, nominations in `Connection`, trailers, another route. The service behind it takes down what arrives, byte by byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use integration_tests::client::Request;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    service: Service,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, service) = (ScriptedServer::start()?, Service::start()?);
    let plain = configuration();
    let mut keeping = configuration();
    keeping["override_headers"] = json!("keep");
    let web_socket = Listener { upgrades_to_web_socket: true, ..Listener::default() };
    let trailers = Listener { upstream: "with-trailers", ..Listener::default() };
    let mut envoy = EnvoyBuilder::new("tampering", 1, service.port)
        .cluster("authorization-server", &[server.port()])
        .cluster_with_trailers("with-trailers", &[service.port])
        .listener("plain", &plain, web_socket)
        .listener("keeping", &keeping, Listener::default())
        .listener("trailers", &plain, trailers)
        .relay("trailers-without-the-filter", trailers)
        .listener("alone", &by_route(), Listener::default())
        .routed_by(&table());
    for (name, before) in [
        ("behind-lua", vec![lua()]),
        ("behind-lua-and-cors", vec![lua(), cors()]),
        ("behind-header-mutation", vec![header_mutation()]),
        ("behind-header-mutation-and-cors", vec![header_mutation(), cors()]),
        ("behind-cors-and-lua", vec![cors(), lua()]),
        ("behind-lua-and-selector", vec![lua(), selector()]),
        ("behind-header-mutation-and-selector", vec![header_mutation(), selector()]),
    ] {
        envoy =
            envoy.listener(name, &by_route(), Listener::default()).preceded_by(&before).routed_by(&table());
    }
    Ok(Stage { envoy: envoy.start().await?, server, service })
}

fn configuration() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
        },
        "credentials": {"cookie": "session", "header": "x-access-token"},
        "claim_headers": [{"header": "x-user-id", "pointer": "/sub"}],
        "cors": {"allow_origins": ["https://app.example.com"]},
        "log_level": "debug",
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["DELETE"], "scopes": ["admin"]},
        ],
    })
}

fn by_route() -> Value {
    let mut configuration = configuration();
    configuration["rules"] = json!([
        {"path": "/", "scopes": ["orders:read"]},
        {"path": "/", "routes": ["admin"], "scopes": ["admin"]},
    ]);
    configuration
}

/// A field leads to the route `admin`.
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

/// The filter of docs/hosts/envoy.md.
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

/// If one of these fields reached a service that honours it, `GET /orders` would be let in and another path or method be served.
/// A public path and a preflight need no token, so they would be open to everybody.
#[tokio::test]
async fn r131_a_field_that_overrides_the_target_reaches_no_service() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "orders:read"}))?;
    let preflight = || {
        Request::new("OPTIONS", "/orders", Vec::new())
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "GET")
    };
    for (listener, arrives) in [("plain", false), ("keeping", true)] {
        for (what, request) in [
            ("cold", Request::get("/orders").bearer(&token)),
            ("cached", Request::get("/orders").bearer(&token)),
            ("public", Request::get("/health")),
            ("preflight", preflight()),
        ] {
            let name = format!("r131 {listener} {what}");
            let mut request = request.named(&name);
            for field in OVERRIDES {
                request = request.header(field, OVERRIDE);
            }
            let answer = stage.envoy.client(listener).send(request).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let arrived = stage.service.received(&name)?;
            assert_eq!(arrived.contains(OVERRIDE), arrives, "{name}: {arrived}");
        }
    }
    Ok(())
}

/// If a handshake could nominate fields of the gateway, the next hop would take the JWT, or who the user is, off the request.
#[tokio::test]
async fn r078_a_handshake_nominates_no_field_of_the_gateway() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "orders:read"}))?;
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
        let answer = stage.envoy.client("plain").send_raw(handshake.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 101"), "{name}: {answer}");
        let arrived = stage.service.received(&name)?.to_lowercase();
        let fields: Vec<&str> = arrived.lines().filter(|line| line.starts_with("connection:")).collect();
        assert_eq!(fields, ["connection: upgrade"], "{name}: {arrived}");
        assert!(arrived.contains("\nx-user-id: alice\r"), "{name}: {arrived}");
    }
    Ok(())
}

/// Trailers come when the verdict has long been performed. If a service merged them into its fields, a client would say there who
/// it is, or what it is let in for.
#[tokio::test]
async fn r132_no_trailer_looks_like_a_field_of_the_gateway() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "orders:read"}))?;
    let credentials = format!("authorization: Bearer {token}\r\n");
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
        let answer = stage.envoy.client(listener).send_raw(request.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        let arrived = stage.service.received(&name)?;
        assert!(arrived.contains("x-checksum: kept"), "{name}: no trailers arrive: {arrived}");
        assert_eq!(arrived.contains("forged"), what == "relay", "{name}: {arrived}");
    }
    Ok(())
}

/// If this failed, the page would promise what Envoy does not keep, or would demand a filter that is not needed any more. Where the
/// route is stale, a token without the scope of the route is let in.
#[tokio::test]
async fn r133_a_rule_for_a_route_holds_if_the_filter_right_before_selects_the_route() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "orders:read"}))?;
    let admin = stage.active(json!({"scope": "orders:read admin"}))?;
    for (listener, is_stale) in [
        ("behind-lua", true),
        ("behind-header-mutation", true),
        ("behind-cors-and-lua", true),
        // Header mutation leaves the route as it is, so that the cors filter has no reason to select one. Ours then clears it.
        ("behind-header-mutation-and-cors", true),
        ("behind-lua-and-cors", false),
        ("behind-lua-and-selector", false),
        ("behind-header-mutation-and-selector", false),
    ] {
        for what in ["cold", "cached"] {
            let name = format!("r133 {listener} {what}");
            let request = |token: &str| Request::get("/orders").bearer(token).named(&name);
            let answer = stage.envoy.client(listener).send(request(&token)).await?;
            assert_eq!(answer.status, if is_stale { 200 } else { 403 }, "{name}: {}", answer.text());
            if is_stale {
                let arrived = stage.service.received(&name)?;
                assert!(arrived.contains("x-route: admin"), "{name}: {arrived}");
            }
            let answer = stage.envoy.client(listener).send(request(&admin)).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        }
    }
    for (tier, status) in [("gold", 403), ("silver", 200)] {
        let request = Request::get("/orders").bearer(&token).header("x-tier", tier).named("r133 alone");
        assert_eq!(stage.envoy.client("alone").send(request).await?.status, status, "{tier}");
    }
    Ok(())
}

impl Stage {
    /// A token of alice that the server finds active, with these claims.
    fn active(&self, claims: Value) -> Result<String> {
        let token = secrets::fresh_token("tampering");
        let mut all = jwt::valid_claims();
        all["sub"] = json!("alice");
        for (name, value) in claims.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let play = Response::jwt(&jwt::with_claims(&all)).header("cache-control", "max-age=60");
        self.server.respond(&token, play);
        Ok(token)
    }
}

/// A service that takes down whatever arrives, and agrees to every handshake.
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

    /// What arrived last as the request of this name: its head and, where it is chunked, its body and trailers.
    fn received(&self, name: &str) -> Result<String> {
        let received = self.received.lock().ok().and_then(|received| received.get(name).cloned());
        received.with_context(|| format!("{name}: nothing arrived"))
    }
}

/// Whether a request is there with its trailers. No body here has a length.
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
