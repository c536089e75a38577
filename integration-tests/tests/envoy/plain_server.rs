//! The filter with an authorization server without JWTs: a real one, independent of the other tests' server.

use std::time::Duration;

use anyhow::Result;
use integration_tests::secrets;
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::json;
use tokio::time::Instant;

shared! {
    /// One Envoy, one authorization server and one API for all tests of this file.
    world: World = start
}

async fn start() -> Result<World> {
    let secret = secrets::noted("not-the-plain-gateway's-secret".into());
    World::plain("plain_server")?
        .configuration(json!({
            "realm": "orders",
            "rules": [{"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]}],
        }))
        .configuration(json!({"introspection": {"response": {"jwt_field": "jwt"}}}))
        .listener("gateway", json!({}))
        .listener("wrong-secret", json!({"introspection": {"client_secret": secret}}))
        .configuration(json!({
            "introspection": {"response": {"jwt_field": null}},
            "claim_to_headers": [
                {"header": "x-client", "pointer": "/client_id"},
                {"header": "x-absent", "pointer": "/absent"},
            ],
        }))
        .listener("claims", json!({}))
        .listener("short", json!({"cache": {"no_store_ttl": "1s"}}))
        .start()
        .await
}

/// If this failed, a service would receive the opaque token, or nothing that identifies the caller; or clients with valid tokens would be
/// asked to get others, although the gateway expects what its server does not support.
#[tokio::test]
async fn r042_a_server_without_jwts_is_at_fault_for_every_active_token_and_for_no_other() -> Result<()> {
    let world = world().await;
    let active = world.issue("orders:read").await?;
    for _ in 0..2 {
        world.orders(&active).await?.is_refused(502, "missing_phantom_token");
    }
    for token in [world.issue_revoked("orders:read").await?, secrets::fresh_token("unknown")] {
        let outcome = world.orders(&token).await?.is_refused(401, "inactive");
        outcome.is_challenged_by(r#"error="invalid_token""#);
    }
    Ok(())
}

/// If this failed, services would receive the opaque token, or a caller's own claim about its identity.
#[tokio::test]
async fn r042_r075_services_of_a_server_without_jwts_receive_claims_and_no_token() -> Result<()> {
    let world = world().await;
    for listener in ["claims", "short"] {
        let token = world.issue("orders:read").await?;
        // The second request is a cache hit at one of the listeners.
        for _ in 0..2 {
            let call = world.get("/orders?q=1").at(listener).bearer(&token);
            let forged = ["x-client", "X_Client", "x-absent"];
            let call = forged.into_iter().fold(call, |call, field| call.header(field, "admin"));
            let outcome = call.await?.is_served();
            assert_eq!(outcome.received("x-client"), ["app"], "{listener}");
            for field in ["authorization", "x_client", "x-absent"] {
                assert!(!outcome.head().contains_key(field), "{listener}: {field}");
            }
        }
    }
    Ok(())
}

/// If this failed, a token without its scope, a random one or a revoked one would pass where there is no JWT.
#[tokio::test]
async fn r025_r035_claims_are_forwarded_of_active_tokens_with_their_scope_alone() -> Result<()> {
    let world = world().await;
    for token in [world.issue_revoked("orders:read").await?, secrets::fresh_token("unknown")] {
        world.orders(&token).at("claims").await?.is_refused(401, "inactive");
    }
    let narrow = world.issue("orders:write").await?;
    world.orders(&narrow).at("claims").await?.is_refused(403, "insufficient_scope");
    Ok(())
}

/// Authlib responds with `no-store`. If this failed, responses that must not be stored would be, or an override would do nothing.
#[tokio::test]
async fn r051_r055_no_store_of_another_server_is_honoured_unless_it_is_overridden() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    for _ in 0..3 {
        world.orders(&token).at("claims").await?.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 3);
    world.revoke(&token).await?;
    world.orders(&token).at("claims").case("at once").await?.is_refused(401, "inactive");
    let stored = world.issue("orders:read").await?;
    let first = Instant::now();
    world.orders(&stored).at("short").await?.is_served();
    world.revoke_cached("short", &stored, NO_STORE_TTL).await?;
    // The token is in use, so its entry is refreshed in the second half of its lifetime.
    let lived = first.elapsed();
    assert!(lived >= NO_STORE_TTL / 2, "the revoked token lived for {lived:?}");
    Ok(())
}

/// If this failed, a wrong secret in the gateway would make every client believe that its token is invalid.
#[tokio::test]
async fn r028_another_server_that_refuses_the_gateway_is_understood_as_well() -> Result<()> {
    let world = world().await;
    for token in [world.issue("orders:read").await?, secrets::fresh_token("unknown")] {
        world.orders(&token).at("wrong-secret").await?.is_refused(502, "gateway_credentials_refused");
    }
    world.metric_is("phantom_token_introspection_credentials_refused", 2).await?;
    Ok(())
}

/// `no_store_ttl` of the listener `short`.
const NO_STORE_TTL: Duration = Duration::from_secs(1);
