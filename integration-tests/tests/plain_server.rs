//! The filter with an authorization server that knows no JWTs: a real one, independent of the one of the other tests.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::plain_authorization_server::{GATEWAY_SECRET, PlainAuthorizationServer};
use integration_tests::secrets;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy, one authorization server and one API for all tests of this file.
struct Stage {
    envoy: Envoy,
    server: PlainAuthorizationServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (PlainAuthorizationServer::start("plain_server")?, Api::start()?);
    let mut wrong_secret = configuration(&server);
    wrong_secret["introspection"]["client_secret"] =
        json!(secrets::noted("not-the-plain-gateway's-secret".into()));
    let envoy = EnvoyBuilder::new("plain_server", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("gateway", &configuration(&server), Listener::default())
        .listener("wrong-secret", &wrong_secret, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

fn configuration(server: &PlainAuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
            "response": {"accept": "application/json", "jwt_member": "jwt"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "realm": "orders",
        "log_level": "debug",
        "rules": [{"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]}],
    })
}

impl Stage {
    /// Calls `/orders` with a token, by which the API can be asked for the request.
    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token).named(token)).await
    }
}

/// If this failed, a service would receive the opaque token, or nothing that tells who is calling; or clients with good tokens
/// would be sent to get others, although it is the gateway that expects what its server does not have.
#[tokio::test]
async fn r042_a_server_without_jwts_is_at_fault_for_every_active_token_and_for_no_other() -> Result<()> {
    let stage = stage().await;
    let active = stage.server.issue("orders:read").await?;
    let revoked = stage.server.issue("orders:read").await?;
    stage.server.revoke(&revoked).await?;
    let unknown = secrets::fresh_token("unknown");
    for (what, token, status, description) in [
        ("active", &active, 502, "The authorization server answered without a JWT"),
        ("active, once more", &active, 502, "The authorization server answered without a JWT"),
        ("revoked", &revoked, 401, "The access token is not active"),
        ("unknown", &unknown, 401, "The access token is not active"),
    ] {
        let answer = stage.orders("gateway", token).await?;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.json()?["error_description"], description, "{what}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.contains(r#"error="invalid_token""#), status == 401, "{what}: {challenge}");
        assert!(!answer.text().contains(token.as_str()), "{what}");
        assert_eq!(stage.api.received(token).len(), 0, "{what}");
    }
    Ok(())
}

/// If this failed, a wrong secret in the gateway would tell every client that its token is bad.
#[tokio::test]
async fn r028_another_server_that_refuses_the_gateway_is_understood_as_well() -> Result<()> {
    let stage = stage().await;
    for token in [stage.server.issue("orders:read").await?, secrets::fresh_token("unknown")] {
        let answer = stage.orders("wrong-secret", &token).await?;
        assert_eq!((answer.status, answer.header("www-authenticate")), (502, ""));
        assert_eq!(stage.api.received(&token).len(), 0);
    }
    let counted = stage.envoy.statistic("wasmcustom.phantom_token_introspection_credentials_refused").await?;
    assert_eq!(counted, 2);
    Ok(())
}
