//! The main job, in a real Envoy with a certified authorization server: opaque token in, JWT out.

use std::time::Duration;

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::client::{Answer, Client, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with two workers, one authorization server and one API for all tests of this file.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("real_server")?, Api::start()?);
    let mut short = configuration(&server);
    short["cache"] = json!({"no_store_ttl": "1s"});
    short["resource_metadata"] =
        json!({"resource": "https://orders.example.com", "authorization_servers": [server.issuer()]});
    short["claim_headers"] = json!([{"header": "x-client", "pointer": "/client_id"}, {"header": "x-absent", "pointer": "/absent"}]);
    short["cors"] = json!({"allow_origins": ["https://app.example.com"]});
    let mut honouring = configuration(&server);
    honouring["cache"] = json!({});
    let mut other_audience = configuration(&server);
    other_audience["token"]["audience"] = json!(["payments-api"]);
    let mut wrong_secret = configuration(&server);
    wrong_secret["introspection"]["client_secret"] = json!(secrets::noted("not-the-gateway's-secret".into()));
    let mut post = configuration(&server);
    post["introspection"]["auth_method"] = json!("client_secret_post");
    post["introspection"]["client_id"] = json!("gateway-post");
    let envoy = EnvoyBuilder::new("real_server", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("gateway", &configuration(&server), Listener::default())
        .listener("short", &short, Listener::default())
        .listener("honouring", &honouring, Listener::default())
        .listener("other-audience", &other_audience, Listener::default())
        .listener("post", &post, Listener::default())
        .listener("wrong-secret", &wrong_secret, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
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
        "cache": {"no_store_ttl": "1m"},
        "realm": "orders",
        "log_level": "debug",
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["POST"], "scopes": ["orders:read", "orders:write"]},
            {"path": "/profile"},
            {"path": "/app", "claims": [{"pointer": "/client_id", "one_of": ["app"]}]},
            {"path": "/other-app", "claims": [{"pointer": "/client_id", "one_of": ["other"]}]},
            {"path": "/payments", "acr_values": ["mfa"], "max_age": "5m"},
        ],
    })
}

impl Stage {
    fn gateway(&self) -> Client {
        self.envoy.client("gateway")
    }

    /// Calls `/orders` with a token.
    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token)).await
    }
}

/// If this failed, the service would see the opaque token, or a JWT that is not the authorization server's.
#[tokio::test]
async fn r074_the_api_receives_the_jwt_of_the_opaque_token_and_nothing_else() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let answer = stage.gateway().send(Request::get("/orders/7?q=1").bearer(&token)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = answer.forwarded_authorization();
    assert_eq!(received.len(), 1, "{received:?}");
    let claims = authorization_server::claims(received[0].strip_prefix("Bearer ").expect("the scheme"))?;
    assert_eq!(claims["iss"], stage.server.issuer());
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(claims["scope"], "orders:read");
    assert_eq!(claims["client_id"], "app");
    assert!(!answer.text().contains(&token), "the opaque token reached the API");
    Ok(())
}

/// If this failed, every request would cost a call to the authorization server.
#[tokio::test]
async fn r050_all_workers_share_one_introspection() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for _ in 0..40 {
        // Every request has a connection of its own, so both workers get some.
        assert_eq!(stage.orders("gateway", &token).await?.status, 200);
    }
    assert_eq!(stage.server.introspections(&token).await?, 1);
    assert!(stage.envoy.statistic("wasmcustom.phantom_token_cache_hit_local").await? > 0);
    Ok(())
}

/// If this failed, requests that come together would stampede the authorization server.
#[tokio::test]
async fn r023_requests_that_come_together_cost_one_introspection_per_worker() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let calls = (0..60).map(|_| stage.orders("gateway", &token));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer?.status, 200);
    }
    let introspections = stage.server.introspections(&token).await?;
    assert!((1..=2).contains(&introspections), "{introspections} introspections on 2 workers");
    Ok(())
}

/// If this failed, a client without credentials would reach the API, or not learn how to authenticate.
#[tokio::test]
async fn r001_a_request_without_a_token_is_challenged_and_goes_nowhere() -> Result<()> {
    let stage = stage().await;
    let answer = stage.gateway().send(Request::get("/orders").named("r001")).await?;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="orders""#);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(stage.api.received("r001").len(), 0);
    Ok(())
}

/// If this failed, any string would do as a token.
#[tokio::test]
async fn r025_a_token_that_the_server_does_not_know_is_refused() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("unknown");
    let answer = stage.gateway().send(Request::get("/orders").bearer(&token).named("r025")).await?;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#), "{:?}", answer.headers);
    assert_eq!(answer.json()?["error"], "invalid_token");
    assert!(!answer.text().contains(&token));
    assert_eq!(stage.api.received("r025").len(), 0);
    Ok(())
}

/// oidc-provider answers 400 `unsupported_token_type` for what looks like a JWT. If this failed, such a token would look
/// like a failure of the authorization server.
#[tokio::test]
async fn r029_a_token_that_the_server_does_not_introspect_is_refused_as_invalid() -> Result<()> {
    let stage = stage().await;
    let answer = stage.orders("gateway", &jwt::valid()).await?;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#), "{:?}", answer.headers);
    Ok(())
}

/// If this failed, a token would open more than it was issued for; the second request is a cache hit (R53).
#[tokio::test]
async fn r035_a_missing_scope_is_forbidden_on_every_route_that_requires_it() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    assert_eq!(stage.orders("gateway", &token).await?.status, 200);
    let answer = stage.gateway().send(Request::post("/orders", "{}").bearer(&token).named("r035")).await?;
    assert_eq!(answer.status, 403);
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="orders:read orders:write""#), "{challenge}");
    assert_eq!(stage.api.received("r035").len(), 0);
    assert_eq!(stage.server.introspections(&token).await?, 1);
    Ok(())
}

/// If this failed, a revoked token would work for longer than the operator configured.
#[tokio::test]
async fn r055_a_revoked_token_works_for_one_time_to_live_at_most() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    assert_eq!(stage.orders("short", &token).await?.status, 200);
    stage.server.revoke(&token).await?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(stage.orders("short", &token).await?.status, 401);
    Ok(())
}

/// oidc-provider says `no-store`. If this failed, what must not be stored would be, without the operator's word.
#[tokio::test]
async fn r051_no_store_is_honoured_unless_it_is_overridden() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for _ in 0..3 {
        assert_eq!(stage.orders("honouring", &token).await?.status, 200);
    }
    assert_eq!(stage.server.introspections(&token).await?, 3);
    stage.server.revoke(&token).await?;
    assert_eq!(stage.orders("honouring", &token).await?.status, 401);
    Ok(())
}

/// If this failed, a token for another API would open this one; the two configurations share the VM (R52).
#[tokio::test]
async fn r034_a_token_for_another_audience_is_refused() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    assert_eq!(stage.orders("gateway", &token).await?.status, 200);
    assert_eq!(stage.orders("other-audience", &token).await?.status, 401);
    assert_eq!(stage.orders("gateway", &token).await?.status, 200);
    Ok(())
}

/// If this failed, a wrong secret in the gateway would tell every client that its token is bad.
#[tokio::test]
async fn r028_wrong_credentials_of_the_gateway_are_not_the_clients_fault() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let answer = stage.orders("wrong-secret", &token).await?;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("www-authenticate"), "");
    let counted = stage.envoy.statistic("wasmcustom.phantom_token_introspection_credentials_refused").await?;
    assert!(counted > 0);
    assert!(stage.envoy.log().contains("refuses the credentials of the gateway"));
    Ok(())
}

/// oidc-provider holds every client to the one method that it is registered for.
#[tokio::test]
async fn r019_the_gateway_authenticates_by_the_method_that_is_configured() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    assert_eq!(stage.orders("post", &token).await?.status, 200);
    assert_eq!(stage.server.introspections(&token).await?, 1);
    Ok(())
}

/// A client that knows only the API finds its way from the challenge to the authorization server, as MCP clients do.
#[tokio::test]
async fn r102_r103_a_challenge_leads_to_the_authorization_server() -> Result<()> {
    let stage = stage().await;
    let client = stage.envoy.client("short");
    let challenge = client.send(Request::get("/orders")).await?.header("www-authenticate").to_owned();
    let url = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split_once('"'));
    let path = url
        .and_then(|(url, _)| url.strip_prefix("https://orders.example.com"))
        .expect("a URL of the resource");
    let document = client.send(Request::get(path).named("metadata")).await?;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    assert_eq!(document.header("access-control-allow-origin"), "*");
    assert_eq!(document.json()?["authorization_servers"], json!([stage.server.issuer()]));
    let head = client.send(Request::new("HEAD", path, Vec::new())).await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(stage.api.received("metadata").len(), 0);
    Ok(())
}

/// If a rule's own conditions were not asked, every token with the right scope would do.
#[tokio::test]
async fn r041_r099_a_rule_asks_for_claims_and_for_a_user_who_is_there() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for (path, status, error) in [
        ("/app", 200, ""),
        ("/other-app", 403, ""),
        ("/payments", 401, r#"error="insufficient_user_authentication""#),
    ] {
        let answer = stage.gateway().send(Request::get(path).bearer(&token)).await?;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("www-authenticate").contains(error), "{path}: {:?}", answer.headers);
    }
    assert_eq!(stage.server.introspections(&token).await?, 1);
    Ok(())
}

/// If a client's own field came through, a service that trusts it would take the client for whomever it names.
#[tokio::test]
async fn r075_services_receive_the_gateways_fields_and_none_of_the_clients() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for (path, expected) in [("/orders", Some("app")), ("/orders", Some("app")), ("/health", None)] {
        let mut request = Request::get(path).bearer(&token).named(&format!("r075{path}"));
        for name in ["x-client", "X-CLIENT", "x_client", "x-absent", "X_Absent"] {
            request = request.header(name, "admin");
        }
        assert_eq!(stage.envoy.client("short").send(request).await?.status, 200);
        let received = stage.api.received(&format!("r075{path}"));
        let head = received.last().expect("a request");
        let clients: Vec<_> =
            head.get_all("x-client").iter().filter_map(|value| value.to_str().ok()).collect();
        assert_eq!(clients, expected.into_iter().collect::<Vec<_>>(), "{path}");
        for name in ["x_client", "x-absent", "x_absent"] {
            assert!(!head.contains_key(name), "{path}: {name}");
        }
    }
    Ok(())
}

/// If this failed, no page of another origin could call the API, or tell why it was refused.
#[tokio::test]
async fn r080_r081_a_page_of_an_allowed_origin_gets_through_and_can_read_a_refusal() -> Result<()> {
    let stage = stage().await;
    let client = stage.envoy.client("short");
    let token = stage.server.issue("orders:read").await?;
    let preflight = |path: &str| {
        Request::new("OPTIONS", path, Vec::new())
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "GET")
            .bearer(&token)
    };
    let answer = client.send(preflight("/orders")).await?;
    assert_eq!((answer.status, answer.forwarded_authorization().len()), (200, 0));
    assert_eq!(client.send(preflight("/admin").named("preflight")).await?.status, 403);
    assert_eq!(stage.api.received("preflight").len(), 0);
    for (origin, allowed) in
        [("https://app.example.com", "https://app.example.com"), ("https://evil.example.com", "")]
    {
        let answer = client.send(Request::get("/orders").header("origin", origin)).await?;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, allowed));
    }
    Ok(())
}

/// If this failed, a liveness probe would need a token, or a token would leak through a public route.
#[tokio::test]
async fn r074_a_public_route_needs_no_token_and_passes_none_on() -> Result<()> {
    let stage = stage().await;
    assert_eq!(stage.gateway().send(Request::get("/health")).await?.status, 200);
    let token = stage.server.issue("orders:read").await?;
    let answer = stage.gateway().send(Request::get("/health").bearer(&token)).await?;
    assert_eq!((answer.status, answer.forwarded_authorization().len()), (200, 0));
    let basic = "Basic dXNlcjpwYXNz";
    let answer = stage.gateway().send(Request::get("/health").header("authorization", basic)).await?;
    assert_eq!(answer.forwarded_authorization(), [basic]);
    Ok(())
}

/// If this failed, a route that nobody thought of would be open.
#[tokio::test]
async fn r084_what_no_rule_names_is_not_exposed() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read orders:write").await?;
    for (method, path) in [("GET", "/admin"), ("GET", "/ordersx"), ("GET", "/healthy"), ("DELETE", "/orders")]
    {
        let request = Request::new(method, path, Vec::new()).bearer(&token).named("r084");
        assert_eq!(stage.gateway().send(request).await?.status, 403, "{method} {path}");
    }
    assert_eq!(stage.api.received("r084").len(), 0);
    Ok(())
}
