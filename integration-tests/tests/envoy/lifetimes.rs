//! Cache entries that expire soon, or have expired while the authorization server is down, in a real Envoy with two workers.

use std::time::Duration;

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::jwt;
use integration_tests::scripted_server::Response;
use integration_tests::secrets;
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::{Value, json};
use tokio::time::Instant;

shared!(world: World = start);

async fn start() -> Result<World> {
    // Each listener has its own introspection endpoint, so that none finds another's cache entries.
    let keeping = |name: &str, cache: Value| {
        let endpoint = format!("https://login.example.com/introspect?{name}");
        json!({"introspection": {"endpoint": endpoint}, "cache": cache})
    };
    World::scripted("lifetimes")?
        .workers(2)
        .configuration(json!({"token": null}))
        .listener("renewing", keeping("renewing", json!({"max_ttl": "10s", "refresh_ahead": "5s"})))
        .listener(
            "stale",
            keeping("stale", json!({"max_ttl": "1s", "refresh_ahead": "0s", "stale_if_error": "1m"})),
        )
        .listener("strict", keeping("strict", json!({"max_ttl": "1s", "refresh_ahead": "0s"})))
        .configuration(json!({
            "introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}},
            "token": {"require_token_type": true},
        }))
        .listener("patient", keeping("patient", json!({"inactive_ttl": "1m"})))
        .start()
        .await
}

/// If a token in use were introspected only when its entry has expired, its clients would wait for the server once in every lifetime. The
/// server does not respond here while they are served.
#[tokio::test]
async fn an_entry_in_use_is_refreshed_in_the_background() -> Result<()> {
    let world = world().await;
    let token = world.active();
    world.orders(&token).await?.is_served();
    let (response, gate) = Response::jwt(&jwt::valid()).held();
    world.scripted.respond(&token, response);
    eventually("a second introspection, while requests go on", async || {
        world.orders(&token).await?.is_served();
        Ok(world.introspections(&token).await? >= 2)
    })
    .await?;
    for _ in 0..10 {
        world.orders(&token).case("while the server thinks").await?.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 2, "one worker renews it for both");
    gate.open();
    // On a busy machine an entry may expire before a request finds it due: then that request is a miss, and the next entry is refreshed.
    eventually("a second refresh, while requests go on", async || {
        world.orders(&token).await?.is_served();
        Ok(world.metric("phantom_token_cache_refresh").await? >= 2)
    })
    .await
}

/// If the result of a refresh were lost, a revoked token would remain valid until its entry expires.
#[tokio::test]
async fn r055_a_refresh_that_finds_a_revoked_token_removes_it() -> Result<()> {
    let world = world().await;
    let token = world.active();
    world.orders(&token).await?.is_served();
    world.scripted.respond(&token, Response::inactive());
    let began = Instant::now();
    eventually("the token is refused", async || Ok(world.orders(&token).await?.status == 401)).await?;
    // After the entry has expired, a request would have had to introspect again.
    let (introspections, elapsed) = (world.introspections(&token).await?, began.elapsed());
    assert!(introspections == 2 || elapsed < MAX_TTL, "{introspections} introspections, {elapsed:?}");
    Ok(())
}

/// Without this, an outage of the server would be an outage of everything behind the gateway a minute after it began.
#[tokio::test]
async fn r056_an_old_answer_serves_in_an_outage_where_that_is_configured() -> Result<()> {
    let world = world().await;
    for (listener, in_outage) in [("stale", 200), ("strict", 503)] {
        let token = world.active();
        let status = async || anyhow::Ok(world.orders(&token).at(listener).await?.status);
        assert_eq!(status().await?, 200);
        world.scripted.respond(&token, Response::status(503));
        eventually("the answer has ended", async || {
            let status = status().await?;
            assert!([200, in_outage].contains(&status), "{listener}: {status}");
            Ok(world.introspections(&token).await? >= 2)
        })
        .await?;
        for _ in 0..3 {
            assert_eq!(status().await?, in_outage, "{listener}");
        }
        world.scripted.respond(&token, Response::inactive());
        eventually("the server is asked again", async || Ok(status().await? == 401)).await?;
        world.scripted.respond(&token, Response::status(503));
        for _ in 0..4 {
            let status = status().await?;
            assert!(matches!(status, 401 | 503), "{listener}: {status} for a token that was revoked");
        }
    }
    world.metric_reaches("phantom_token_cache_hit_stale", 3).await
}

/// If inactive tokens were not cached briefly, each request with one would be an introspection.
#[tokio::test]
async fn r054_that_a_token_is_not_active_is_known_for_a_moment() -> Result<()> {
    let world = world().await;
    let token = secrets::fresh_token("dead");
    let began = Instant::now();
    for _ in 0..20 {
        world.orders(&token).at("strict").await?.is_refused(401, "inactive");
    }
    // At most once in each `max_ttl`, on each of two workers.
    let (introspections, allowed) =
        (world.introspections(&token).await?, 2 * (1 + began.elapsed().as_secs()));
    assert!(introspections <= allowed, "{introspections} introspections, {allowed} are allowed");
    Ok(())
}

/// If only inactive tokens were cached, a client that uses its refresh token as an access token would cause an introspection with each
/// request. Each of the two workers introspects for itself, and again only after a minute.
#[tokio::test]
async fn r128_an_active_token_of_a_denied_kind_is_introspected_once() -> Result<()> {
    let world = world().await;
    for claims in [
        json!({"active": true, "token_type": "refresh_token"}),
        json!({"active": true}),
        json!({"active": true, "token_type": "Bearer", "cnf": {"kid": "x"}}),
        json!({"active": true, "token_type": "Bearer", "exp": 0, "jwt": jwt::valid()}),
    ] {
        let token = world.answered(Response::json(&claims));
        for _ in 0..12 {
            world.orders(&token).at("patient").case(&claims).await?.has_status(401);
        }
        let introspections = world.introspections(&token).await?;
        assert!(introspections <= 2, "{introspections} introspections of one token: {claims}");
    }
    Ok(())
}

/// The lifetime of entries of the listener `renewing`, which are refreshed in its second half.
const MAX_TTL: Duration = Duration::from_secs(10);
