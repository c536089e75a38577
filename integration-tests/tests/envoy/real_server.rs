//! The main job, in a real Envoy with a certified authorization server: opaque token in, JWT out.

use std::time::Duration;

use anyhow::Result;
use integration_tests::client::Request;
use integration_tests::shared;
use integration_tests::testkit::World;
use integration_tests::{jwt, secrets};
use serde_json::json;

shared! {
    /// One Envoy with two workers, one authorization server and one API for all tests of this file.
    world: World = start
}

async fn start() -> Result<World> {
    let world = World::certified("real_server")?;
    let issuer = world.issuer();
    world
        .workers(2)
        .configuration(json!({
            "cache": {"no_store_ttl": "1m"},
            "realm": "orders",
            "rules": [
                {"path": "/health", "access": "public"},
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["orders:read", "orders:write"]},
                {"path": "/profile"},
                {"path": "/app", "claims": [{"pointer": "/client_id", "one_of": ["app"]}]},
                {"path": "/other-app", "claims": [{"pointer": "/client_id", "one_of": ["other"]}]},
                {"path": "/payments", "acr_values": ["mfa"], "max_age": "5m"},
            ],
        }))
        .listener("gateway", json!({}))
        .listener(
            "short",
            json!({
                "cache": {"no_store_ttl": "1s"},
                "resource_metadata": [{
                    "resource": "https://orders.example.com", "authorization_servers": [issuer],
                }],
                "claim_to_headers": [
                    {"header": "x-client", "pointer": "/client_id"},
                    {"header": "x-absent", "pointer": "/absent"},
                ],
                "cors": {"allow_origins": ["https://app.example.com"]},
            }),
        )
        .listener("honouring", json!({"cache": null}))
        .listener("other-audience", json!({"token": {"audience": ["payments-api"]}}))
        .listener(
            "post",
            json!({"introspection": {"auth_method": "client_secret_post", "client_id": "gateway-post"}}),
        )
        .listener(
            "wrong-secret",
            json!({"introspection": {"client_secret": secrets::noted("not-the-gateway's-secret".into())}}),
        )
        .start()
        .await
}

/// If this failed, the service would see the opaque token, or a JWT that is not the authorization server's.
#[tokio::test]
async fn r074_the_api_receives_the_jwt_of_the_opaque_token_and_nothing_else() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    let claims = world.get("/orders/7?q=1").bearer(&token).await?.is_served().claims()?;
    assert_eq!(claims["iss"], world.server().issuer());
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(claims["scope"], "orders:read");
    assert_eq!(claims["client_id"], "app");
    Ok(())
}

/// If this failed, every request would cost a call to the authorization server.
#[tokio::test]
async fn r050_all_workers_share_one_introspection() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    for _ in 0..40 {
        // Every request has its own connection, so both workers get some.
        world.orders(&token).await?.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 1);
    world.metric_reaches("phantom_token_cache_hit_local", 1).await
}

/// If this failed, simultaneous requests would stampede the authorization server.
#[tokio::test]
async fn r023_requests_that_come_together_cost_one_introspection_per_worker() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    for outcome in world.together(vec![world.orders(&token); 60]).await? {
        outcome.is_served();
    }
    let introspections = world.introspections(&token).await?;
    assert!((1..=2).contains(&introspections), "{introspections} introspections on 2 workers");
    Ok(())
}

/// If this failed, a client without credentials would reach the API, or not learn how to authenticate.
#[tokio::test]
async fn r001_a_request_without_a_token_is_challenged_and_goes_nowhere() -> Result<()> {
    let outcome = world().await.get("/orders").await?.is_refused(401, "missing_credentials");
    assert_eq!(outcome.challenges(), [r#"Bearer realm="orders", scope="orders:read""#]);
    Ok(())
}

/// If this failed, any string would be accepted as a token.
#[tokio::test]
async fn r025_a_token_that_the_server_does_not_know_is_refused() -> Result<()> {
    let token = secrets::fresh_token("unknown");
    let outcome = world().await.orders(&token).await?.is_refused(401, "inactive");
    let outcome = outcome.is_challenged_by(r#"error="invalid_token""#);
    assert_eq!(outcome.json()?["error"], "invalid_token");
    Ok(())
}

/// oidc-provider responds with 400 `unsupported_token_type` to anything that looks like a JWT. If this failed, such a token would look like
/// a failure of the authorization server.
#[tokio::test]
async fn r029_a_token_that_the_server_does_not_introspect_is_refused_as_invalid() -> Result<()> {
    let outcome = world().await.orders(&jwt::valid()).await?.is_refused(401, "inactive");
    outcome.is_challenged_by(r#"error="invalid_token""#);
    Ok(())
}

/// If this failed, a token would open more than it was issued for; the second request is a cache hit (R53).
#[tokio::test]
async fn r035_a_missing_scope_is_forbidden_on_every_route_that_requires_it() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).await?.is_served();
    let outcome = world.post("/orders", "{}").bearer(&token).await?.is_refused(403, "insufficient_scope");
    outcome
        .is_challenged_by(r#"error="insufficient_scope""#)
        .is_challenged_by(r#"scope="orders:read orders:write""#);
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

/// If this failed, a revoked token would work for longer than the operator configured.
#[tokio::test]
async fn r055_a_revoked_token_works_for_one_time_to_live_at_most() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).at("short").await?.is_served();
    world.revoke_cached("short", &token, Duration::from_secs(1)).await
}

/// oidc-provider responds with `no-store`. If this failed, responses that must not be stored would be, without the operator's consent.
#[tokio::test]
async fn r051_no_store_is_honoured_unless_it_is_overridden() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    for _ in 0..3 {
        world.orders(&token).at("honouring").await?.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 3);
    world.revoke(&token).await?;
    world.orders(&token).at("honouring").await?.is_refused(401, "inactive");
    Ok(())
}

/// If this failed, a token for another API would open this one; the two configurations share the VM (R52).
#[tokio::test]
async fn r034_a_token_for_another_audience_is_refused() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).await?.is_served();
    world.orders(&token).at("other-audience").await?.is_refused(401, "wrong_audience");
    world.orders(&token).await?.is_served();
    Ok(())
}

/// If this failed, a wrong secret in the gateway would make every client believe that its token is invalid.
#[tokio::test]
async fn r028_wrong_credentials_of_the_gateway_are_not_the_clients_fault() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).at("wrong-secret").await?.is_refused(502, "gateway_credentials_refused");
    world.metric_reaches("phantom_token_introspection_credentials_refused", 1).await?;
    world.envoy.logs("refuses the gateway's credentials").await
}

/// oidc-provider accepts only the authentication method for which a client is registered.
#[tokio::test]
async fn r019_the_gateway_authenticates_by_the_method_that_is_configured() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).at("post").await?.is_served();
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

/// A client that knows only the API finds its way from the challenge to the authorization server, as MCP clients do.
#[tokio::test]
async fn r102_r103_a_challenge_leads_to_the_authorization_server() -> Result<()> {
    let world = world().await;
    let challenge =
        world.get("/orders").at("short").await?.is_refused(401, "missing_credentials").challenges().concat();
    let url = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split_once('"'));
    let path = url
        .and_then(|(url, _)| url.strip_prefix("https://orders.example.com"))
        .expect("a URL of the resource");
    let document = world.get(path).at("short").await?;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    assert_eq!(document.header("access-control-allow-origin"), "*");
    assert_eq!(document.json()?["authorization_servers"], json!([world.server().issuer()]));
    let head = world.send(Request::new("HEAD", path, Vec::new())).at("short").await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(document.arrived.len() + head.arrived.len(), 0);
    Ok(())
}

/// If a rule's own conditions were not checked, every token with the right scope would be accepted.
#[tokio::test]
async fn r041_r099_a_rule_asks_for_claims_and_for_a_user_who_is_there() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.get("/app").bearer(&token).await?.is_served();
    world.get("/other-app").bearer(&token).await?.is_refused(403, "claim_mismatch");
    let outcome =
        world.get("/payments").bearer(&token).await?.is_refused(401, "insufficient_user_authentication");
    outcome.is_challenged_by(r#"error="insufficient_user_authentication""#);
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

/// If a client's own field arrived, a service that trusts the field would take the client for any user that it names.
#[tokio::test]
async fn r075_services_receive_the_gateways_fields_and_none_of_the_clients() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    for (path, expected) in [("/orders", Some("app")), ("/orders", Some("app")), ("/health", None)] {
        let forged = ["x-client", "X-CLIENT", "x_client", "x-absent", "X_Absent"];
        let call = world.get(path).at("short").bearer(&token);
        let call = forged.into_iter().fold(call, |call, name| call.header(name, "admin"));
        let outcome = call.await?.is_served();
        assert_eq!(outcome.received("x-client"), Vec::from_iter(expected), "{path}");
        for name in ["x_client", "x-absent", "x_absent"] {
            assert!(!outcome.head().contains_key(name), "{path}: {name}");
        }
    }
    Ok(())
}

/// If this failed, no page of another origin could call the API, or see why it was refused.
#[tokio::test]
async fn r080_r081_a_page_of_an_allowed_origin_gets_through_and_can_read_a_refusal() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    let preflight = |path: &str| {
        let call = world.send(Request::new("OPTIONS", path, Vec::new())).at("short").bearer(&token);
        call.header("origin", "https://app.example.com").header("access-control-request-method", "GET")
    };
    assert_eq!(preflight("/orders").await?.is_served().received("authorization").len(), 0);
    // What is not exposed is refused at the actual request, whose response the page can read.
    preflight("/admin").await?.has_status(204);
    let refused =
        world.get("/admin").at("short").bearer(&token).header("origin", "https://app.example.com").await?;
    assert_eq!(
        refused.is_refused(403, "no_matching_rule").header("access-control-allow-origin"),
        "https://app.example.com"
    );
    for (origin, allowed) in
        [("https://app.example.com", "https://app.example.com"), ("https://evil.example.com", "")]
    {
        let outcome = world
            .get("/orders")
            .at("short")
            .header("origin", origin)
            .await?
            .is_refused(401, "missing_credentials");
        assert_eq!(outcome.header("access-control-allow-origin"), allowed);
    }
    Ok(())
}

/// If this failed, a liveness probe would need a token, or a token would leak through a public route.
#[tokio::test]
async fn r074_a_public_route_needs_no_token_and_passes_none_on() -> Result<()> {
    let world = world().await;
    world.get("/health").await?.is_served();
    let token = world.issue("orders:read").await?;
    assert_eq!(world.get("/health").bearer(&token).await?.is_served().received("authorization").len(), 0);
    let basic = "Basic dXNlcjpwYXNz";
    let outcome = world.get("/health").header("authorization", basic).await?.is_served();
    assert_eq!(outcome.received("authorization"), [basic]);
    Ok(())
}

/// If this failed, a forgotten route would be open.
#[tokio::test]
async fn r084_what_no_rule_names_is_not_exposed() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read orders:write").await?;
    for (method, path) in [("GET", "/admin"), ("GET", "/ordersx"), ("GET", "/healthy"), ("DELETE", "/orders")]
    {
        let call = world.send(Request::new(method, path, Vec::new())).bearer(&token);
        call.await?.is_refused(403, "no_matching_rule");
    }
    Ok(())
}
