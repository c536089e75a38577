//! What services and Envoy itself receive besides `Authorization`: the JWT in its own field, and claims in Envoy's filter state, where its
//! access log finds them.

use anyhow::Result;
use integration_tests::authorization_server::Resource;
use integration_tests::envoy::Listener;
use integration_tests::shared;
use integration_tests::testkit::World;
use integration_tests::{jwt, secrets};
use serde_json::json;

shared! {
    /// One Envoy with one worker, an authorization server and an API.
    world: World = start
}

async fn start() -> Result<World> {
    let world = World::certified("forwarding")?;
    let keys = format!("{}/jwks", world.issuer());
    let filter_state = json!({"filter_state": [
        {"name": "client", "pointer": "/client_id"},
        {"name": "audience", "pointer": "/aud"},
        {"name": "absent", "pointer": "/absent"},
    ]});
    let logged = Listener { access_log: Some(ACCESS_LOG), ..Listener::default() };
    world
        .configuration(json!({
            "token": {"jwts": "verify"},
            "keys": {"jwks_uri": keys},
            "cache": {"no_store_ttl": "1m"},
            "rules": [
                {"path": "/health", "access": "public"},
                {"path": "/admin", "scopes": ["admin"]},
                {"path": "/orders", "scopes": ["orders:read"]},
            ],
        }))
        .listener("own-field", json!({"jwt_header": "x-jwt"}))
        .listener_on("state", filter_state, logged)
        .start()
        .await
}

/// Issues an opaque token and a JWT access token.
async fn issued() -> Result<(String, String)> {
    let world = world().await;
    let jwt = world.server().issue_jwt(Resource::Orders, "orders:read").await?;
    Ok((world.issue("orders:read").await?, jwt))
}

/// If this failed, a service would take a client's own field for the gateway's, or see the client's credentials.
#[tokio::test]
async fn r074_r075_the_jwt_is_alone_in_its_field_and_the_clients_are_taken_off() -> Result<()> {
    let world = world().await;
    let (opaque, jwt) = issued().await?;
    for (path, token) in [
        ("/orders", &opaque),
        ("/orders", &opaque),
        ("/orders", &jwt),
        ("/orders", &jwt),
        ("/health", &opaque),
    ] {
        let call = world.get(path).bearer(token);
        let forged = ["x-jwt", "X-JWT", "X_Jwt", "x.jwt"];
        let call = forged.into_iter().fold(call, |call, field| call.header(field, "forged"));
        let outcome = call.await?.is_served();
        for field in ["authorization", "x_jwt", "x.jwt"] {
            assert!(!outcome.head().contains_key(field), "{outcome}: {field}");
        }
        assert!(!format!("{:?}", outcome.head()).contains("forged"), "{outcome}");
        let fields = outcome.received("x-jwt");
        match fields.as_slice() {
            [] => assert_eq!(path, "/health"),
            [field] if token == &jwt => assert_eq!(field, &jwt, "{outcome}"),
            [field] => {
                secrets::noted(field.clone());
                assert_eq!(jwt::claims(field)?["client_id"], "app", "{outcome}");
            }
            fields => panic!("{} fields: {outcome}", fields.len()),
        }
        assert_eq!(fields.is_empty(), path == "/health", "{outcome}");
    }
    assert_eq!(world.introspections(&opaque).await?, 1);
    Ok(())
}

/// If this failed, Envoy's log would not show whose request it was or why it was refused, or it would name the client of a
/// refused request.
#[tokio::test]
async fn the_access_log_has_the_claims_and_the_reason() -> Result<()> {
    let world = world().await;
    let (opaque, jwt) = issued().await?;
    let unknown = secrets::fresh_token("unknown");
    let granted = "client=app audience=orders-api absent=- details=via_upstream";
    for (name, path, token, status, line) in [
        ("state-cold", "/orders", &opaque, 200, granted),
        ("state-cached", "/orders", &opaque, 200, granted),
        ("state-verified", "/orders", &jwt, 200, granted),
        ("state-verified-before", "/orders", &jwt, 200, granted),
        ("state-public", "/health", &opaque, 200, "client=- audience=- absent=- details=via_upstream"),
        (
            "state-inactive",
            "/orders",
            &unknown,
            401,
            "client=- audience=- absent=- details=phantom_token_denied{inactive}",
        ),
        (
            "state-insufficient",
            "/admin",
            &opaque,
            403,
            "client=- audience=- absent=- details=phantom_token_denied{insufficient_scope}",
        ),
    ] {
        world.get(path).at("state").bearer(token).named(name).await?.has_status(status);
        world.envoy.logs(&format!("access: {name} {status} {line}\n")).await?;
    }
    assert_eq!(world.introspections(&opaque).await?, 1);
    Ok(())
}

const ACCESS_LOG: &str = "access: %REQ(X-REQUEST-NAME)% %RESPONSE_CODE% client=%FILTER_STATE(wasm.client:PLAIN)% \
    audience=%FILTER_STATE(wasm.audience:PLAIN)% absent=%FILTER_STATE(wasm.absent:PLAIN)% details=%RESPONSE_CODE_DETAILS%";
