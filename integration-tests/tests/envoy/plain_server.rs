//! The filter with an authorization server that knows no JWTs: a real one, independent of the one of the other tests.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::plain_authorization_server::{GATEWAY_SECRET, PlainAuthorizationServer};
use integration_tests::secrets;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

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
    let mut claims = configuration(&server);
    claims["introspection"]["response"] = json!({"accept": "application/json"});
    claims["claim_headers"] = json!([
        {"header": "x-client", "pointer": "/client_id"},
        {"header": "x-absent", "pointer": "/absent"},
    ]);
    let mut short = claims.clone();
    short["cache"] = json!({"no_store_ttl": "1s"});
    let envoy = EnvoyBuilder::new("plain_server", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("gateway", &configuration(&server), Listener::default())
        .listener("claims", &claims, Listener::default())
        .listener("short", &short, Listener::default())
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

/// If this failed, services would receive the opaque token, or a caller's word for who is calling.
#[tokio::test]
async fn r042_r075_services_of_a_server_without_jwts_receive_claims_and_no_token() -> Result<()> {
    let stage = stage().await;
    for listener in ["claims", "short"] {
        let token = stage.server.issue("orders:read").await?;
        // The second request is found in the cache of one of them.
        for number in 0..2 {
            let name = format!("{listener}-{number}");
            let mut request = Request::get("/orders?q=1").bearer(&token).named(&name);
            for field in ["x-client", "X_Client", "x-absent"] {
                request = request.header(field, "admin");
            }
            let answer = stage.envoy.client(listener).send(request).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let received = stage.api.received(&name);
            let [head] = received.as_slice() else { panic!("{} requests {name}", received.len()) };
            assert_eq!(head.get_all("x-client").iter().collect::<Vec<_>>(), ["app"], "{name}");
            for field in ["authorization", "x_client", "x-absent"] {
                assert!(!head.contains_key(field), "{name}: {field}");
            }
            assert!(!format!("{head:?}").contains(&token), "{name}: the opaque token arrived");
        }
    }
    Ok(())
}

/// If this failed, a token without its scope, a made-up one or one that was revoked would do where no JWT can say otherwise.
#[tokio::test]
async fn r025_r035_claims_are_forwarded_of_active_tokens_with_their_scope_alone() -> Result<()> {
    let stage = stage().await;
    let revoked = stage.server.issue("orders:read").await?;
    stage.server.revoke(&revoked).await?;
    let narrow = stage.server.issue("orders:write").await?;
    for (token, status) in [(revoked, 401), (secrets::fresh_token("unknown"), 401), (narrow, 403)] {
        let answer = stage.orders("claims", &token).await?;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(stage.api.received(&token).len(), 0);
    }
    Ok(())
}

/// Authlib says `no-store`. If this failed, what must not be stored would be, or an override would do nothing.
#[tokio::test]
async fn r051_r055_no_store_of_another_server_is_honoured_unless_it_is_overridden() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for _ in 0..3 {
        assert_eq!(stage.orders("claims", &token).await?.status, 200);
    }
    assert_eq!(stage.server.introspections(&token).await?, 3);
    let stored = stage.server.issue("orders:read").await?;
    let first = Instant::now();
    assert_eq!(stage.orders("short", &stored).await?.status, 200);
    let cached = Instant::now();
    for found in [&token, &stored] {
        stage.server.revoke(found).await?;
    }
    assert_eq!(stage.orders("claims", &token).await?.status, 401, "at once");
    let is_refused = async || {
        let age = cached.elapsed();
        let is_refused = stage.orders("short", &stored).await?.status == 401;
        ensure!(is_refused || age <= NO_STORE_TTL, "the revoked token was good after {age:?}");
        Ok(is_refused)
    };
    eventually("it is refused", is_refused).await?;
    // It is in use, so it is renewed in the second half of its time.
    let lived = first.elapsed();
    assert!(lived >= NO_STORE_TTL / 2, "the revoked token lived for {lived:?}");
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

/// That of the listener `short`.
const NO_STORE_TTL: Duration = Duration::from_secs(1);
