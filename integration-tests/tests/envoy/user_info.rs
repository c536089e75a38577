//! The filter with a server that introspects nothing, and is asked by UserInfo.

use anyhow::Result;
use integration_tests::keys;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::json;

shared! {
    /// One Envoy, one scripted server and one API for all tests of this file.
    world: World = start
}

async fn start() -> Result<World> {
    World::scripted("user_info")?
        .configuration(json!({
            "introspection": null,
            "userinfo": {
                "endpoint": "https://login.example.com/userinfo", "upstream": "scripted-server", "allow_any_client": true,
            },
            "token": null,
            "mint": {
                "issuer": "https://gateway.example.com", "audience": "orders-api",
                "keys": [{"private_key": {"env": "MINT_KEY"}}],
            },
        }))
        .envoy(|envoy| envoy.environment("MINT_KEY", &keys::p256_pem()))
        .listener("gateway", json!({}))
        .start()
        .await
}

/// If this failed, tokens of such a server could not be used; or its word about a user would be taken for one about the token.
#[tokio::test]
async fn r197_r198_a_token_of_a_server_without_introspection_is_whose_user_info_says() -> Result<()> {
    let world = world().await;
    let token =
        world.answered(Response::json(&json!({"sub": "alice", "scope": "admin", "client_id": "evil"})));
    for _ in 0..2 {
        let claims = world.orders(&token).await?.is_served().claims()?;
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("alice"), &json!("orders-api")));
        assert_eq!((claims.get("scope"), claims.get("client_id")), (None, None));
    }
    let asked = world.scripted.introspections(&token);
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    let field = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((field("accept"), field("host")), (Some("application/json"), Some("login.example.com")));
    let challenge = r#"Bearer error="invalid_token""#;
    for (response, status, reason) in [
        (Response::status(401).header("www-authenticate", challenge), 401, "inactive"),
        (Response::new(401, "text/html", "<html>"), 502, "unexpected_response"),
        (Response::new(200, "application/jwt", "e30.e30.e30"), 502, "unexpected_response"),
        (
            Response::status(403).header("www-authenticate", r#"Bearer error="insufficient_scope""#),
            403,
            "insufficient_scope",
        ),
        (Response::status(503), 503, "unavailable"),
    ] {
        world.orders(&world.answered(response)).await?.is_refused(status, reason);
    }
    Ok(())
}
