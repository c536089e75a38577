//! Answers that are about to end, or have ended while the authorization server is down, in a real Envoy with two workers.

use std::time::Duration;

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Play, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

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
    let configuration = |name: &str, cache: Value| {
        json!({
            "introspection": {
                "endpoint": format!("https://login.example.com/introspect?{name}"),
                "upstream": "authorization-server",
                "client_id": "gateway",
                "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
            },
            "cache": cache,
            "rules": [{"path": "/orders"}],
        })
    };
    let renewing = configuration("renewing", json!({"max_ttl": "3s", "refresh_ahead": "1500ms"}));
    let stale =
        configuration("stale", json!({"max_ttl": "1s", "refresh_ahead": "0s", "stale_if_error": "1m"}));
    let strict = configuration("strict", json!({"max_ttl": "1s", "refresh_ahead": "0s"}));
    let envoy = EnvoyBuilder::new("lifetimes", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .listener("renewing", &renewing, Listener::default())
        .listener("stale", &stale, Listener::default())
        .listener("strict", &strict, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

impl Stage {
    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token).named(token)).await
    }
}

/// If a token in use were asked about only when its entry is over, its clients would wait for the server in every time to live. It
/// answers slowly here, so that one who waits is seen.
#[tokio::test]
async fn an_entry_that_is_in_use_is_renewed_while_requests_go_on() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("hot");
    stage.server.play(&token, Play::jwt(&jwt::valid()))?;
    assert_eq!(stage.orders("renewing", &token).await?.status, 200);
    stage.server.play(&token, Play::jwt(&jwt::valid()).after(Duration::from_millis(800)))?;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(8) {
        let sent = Instant::now();
        assert_eq!(stage.orders("renewing", &token).await?.status, 200);
        slowest = slowest.max(sent.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(slowest < Duration::from_millis(700), "a request waited for {slowest:?}");
    let introspections = stage.server.introspections(&token).len();
    assert!((3..=9).contains(&introspections), "{introspections} introspections");
    assert!(stage.envoy.statistic("wasmcustom.phantom_token_renewal").await? >= 2);
    Ok(())
}

/// If what a renewal learns were lost, a revoked token would be good until the end of its entry.
#[tokio::test]
async fn r055_a_renewal_that_finds_a_token_revoked_ends_it() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("revoked");
    stage.server.play(&token, Play::jwt(&jwt::valid()))?;
    assert_eq!(stage.orders("renewing", &token).await?.status, 200);
    stage.server.play(&token, Play::answer(204, "", ""))?;
    let began = Instant::now();
    eventually("the token is refused", async || {
        sleep(Duration::from_millis(50)).await;
        Ok(stage.orders("renewing", &token).await?.status == 401)
    })
    .await?;
    // The other worker may have the entry for as long as it was good.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    Ok(())
}

/// Without this, an outage of the server is one of everything behind the gateway, a minute after it began.
#[tokio::test]
async fn r056_an_old_answer_serves_in_an_outage_where_that_is_configured() -> Result<()> {
    let stage = stage().await;
    for (listener, in_outage) in [("stale", 200), ("strict", 503)] {
        let token = secrets::fresh_token("stale");
        stage.server.play(&token, Play::jwt(&jwt::valid()))?;
        assert_eq!(stage.orders(listener, &token).await?.status, 200);
        stage.server.play(&token, Play::answer(503, "text/plain", ""))?;
        sleep(Duration::from_millis(1100)).await;
        for _ in 0..3 {
            assert_eq!(stage.orders(listener, &token).await?.status, in_outage, "{listener}");
        }
        stage.server.play(&token, Play::answer(204, "", ""))?;
        eventually("the server is asked again", async || {
            Ok(stage.orders(listener, &token).await?.status == 401)
        })
        .await?;
        stage.server.play(&token, Play::answer(503, "text/plain", ""))?;
        for _ in 0..4 {
            let status = stage.orders(listener, &token).await?.status;
            assert!(matches!(status, 401 | 503), "{listener}: {status} for a token that was revoked");
        }
    }
    assert!(stage.envoy.statistic("wasmcustom.phantom_token_cache_hit_stale").await? >= 3);
    Ok(())
}

/// If it were not known for a while, each request with a dead token would be a question to the server.
#[tokio::test]
async fn r054_that_a_token_is_not_active_is_known_for_a_moment() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("dead");
    let client = stage.envoy.client("strict");
    for _ in 0..20 {
        assert_eq!(client.send(Request::get("/orders").bearer(&token)).await?.status, 401);
    }
    let introspections = stage.server.introspections(&token).len();
    assert!(introspections <= 4, "{introspections} introspections of a dead token");
    assert_eq!(stage.api.received(&token).len(), 0);
    Ok(())
}
