//! The identities of a user, a machine client and a workload, each with its own way to get a token, at one gateway.

use anyhow::{Context, Result};
use integration_tests::authorization_server::AuthorizationServer;
use integration_tests::browser::Browser;
use integration_tests::certificates::CertificateAuthority;
use integration_tests::client::Request;
use integration_tests::testkit::World;
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::web_app::WebApp;
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};

/// If this failed, a browser application's users, its machine clients or its workloads could not call, or a service would take one for
/// another.
#[tokio::test]
async fn r074_r080_a_user_a_machine_and_a_workload_call_each_as_who_they_are() -> Result<()> {
    let app = WebApp::start()?;
    let authority = CertificateAuthority::new()?;
    let own = authority.certify_server(SERVER_NAME)?;
    let server = AuthorizationServer::start_for_users("identities", 0, &app.url())?;
    let world = World::asking("identities", server)?
        .configuration(json!({
            "cors": {"allow_origins": [app.origin()]},
            "rules": [
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
            ],
        }))
        .listener("gateway", json!({}))
        .listener("mesh", json!({"rules": [{"path": "/orders", "peers": [SHOP], "scopes": ["orders:read"]}]}))
        .envoy(|envoy| envoy.secured_by(&own, Some(&authority)))
        .start()
        .await?;
    app.configure(world.server().issuer(), &format!("http://127.0.0.1:{}", world.client().port()))?;

    let user = Browser::open("identities").await?;
    user.visit(&app.url()).await?;
    user.click("body[data-ready] #log-in").await?;
    user.log_in("alice").await?;
    user.consent().await?;
    user.reads("#happened", "GET: 200, alice was served").await?;

    // The API asks for a scope that she has not granted yet; the application asks her for it.
    user.click("#order").await?;
    user.consent().await?;
    user.reads("#happened", "POST: 200, alice was served").await?;

    let before = credentials(&world)?;
    user.click("#refresh").await?;
    user.reads("#happened", "the token is a new one").await?;
    user.click("#list").await?;
    user.reads("#happened", "GET: 200, alice was served").await?;
    let after = credentials(&world)?;
    assert_ne!(before["jti"], after["jti"], "the JWT of the token before");

    user.click("#log-out").await?;
    user.reads("#happened", "the tokens are revoked").await?;
    user.click("#list").await?;
    user.reads("#happened", "GET: 401 invalid_token").await?;
    user.close().await?;

    let token = world.issue("orders:read").await?;
    let machine = world.orders(&token).await?.has_status(200);
    assert_eq!(machine.json()?["subject"], "app");

    let shop = authority.certify_workload(&[SHOP])?;
    let shop = TlsClient::of(world.envoy.client("mesh"), &authority, Some(&shop))?;
    let call = world.send(Request::get("/orders").bearer(&token)).by_tls(shop);
    assert_eq!(call.with_token(&token).await?.has_status(200).json()?["subject"], "app");
    let nameless = TlsClient::of(world.envoy.client("mesh"), &authority, None);
    assert!(
        world.send(Request::get("/orders").bearer(&token)).by_tls(nameless?).await.is_err(),
        "no certificate"
    );
    Ok(())
}

/// The claims of the JWT with which the API was last called.
fn credentials(world: &World) -> Result<Value> {
    let calls = world.arrived("/orders");
    let call =
        calls.iter().rev().find(|call| call.contains_key("authorization")).context("no call arrived")?;
    let authorization = call["authorization"].to_str()?;
    secrets::noted_credentials(authorization);
    jwt::claims(authorization.strip_prefix("Bearer ").context("no bearer token")?)
}

const SHOP: &str = "spiffe://example.com/ns/shop/sa/shop";
