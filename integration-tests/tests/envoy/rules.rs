//! Which rule decides, in a real Envoy, according to the routes of its own table and to what rules allow in paths and methods. A field of
//! the forwarded request says which route it took.

use anyhow::Result;
use integration_tests::client::{Protocol, Request};
use integration_tests::secrets;
use integration_tests::shared;
use integration_tests::testkit::{Outcome, World};
use serde_json::{Value, json};

shared!(world: World = start);

async fn start() -> Result<World> {
    let below = |prefix: &str| json!({"prefix": prefix});
    let with = |field: &str| json!({"prefix": "/", "headers": [{"name": field, "present_match": true}]});
    let mut world = World::scripted("rules")?.configuration(json!({
        "token_sources": {"query_parameter": "access_token", "cookie": "session"},
        "claim_to_headers": [{"header": "x-plan", "pointer": "/plan"}],
    }));
    // In each table that begins with "open", the client's own request matches the first route, and the request as the filter changes it the
    // second.
    let open_by = |matches: Value| vec![route("open", matches, None), route("rest", below("/"), None)];
    let lenient_first = json!([
        {"path": "/", "routes": ["open"], "scopes_any_of": ["orders:read", "other"]},
        {"path": "/", "scopes": ["orders:read"]},
    ]);
    let parameter =
        json!({"prefix": "/", "query_parameters": [{"name": "access_token", "present_match": true}]});
    for (listener, rules, table) in [
        (
            "routed",
            json!([
                {"path": "/", "routes": ["orders", "returns"], "scopes": ["orders:read"]},
                {"path": "/", "routes": ["reporting"], "scopes": ["reports:read"]},
                {"path": "/orders/open", "access": "public"},
                {"path": "/open", "access": "public"},
                {"path": "/", "scopes": ["rest"]},
            ]),
            vec![
                route("open", below("/open"), None),
                route("orders", below("/orders"), None),
                route("returns", below("/returns"), None),
                route("reports", below("/reports"), Some("reporting")),
                route("open", below("/labelled"), Some("reporting")),
                route("unheard-of", below("/unheard-of"), Some("unheard-of")),
                route("", below("/"), None),
            ],
        ),
        (
            "by-credentials",
            json!([{"path": "/", "scopes": ["orders:read"]}]),
            vec![
                route("with", with("authorization"), None),
                route("with-cookie", with("cookie"), None),
                route("without", below("/"), None),
            ],
        ),
        (
            "by-claim",
            json!([{"path": "/health", "access": "public"}, {"path": "/", "scopes": ["orders:read"]}]),
            vec![route("with", with("x-plan"), None), route("without", below("/"), None)],
        ),
        ("open-by-claim", lenient_first.clone(), open_by(with("x-plan"))),
        ("open-by-authorization", lenient_first.clone(), open_by(with("authorization"))),
        ("open-by-cookie", lenient_first.clone(), open_by(with("cookie"))),
        ("open-by-query", lenient_first, open_by(parameter)),
    ] {
        world = world.listener(listener, json!({"rules": rules})).envoy(|envoy| envoy.routed_by(&table));
    }
    world
        .listener(
            "characters",
            json!({"rules": [
                {"path": "/", "scopes": ["any"]},
                {"path": "/projects/{id}", "allow_in_path": ["%2F"], "scopes": ["projects"]},
                {"path": "/files", "allow_in_path": ["%2F", ";", "%25"], "scopes": ["files"]},
                {"path": "/files/admin", "scopes": ["admin"]},
            ]}),
        )
        .envoy(|envoy| {
            let manager = json!({
                "normalize_path": true,
                "merge_slashes": true,
                "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            });
            let path = json!([{"header": {"key": "x-path", "value": "%REQ(:PATH)%"}}]);
            let table = [json!({"match": {"prefix": "/"}, "route": {"cluster": "api"}, "request_headers_to_add": path})];
            envoy.managed_by(&manager).routed_by(&table)
        })
        .listener(
            "methods",
            json!({"rules": [
                {"path": "/"},
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST", "DELETE"], "scopes": ["orders:write"]},
            ]}),
        )
        .start()
        .await
}

/// A route to the API, which adds its name to the requests that it forwards.
fn route(name: &str, matches: Value, label: Option<&str>) -> Value {
    let label = label.map_or_else(|| json!({}), |label| json!({"phantom-token": {"route": label}}));
    json!({
        "name": name,
        "match": matches,
        "metadata": {"filter_metadata": label},
        "route": {"cluster": "api"},
        "request_headers_to_add": [{"header": {"key": "x-route", "value": format!("by {name}")}}],
    })
}

#[track_caller]
fn came(outcome: Outcome, route: &str) {
    assert_eq!(outcome.is_served().received("x-route"), [route]);
}

/// If the filter saw another route than Envoy selects, a rule would not require what it should. A token in another place is removed from
/// the path before the rule is selected, which must not make a difference.
#[tokio::test]
async fn r084_the_route_that_envoy_selects_asks_for_more() -> Result<()> {
    let world = world().await;
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
        let token = world.active_with(json!({"scope": scope}));
        for request in [
            Request::get(path).bearer(&token),
            Request::get(path).parameter("access_token", &token),
            Request::get(path).header("cookie", format!("session={token}")),
        ] {
            world.send(request).with_token(&token).case(what).await?.has_status(status);
        }
    }
    Ok(())
}

/// If this failed, a route would open what no path does, or a public path would need a token although no rule requires one.
#[tokio::test]
async fn r001_r084_only_a_public_path_by_a_route_that_asks_nothing_needs_no_token() -> Result<()> {
    let world = world().await;
    for path in ["/open", "/open/x"] {
        world.get(path).await?.is_served();
    }
    for path in ["/orders", "/orders/open", "/reports", "/labelled", "/unheard-of", "/"] {
        world.get(path).await?.is_refused(401, "missing_credentials");
    }
    for path in ["/open/../orders", "/open/%2e%2e/orders", "//orders"] {
        world.get(path).await?.is_refused(400, "ambiguous_target");
    }
    Ok(())
}

/// After the filter changes fields, Envoy selects the route again. If a route table matches on such a field, requests are routed by what
/// the gateway has made of them, not by what the client sent.
#[tokio::test]
async fn r074_routes_that_match_on_credentials_see_those_of_the_gateway() -> Result<()> {
    let world = world().await;
    let token = world.active_with(json!({"scope": "orders:read"}));
    for (what, request) in [
        ("cold", Request::get("/orders").bearer(&token)),
        ("cached", Request::get("/orders").bearer(&token)),
        ("a cookie that is the token", Request::get("/orders").header("cookie", format!("session={token}"))),
        ("the query", Request::get("/orders").parameter("access_token", &token)),
    ] {
        came(world.send(request).at("by-credentials").with_token(&token).case(what).await?, "by with");
    }
    Ok(())
}

/// If the client's own field counted in the end, it would select a service by a forged claim.
#[tokio::test]
async fn r075_routes_that_match_on_a_claim_see_the_gateways_and_not_the_clients() -> Result<()> {
    let world = world().await;
    let golden = world.active_with(json!({"plan": "gold"}));
    let plain = world.active();
    for (what, path, token, expected) in [
        ("with the claim", "/orders", Some(&golden), "by with"),
        ("with the claim, cached", "/orders", Some(&golden), "by with"),
        ("without the claim", "/orders", Some(&plain), "by without"),
        ("without the claim, cached", "/orders", Some(&plain), "by without"),
        ("without a token", "/health", None, "by without"),
    ] {
        let call = world.get(path).at("by-claim").case(what);
        let call = token.into_iter().fold(call, |call, token| call.bearer(token));
        came(call.clone().await?, expected);
        came(call.header("x-plan", "platinum").case("feigned").await?, expected);
    }
    Ok(())
}

/// Over HTTP/2, Envoy forwards methods in any letter case, and services that ignore case handle `get` like GET. If this failed, a token
/// without the scope for GET would get what only that scope allows.
#[tokio::test]
async fn r126_a_method_in_lower_case_does_not_walk_around_the_rule_for_it() -> Result<()> {
    let world = world().await;
    let token = world.active_with(json!({"scope": "other"}));
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
        let request = Request::new(method, path, Vec::new());
        world.send(request).at("methods").over(Protocol::Http2).bearer(&token).await?.has_status(status);
    }
    Ok(())
}

/// Envoy resolves dot segments and merges slashes, and leaves everything else in a path to the filter. If the characters that a rule allows
/// were decoded on the way, services would look for another name; if Envoy read more in them than the filter does, another rule would be
/// bypassed.
#[tokio::test]
async fn r184_what_a_rule_allows_in_its_paths_arrives_as_it_came() -> Result<()> {
    let world = world().await;
    let token = world.active_with(json!({"scope": "projects files"}));
    for path in [
        "/projects/group%2Fproject",
        "/projects/group%2fproject?x=%2F..;",
        "/files/%2Fu%2Fibmuser",
        "/files/a;v=1/b",
        "/files/a%3Bb",
        "/files/100%25",
        "/files/a%252Fb",
    ] {
        let outcome = world.get(path).at("characters").bearer(&token).await?.is_served();
        assert_eq!(outcome.received("x-path"), [path]);
    }
    for path in [
        "/files/..%2Fx",
        "/files%2F..%2Fx",
        "/files/x%2F..%2F..%2Fadmin",
        "/files/%252e%252e%252Fx",
        "/files/admin%2Fx",
        "/files/admin;x",
        "/files/%2561dmin",
        "/files/a%23b",
        "/projects/a;b",
        "/x%2Fy",
    ] {
        world.get(path).at("characters").bearer(&token).case(path).await?.is_refused(400, "ambiguous_target");
    }
    // Envoy turns these into /projects and /, before any filter.
    for path in ["/files/..;/projects", "/files/%2e%2e/projects", "/files/../projects"] {
        let outcome = world.get(path).at("characters").bearer(&token).case(path).await?;
        assert!(matches!(outcome.status, 400 | 403), "{path}: {}", outcome.status);
    }
    Ok(())
}

/// The filter queries the route, and then changes fields, whereupon Envoy selects the route again. If a rule for a route could open
/// anything, a client would select its rule with a field that is removed later.
#[tokio::test]
async fn r084_no_field_that_leads_to_another_route_opens_what_the_path_does_not() -> Result<()> {
    let world = world().await;
    let made_up = secrets::fresh_token("made-up");
    let other = world.active_with(json!({"scope": "other"}));
    let orders = || world.get("/orders");
    for token in [&made_up, &other] {
        let status = if token == &other { 403 } else { 401 };
        orders().at("open-by-authorization").bearer(token).await?.has_status(status);
        let cookie = format!("session={token}");
        orders().at("open-by-cookie").header("cookie", cookie).with_token(token).await?.has_status(status);
        let request = Request::get("/orders").parameter("access_token", token);
        world.send(request).at("open-by-query").with_token(token).await?.has_status(status);
    }
    let golden = orders().at("open-by-claim").header("x-plan", "gold");
    golden.clone().await?.is_refused(401, "missing_credentials");
    golden.bearer(&other).await?.is_refused(403, "insufficient_scope");
    Ok(())
}
