//! Answers that are about to end, or have ended while the authorization server is down, in a real Envoy with two workers.

use std::time::Duration;

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

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
    let renewing = configuration("renewing", json!({"max_ttl": "10s", "refresh_ahead": "5s"}));
    let stale =
        configuration("stale", json!({"max_ttl": "1s", "refresh_ahead": "0s", "stale_if_error": "1m"}));
    let strict = configuration("strict", json!({"max_ttl": "1s", "refresh_ahead": "0s"}));
    let mut patient = configuration("patient", json!({"inactive_ttl": "1m"}));
    patient["introspection"]["response"] = json!({"accept": "application/json", "jwt_member": "jwt"});
    patient["token"] = json!({"require_token_type": true});
    let envoy = EnvoyBuilder::new("lifetimes", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .listener("renewing", &renewing, Listener::default())
        .listener("stale", &stale, Listener::default())
        .listener("strict", &strict, Listener::default())
        .listener("patient", &patient, Listener::default())
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
/// does not answer here while they are served.
#[tokio::test]
async fn an_entry_that_is_in_use_is_renewed_while_requests_go_on() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("hot");
    stage.server.respond(&token, Response::jwt(&jwt::valid()));
    assert_eq!(stage.orders("renewing", &token).await?.status, 200);
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.server.respond(&token, play);
    let is_asked_again = async |times: usize| {
        let what = format!("{times} introspections, while requests go on");
        eventually(&what, async || {
            assert_eq!(stage.orders("renewing", &token).await?.status, 200);
            Ok(stage.server.introspections(&token).len() >= times)
        })
        .await
    };
    is_asked_again(2).await?;
    for _ in 0..10 {
        assert_eq!(stage.orders("renewing", &token).await?.status, 200, "while the server thinks");
    }
    assert_eq!(stage.server.introspections(&token).len(), 2, "one worker renews it for both");
    gate.open();
    is_asked_again(3).await?;
    stage.envoy.counts("wasmcustom.phantom_token_renewal", 2).await
}

/// If what a renewal learns were lost, a revoked token would be good until the end of its entry.
#[tokio::test]
async fn r055_a_renewal_that_finds_a_token_revoked_ends_it() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("revoked");
    stage.server.respond(&token, Response::jwt(&jwt::valid()));
    assert_eq!(stage.orders("renewing", &token).await?.status, 200);
    stage.server.respond(&token, Response::new(204, "", ""));
    let began = Instant::now();
    eventually("the token is refused", async || Ok(stage.orders("renewing", &token).await?.status == 401))
        .await?;
    // At the end of the entry, a request would have had to ask again.
    let (introspections, elapsed) = (stage.server.introspections(&token).len(), began.elapsed());
    assert!(introspections == 2 || elapsed < MAX_TTL, "{introspections} introspections, {elapsed:?}");
    Ok(())
}

/// Without this, an outage of the server is one of everything behind the gateway, a minute after it began.
#[tokio::test]
async fn r056_an_old_answer_serves_in_an_outage_where_that_is_configured() -> Result<()> {
    let stage = stage().await;
    for (listener, in_outage) in [("stale", 200), ("strict", 503)] {
        let token = secrets::fresh_token("stale");
        stage.server.respond(&token, Response::jwt(&jwt::valid()));
        assert_eq!(stage.orders(listener, &token).await?.status, 200);
        stage.server.respond(&token, Response::new(503, "text/plain", ""));
        eventually("the answer has ended", async || {
            let status = stage.orders(listener, &token).await?.status;
            assert!([200, in_outage].contains(&status), "{listener}: {status}");
            Ok(stage.server.introspections(&token).len() >= 2)
        })
        .await?;
        for _ in 0..3 {
            assert_eq!(stage.orders(listener, &token).await?.status, in_outage, "{listener}");
        }
        stage.server.respond(&token, Response::new(204, "", ""));
        eventually("the server is asked again", async || {
            Ok(stage.orders(listener, &token).await?.status == 401)
        })
        .await?;
        stage.server.respond(&token, Response::new(503, "text/plain", ""));
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
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.send(Request::get("/orders").bearer(&token)).await?.status, 401);
    }
    // No longer than `max_ttl`, on each of two workers.
    let (introspections, allowed) =
        (stage.server.introspections(&token).len(), 2 * (1 + began.elapsed().as_secs()));
    assert!(introspections as u64 <= allowed, "{introspections} introspections, {allowed} are allowed");
    assert_eq!(stage.api.received(&token).len(), 0);
    Ok(())
}

/// If only dead tokens were known for a while, a client that takes its refresh token for the access token would cost a question with
/// each request. Each of the two workers asks for itself, and again only when a minute is over.
#[tokio::test]
async fn r128_an_active_token_that_is_refused_for_what_it_is_is_asked_about_once() -> Result<()> {
    let stage = stage().await;
    for claims in [
        json!({"active": true, "token_type": "refresh_token"}),
        json!({"active": true}),
        json!({"active": true, "token_type": "Bearer", "cnf": {"kid": "x"}}),
        json!({"active": true, "token_type": "Bearer", "exp": 0, "jwt": jwt::valid()}),
    ] {
        let token = secrets::fresh_token("refresh");
        stage.server.respond(&token, Response::new(200, "application/json", claims.to_string()));
        for _ in 0..12 {
            let answer = stage.orders("patient", &token).await?;
            assert_eq!(answer.status, 401, "{claims}: {}", answer.text());
        }
        let introspections = stage.server.introspections(&token).len();
        assert!(introspections <= 2, "{introspections} introspections of one token: {claims}");
        assert_eq!(stage.api.received(&token).len(), 0);
    }
    Ok(())
}

/// That of the listener `renewing`. It is renewed in its second half.
const MAX_TTL: Duration = Duration::from_secs(10);
