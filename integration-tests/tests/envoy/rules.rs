//! Which rule decides, in a real Envoy: by the routes of its own table, by exact paths and by templates. What arrives says by
//! which route it came.

use anyhow::{Context, Result};
use futures::future::join_all;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Protocol, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (ScriptedServer::start()?, Api::start()?);
    let below = |prefix: &str| json!({"prefix": prefix});
    let with = |field: &str| json!({"prefix": "/", "headers": [{"name": field, "present_match": true}]});
    let routed = configuration(json!([
        {"path": "/", "routes": ["orders", "returns"], "scopes": ["orders:read"]},
        {"path": "/", "routes": ["reporting"], "scopes": ["reports:read"]},
        {"path": "/orders/open", "access": "public"},
        {"path": "/open", "access": "public"},
        {"path": "/", "scopes": ["rest"]},
    ]));
    let table = [
        route("open", below("/open"), None),
        route("orders", below("/orders"), None),
        route("returns", below("/returns"), None),
        route("reports", below("/reports"), Some("reporting")),
        route("open", below("/labelled"), Some("reporting")),
        route("unheard-of", below("/unheard-of"), Some("unheard-of")),
        route("", below("/"), None),
    ];
    let by_credentials = configuration(json!([{"path": "/", "scopes": ["orders:read"]}]));
    let by_credentials_table = [
        route("with", with("authorization"), None),
        route("with-cookie", with("cookie"), None),
        route("without", below("/"), None),
    ];
    let by_claim = configuration(json!([
        {"path": "/health", "access": "public"},
        {"path": "/", "scopes": ["orders:read"]},
    ]));
    let by_claim_table = [route("with", with("x-plan"), None), route("without", below("/"), None)];
    // In each of these tables, the client's own request leads to the first route, and what the filter makes of it to the second.
    let lenient_first = configuration(json!([
        {"path": "/", "routes": ["open"], "any_scopes": ["orders:read", "other"]},
        {"path": "/", "scopes": ["orders:read"]},
    ]));
    let parameter =
        json!({"prefix": "/", "query_parameters": [{"name": "access_token", "present_match": true}]});
    let open_by = |matches: Value| [route("open", matches, None), route("rest", below("/"), None)];
    let templates = configuration(json!([
        {"path": "/orders", "path_match": "exact", "scopes": ["list"]},
        {"path": "/orders/{id}", "scopes": ["one"]},
        {"path": "/orders/7", "path_match": "exact", "scopes": ["seven"]},
        {"path": "/orders/{id}/lines", "path_match": "prefix", "scopes": ["lines"]},
        {"path": "/orders/help", "access": "public"},
    ]));
    let methods = configuration(json!([
        {"path": "/"},
        {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
        {"path": "/orders", "methods": ["POST", "DELETE"], "scopes": ["orders:write"]},
        {"path": "/keys", "scopes": ["admin"]},
    ]));
    let envoy = EnvoyBuilder::new("rules", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .listener("routed", &routed, Listener::default())
        .routed_by(&table)
        .listener("by-credentials", &by_credentials, Listener::default())
        .routed_by(&by_credentials_table)
        .listener("by-claim", &by_claim, Listener::default())
        .routed_by(&by_claim_table)
        .listener("open-by-claim", &lenient_first, Listener::default())
        .routed_by(&open_by(with("x-plan")))
        .listener("open-by-authorization", &lenient_first, Listener::default())
        .routed_by(&open_by(with("authorization")))
        .listener("open-by-cookie", &lenient_first, Listener::default())
        .routed_by(&open_by(with("cookie")))
        .listener("open-by-query", &lenient_first, Listener::default())
        .routed_by(&open_by(parameter))
        .listener("templates", &templates, Listener::default())
        .listener("methods", &methods, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

fn configuration(rules: Value) -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
        },
        "credentials": {"query_parameter": "access_token", "cookie": "session"},
        "claim_headers": [{"header": "x-plan", "pointer": "/plan"}],
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "log_level": "debug",
        "rules": rules,
    })
}

/// A route to the API, which adds its name to what it forwards.
fn route(name: &str, matches: Value, label: Option<&str>) -> Value {
    let label = label.map_or_else(|| json!({}), |label| json!({"phantom-token": {"route": label}}));
    json!({
        "name": name,
        "match": matches,
        "metadata": {"filter_metadata": label},
        "route": {"cluster": "api"},
        "request_headers_to_add": [{"header": {"key": ROUTE, "value": format!("by {name}")}}],
    })
}

/// If the route were another than Envoy's, a rule would not ask what it is there to ask. A token that comes elsewhere is taken out of the
/// path before the rule is looked for, which must not make a difference.
#[tokio::test]
async fn r084_the_route_that_envoy_selects_asks_for_more() -> Result<()> {
    let stage = stage().await;
    for (what, path, scope, status) in [
        ("a public path", "/open/x", "", 200),
        ("by its name", "/orders/x", "orders:read rest", 200),
        ("by its name alone", "/orders/x", "orders:read", 403),
        ("by its name, with another route's scope", "/orders/x", "reports:read rest", 403),
        ("by its name, at a public path", "/orders/open", "rest", 403),
        ("by its name, at a public path, with the scope", "/orders/open", "orders:read", 200),
        ("by the second name of a rule", "/returns/x", "orders:read rest", 200),
        ("by its label", "/reports/x", "reports:read rest", 200),
        ("by its label, with another route's scope", "/reports/x", "orders:read rest", 403),
        ("by its label, whatever its name", "/labelled/x", "orders:read rest", 403),
        ("by its label, with the scope", "/labelled/x", "reports:read rest", 200),
        ("without a rule of its own", "/unheard-of/x", "orders:read reports:read", 403),
        ("without a rule of its own, with the scope", "/unheard-of/x", "rest", 200),
        ("without a name", "/x", "orders:read reports:read", 403),
        ("without a name, with the scope", "/x", "rest", 200),
    ] {
        let token = stage.active(json!({"scope": scope}))?;
        for (place, request) in [
            ("Authorization", Request::get(path).bearer(&token)),
            ("the query", Request::get(path).parameter("access_token", &token)),
            ("a cookie", Request::get(path).header("cookie", format!("session={token}"))),
        ] {
            let what = format!("{what}, {place}");
            let answer = stage.send("routed", request.named(&what)).await?;
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            assert_eq!(stage.api.received(&what).len(), usize::from(status == 200), "{what}");
        }
    }
    Ok(())
}

/// If this failed, a route would open what no path does, or a public path would need a token although nothing asks for one.
#[tokio::test]
async fn r001_r084_only_a_public_path_by_a_route_that_asks_nothing_needs_no_token() -> Result<()> {
    let stage = stage().await;
    for (path, status) in [
        ("/open", 200),
        ("/open/x", 200),
        ("/orders", 401),
        ("/orders/open", 401),
        ("/reports", 401),
        ("/labelled", 401),
        ("/unheard-of", 401),
        ("/", 401),
        ("/open/../orders", 400),
        ("/open/%2e%2e/orders", 400),
        ("//orders", 400),
    ] {
        let name = format!("without a token: {path}");
        let answer = stage.send("routed", Request::get(path).named(&name)).await?;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{path}");
    }
    Ok(())
}

/// Whatever the filter writes, Envoy selects the route anew. If a table matches on such a field, this is where requests go: by what
/// the gateway has made of them, not by what the client sent.
#[tokio::test]
async fn r074_routes_that_match_on_credentials_see_those_of_the_gateway() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "orders:read"}))?;
    for (what, request) in [
        ("cold", Request::get("/orders").bearer(&token)),
        ("cached", Request::get("/orders").bearer(&token)),
        ("a cookie that is the token", Request::get("/orders").header("cookie", format!("session={token}"))),
        ("the query", Request::get("/orders").parameter("access_token", &token)),
    ] {
        let answer = stage.send("by-credentials", request.named(what)).await?;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(stage.route_of(what)?, "by with", "{what}");
    }
    Ok(())
}

/// If the client's own field counted in the end, it would choose among services by a claim that nobody made.
#[tokio::test]
async fn r075_routes_that_match_on_a_claim_see_the_gateways_and_not_the_clients() -> Result<()> {
    let stage = stage().await;
    let golden = stage.active(json!({"plan": "gold"}))?;
    let plain = stage.active(json!({}))?;
    for (what, path, token, expected) in [
        ("with the claim", "/orders", Some(&golden), "by with"),
        ("with the claim, cached", "/orders", Some(&golden), "by with"),
        ("without the claim", "/orders", Some(&plain), "by without"),
        ("without the claim, cached", "/orders", Some(&plain), "by without"),
        ("without a token", "/health", None, "by without"),
    ] {
        for feigned in [false, true] {
            let name = format!("{what}, feigned: {feigned}");
            let mut request = Request::get(path).named(&name);
            if let Some(token) = token {
                request = request.bearer(token);
            }
            if feigned {
                request = request.header("x-plan", "platinum");
            }
            let answer = stage.send("by-claim", request).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(stage.route_of(&name)?, expected, "{name}");
        }
    }
    Ok(())
}

/// If this failed, a rule for one resource would be for those below it, or one for all of a kind for the one that has its own.
#[tokio::test]
async fn r084_exact_paths_and_templates_are_for_nothing_else() -> Result<()> {
    let stage = stage().await;
    for (path, scope) in [
        ("/orders", Some("list")),
        ("/orders/", Some("list")),
        ("/orders?id=7", Some("list")),
        ("/orders/8", Some("one")),
        ("/orders/8/", Some("one")),
        ("/orders/%38", Some("one")),
        ("/orders/a%20b", Some("one")),
        ("/orders/%7Bid%7D", Some("one")),
        ("/orders/7", Some("seven")),
        ("/orders/7/", Some("seven")),
        ("/orders/%37", Some("seven")),
        ("/%6frders/7?x=/orders/8", Some("seven")),
        ("/orders/7/lines", Some("lines")),
        ("/orders/8/lines/1/x", Some("lines")),
        ("/orders/7/x", None),
        ("/orders/8/linesx", None),
        ("/order", None),
        ("/", None),
    ] {
        let all = ["list", "one", "seven", "lines"];
        let others = all.into_iter().filter(|one| Some(*one) != scope).collect::<Vec<_>>().join(" ");
        for (granted, status) in
            [(scope.unwrap_or_default(), if scope.is_some() { 200 } else { 403 }), (&others, 403)]
        {
            let token = stage.active(json!({"scope": granted}))?;
            let name = format!("templates: {path} {granted}");
            let answer = stage.send("templates", Request::get(path).bearer(&token).named(&name)).await?;
            assert_eq!(answer.status, status, "{path}, {granted}: {}", answer.text());
            assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{path}, {granted}");
            if status == 200 {
                assert_eq!(answer.json()?["path"], path, "the path does not change on its way");
            }
        }
    }
    Ok(())
}

/// Envoy here passes paths on as they are. If one of these had a rule, it would be that of a path which the service behind may not
/// take it for.
#[tokio::test]
async fn r084_no_path_walks_around_an_exact_path_or_a_template() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "list one seven lines"}))?;
    let paths = [
        "/orders/7/../8",
        "/orders/8/../7",
        "/orders/8/%2e%2e/7",
        "/orders/8/%2E./7",
        "/orders/./7",
        "/orders/%2e/7",
        "/orders//7",
        "//orders/7",
        "/orders/7//",
        "/orders/8/lines/..",
        "/orders/help/../7",
        "/orders/help/%2e%2e/7",
        "/orders/help/..%2f7",
        "/orders/help%2f..%2f7",
        "/orders/8%2f..%2f7",
        "/orders/8;/../7",
        "/orders/7;x=1",
        "/orders/%37%3b",
        "/orders/8\\..\\7",
        "/orders/8%5c..%5c7",
        "/orders/%2537",
        "/orders/7%00",
        "/orders/7%20",
        "/orders/%",
        "/orders/..",
        "/ORDERS/7",
        "/Orders",
        "/orders/HELP",
        "/orders/Help/x",
        "/orders/8/LINES",
    ];
    let walks = paths.iter().flat_map(|path| [(*path, Some(token.as_str())), (*path, None)]);
    join_all(walks.map(async |(path, token)| {
        let credentials = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nx-request-name: walk\r\n{credentials}connection: close\r\n\r\n"
        );
        let answer = stage.envoy.client("templates").send_raw(request.as_bytes()).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }))
    .await;
    assert_eq!(stage.api.received("walk").len(), 0);
    Ok(())
}

/// Over HTTP/2, Envoy passes on methods in any letter case, and services that fold it serve `get` by the code of GET. If this failed, a
/// token without the scope for GET would get what only that scope allows.
#[tokio::test]
async fn r126_a_method_in_lower_case_does_not_walk_around_the_rule_for_it() -> Result<()> {
    let stage = stage().await;
    let client = stage.envoy.client("methods").speaking(Protocol::Http2);
    let token = stage.active(json!({"scope": "other"}))?;
    for (method, path, status) in [
        ("GET", "/orders", 403),
        ("get", "/orders", 400),
        ("Get", "/orders/7", 400),
        ("head", "/orders", 400),
        ("post", "/orders", 400),
        ("dELETE", "/orders", 400),
        ("patch", "/orders", 200),
        ("get", "/other", 200),
    ] {
        let name = format!("methods: {method} {path}");
        let request = Request::new(method, path, Vec::new()).bearer(&token).named(&name);
        let answer = client.send(request).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{name}");
    }
    Ok(())
}

/// Envoy passes escaped letters on as they are, and services that fold letter case as Unicode does read `/keys` in them. If this
/// failed, the rule for `/keys` would be one for those who spell it in ASCII.
#[tokio::test]
async fn r126_letters_that_fold_to_ascii_do_not_walk_around_a_rule() -> Result<()> {
    let stage = stage().await;
    let token = stage.active(json!({"scope": "other"}))?;
    for (path, status) in [
        ("/keys", 403),
        ("/%E2%84%AAeys", 400),
        ("/key%C5%BF/1", 400),
        ("/stra%C3%9Fe", 200),
        ("/k%C3%A9ys", 200),
    ] {
        let name = format!("folded: {path}");
        let answer = stage.send("methods", Request::get(path).bearer(&token).named(&name)).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{name}");
    }
    Ok(())
}

/// The filter asks for the route, and then writes fields, whereupon Envoy selects the route anew. If a rule for a route could open
/// anything, a client would choose its rule by a field that is taken off.
#[tokio::test]
async fn r084_no_field_that_leads_to_another_route_opens_what_the_path_does_not() -> Result<()> {
    let stage = stage().await;
    let made_up = secrets::fresh_token("made-up");
    let other = stage.active(json!({"scope": "other"}))?;
    for (listener, request) in [
        ("open-by-claim", Request::get("/orders").header("x-plan", "gold")),
        ("open-by-claim", Request::get("/orders").header("x-plan", "gold").bearer(&other)),
        ("open-by-authorization", Request::get("/orders").bearer(&made_up)),
        ("open-by-authorization", Request::get("/orders").bearer(&other)),
        ("open-by-cookie", Request::get("/orders").header("cookie", format!("session={made_up}"))),
        ("open-by-cookie", Request::get("/orders").header("cookie", format!("session={other}"))),
        ("open-by-query", Request::get("/orders").parameter("access_token", &made_up)),
        ("open-by-query", Request::get("/orders").parameter("access_token", &other)),
    ] {
        let answer = stage.send(listener, request.clone().named(listener)).await?;
        assert!(matches!(answer.status, 401 | 403), "{listener} {request}: {}", answer.status);
        assert_eq!(stage.api.received(listener).len(), 0, "{listener} {request}");
    }
    Ok(())
}

impl Stage {
    /// A token that the server finds active, with these claims.
    fn active(&self, claims: Value) -> Result<String> {
        let token = secrets::fresh_token("rules");
        let mut all = jwt::valid_claims();
        for (name, value) in claims.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        self.server.respond(&token, Response::jwt(&jwt::with_claims(&all)));
        Ok(token)
    }

    async fn send(&self, listener: &str, request: Request) -> Result<Answer> {
        self.envoy.client(listener).send(request).await
    }

    /// The route by which the request of this name arrived.
    fn route_of(&self, name: &str) -> Result<String> {
        let received = self.api.received(name);
        let head = received.first().with_context(|| format!("{name}: nothing arrived"))?;
        Ok(head.get(ROUTE).context("it came by no route")?.to_str()?.to_owned())
    }
}

/// The field in which a route adds its name.
const ROUTE: &str = "x-route";
