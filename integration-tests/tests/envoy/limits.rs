//! A flood of random tokens, in a real Envoy with one worker: the authorization server receives no more than the limits allow, and clients
//! with valid tokens hardly notice. Each test has its own Envoy, since the counters are Envoy's.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Gate, Response};
use integration_tests::testkit::{Outcome, World};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::time::Instant;

async fn world(name: &str, limits: Value) -> Result<World> {
    World::scripted(name)?
        .configuration(json!({
            "introspection": {"timeout": "1m"},
            "rules": [{"path": "/public", "access": "public"}, {"path": "/orders"}],
        }))
        .listener("gateway", json!({"introspection": limits}))
        .start()
        .await
}

/// If this failed, any client could take the authorization server down through the gateway, or the gateway's defence would
/// refuse valid tokens too.
#[tokio::test]
async fn r111_a_flood_of_random_tokens_is_limited_and_a_known_one_passes() -> Result<()> {
    let world = world("limits-per-second", json!({"max_per_second": 5})).await?;
    let known = world.active();
    world.orders(&known).await?.is_served();

    let began = Instant::now();
    let made_up = fresh(60);
    let is_over = AtomicBool::new(false);
    let flood = async {
        let outcomes = world.together(made_up.iter().map(|token| world.orders(token))).await;
        is_over.store(true, Ordering::Relaxed);
        outcomes
    };
    let undisturbed = AtomicU32::new(0);
    let meanwhile = async {
        while !is_over.load(Ordering::Relaxed) {
            world.orders(&known).case("in the cache").await?.is_served();
            world.get("/public").await?.is_served();
            undisturbed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let (outcomes, ()) = tokio::try_join!(flood, meanwhile)?;
    let elapsed = began.elapsed();
    assert!(undisturbed.into_inner() > 0, "nobody tried");

    let asked = world.scripted.asked_about(&made_up);
    let promised = 5.0 * (1.0 + elapsed.as_secs_f64());
    assert!(asked >= 4, "only {asked} introspections: the limit is stricter than it says");
    assert!(asked as f64 <= promised, "{asked} introspections in {elapsed:?}");
    assert_eq!(count(&outcomes, 401), asked);
    are_withheld(&world, outcomes, 60 - asked).await?;

    recovers(&world).await?;
    assert_eq!(world.introspections(&known).await?, 1, "the known token was asked about once");
    Ok(())
}

/// If this failed, a slow authorization server would get more and more concurrent introspections, the slower it is.
#[tokio::test]
async fn r111_concurrent_queries_to_a_slow_server_are_limited() -> Result<()> {
    let world = world("limits-concurrent", json!({"max_concurrent": 3})).await?;
    let known = world.active();
    world.orders(&known).await?.is_served();
    let (slow, gates) = world.active_later(20);

    let waiting = world.together(slow.iter().map(|token| world.orders(token)));
    let meanwhile = async {
        let are_withheld =
            async || Ok(withheld(&world).await? >= 17 && world.scripted.asked_about(&slow) >= 3);
        eventually("17 are withheld", are_withheld).await?;
        world.orders(&known).case("in the cache").await?.is_served();
        let outcome = world.orders(&secrets::fresh_token("one-too-many")).await?;
        assert_eq!(outcome.is_refused(503, "introspection_limit").header("retry-after"), "5");
        let shared = slow.iter().find(|token| !world.scripted.introspections(token).is_empty());
        let shared = world.orders(shared.expect("one that is asked about"));
        let release = async {
            world.envoy.holds("gateway", 3 + 1).await?;
            gates.into_iter().for_each(Gate::open);
            Ok(())
        };
        let (shared, ()) = tokio::try_join!(shared.into_future(), release)?;
        // A request that needs an introspection in progress shares it.
        shared.is_served();
        Ok(())
    };
    let (outcomes, ()) = tokio::try_join!(waiting, meanwhile)?;
    assert_eq!((count(&outcomes, 200), count(&outcomes, 503)), (3, 17));
    assert_eq!(world.scripted.asked_about(&slow), 3);
    world.metric_is(WITHHELD, 18).await?;

    // All have ended, so three more may run concurrently.
    for outcome in world.together((0..3).map(|_| world.orders(&world.active()))).await? {
        outcome.is_served();
    }
    Ok(())
}

/// If any number of requests could wait for one introspection, a slow server and one token would fill a worker's memory.
#[tokio::test]
async fn r057_r111_pending_requests_are_limited() -> Result<()> {
    let world = world("limits-waiting", json!({"max_waiting": 4})).await?;
    let (slow, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let release = async {
        eventually("16 are withheld", async || Ok(withheld(&world).await? >= 16)).await?;
        gate.open();
        Ok(())
    };
    let (outcomes, ()) = tokio::try_join!(world.together(vec![world.orders(&slow); 20]), release)?;
    assert_eq!((count(&outcomes, 200), count(&outcomes, 503)), (4, 16));
    are_withheld(&world, outcomes, 16).await?;
    world.orders(&slow).case("now it is in the cache").await?.is_served();
    Ok(())
}

/// If a server that is down were asked about every token, requests would wait in vain, and all of them would hit it when it recovers.
#[tokio::test]
async fn r024_r111_the_circuit_breaker_opens_and_recovers() -> Result<()> {
    let circuit = json!({"circuit_breaker": {"failures": 3, "open_for": "1s"}});
    let world = world("limits-circuit", circuit).await?;
    let known = world.active();
    world.orders(&known).await?.is_served();
    let down: Vec<String> = (0..40).map(|_| world.answered(Response::status(500))).collect();
    let began = Instant::now();
    for token in &down {
        let outcome = world.orders(token).await?.has_status(503);
        assert!(["1", "5"].contains(&outcome.header("retry-after")), "{:?}", outcome.headers);
        world.orders(&known).case("in the cache").await?.is_served();
    }
    // Once the circuit is open, one introspection per second probes whether the server is back.
    let (asked, allowed) = (world.scripted.asked_about(&down) as u64, 3 + began.elapsed().as_secs());
    assert!(asked <= allowed, "{asked} introspections of a server that is down, {allowed} are allowed");
    world.metric_reaches("phantom_token_circuit_breaker_opened", 1).await?;
    world.metric_is("phantom_token_introspection_circuit_open", 40 - asked).await?;
    recovers(&world).await
}

/// If an introspection stopped counting when its client leaves, although the server still works on it, opening and closing connections
/// would be a way around the limit.
#[tokio::test]
async fn r111_clients_that_leave_do_not_make_room_while_the_server_is_still_busy() -> Result<()> {
    let world = world("limits-left", json!({"max_concurrent": 3})).await?;
    let (began, mut gates, mut in_all) = (Instant::now(), Vec::new(), 0);
    for round in 1..=4 {
        let (left, held) = world.active_later(3);
        gates.extend(held);
        let before = withheld(&world).await?;
        let mut connections = Vec::new();
        for token in &left {
            connections.push(world.orders(token).start().await?);
        }
        eventually("each is asked about or withheld", async || {
            Ok(world.scripted.asked_about(&left) as u64 + withheld(&world).await? - before >= 3)
        })
        .await?;
        let busy = world.scripted.busy();
        assert!(busy <= 3, "{busy} introspections at once, in round {round}");
        drop(connections);
        world.envoy.holds_nothing("gateway").await?;
        in_all += world.scripted.asked_about(&left);
    }
    // Each counts until the server has responded, or Envoy gives up.
    let allowed = 3 * (1 + began.elapsed().as_secs() / 60);
    assert!(in_all as u64 <= allowed, "{in_all} introspections, {allowed} are allowed");
    Ok(())
}

/// If a client that leaves kept its slot until the timeout, a few that come and go would shut out every token that is not cached.
#[tokio::test]
async fn r113_the_slot_of_a_cancelled_stream_is_free_when_the_server_has_answered() -> Result<()> {
    let world = world("limits-freed", json!({"max_concurrent": 3})).await?;
    for round in 1..=4 {
        let (left, gates) = world.active_later(3);
        let mut connections = Vec::new();
        for token in &left {
            connections.push(world.orders(token).start().await?);
        }
        eventually("all are asked about", async || Ok(world.scripted.asked_about(&left) >= 3)).await?;
        drop(connections);
        world.envoy.holds_nothing("gateway").await?;
        gates.into_iter().for_each(Gate::open);
        // Three for the clients that left, and one for the valid token of each round before.
        world.envoy.counts("cluster.scripted-server.upstream_rq_completed", round * 4 - 1).await?;
        world.orders(&world.active()).case(format!("in round {round}")).await?.is_served();
    }
    Ok(())
}

fn fresh(count: usize) -> Vec<String> {
    (0..count).map(|_| secrets::fresh_token("made-up")).collect()
}

fn count(outcomes: &[Outcome], status: u16) -> usize {
    outcomes.iter().filter(|outcome| outcome.status == status).count()
}

async fn withheld(world: &World) -> Result<u64> {
    world.metric(WITHHELD).await
}

/// Asserts that this many requests were refused by the limits. If this failed, clients would not know when to retry, or operators how many
/// introspections are withheld.
async fn are_withheld(world: &World, outcomes: Vec<Outcome>, expected: usize) -> Result<()> {
    assert_eq!(count(&outcomes, 503), expected);
    for outcome in outcomes {
        let status = outcome.status;
        let outcome = outcome.has_status(status);
        if status == 503 {
            assert_eq!(outcome.header("retry-after"), "5");
            assert_eq!(outcome.json()?["error"], "temporarily_unavailable");
        }
    }
    world.metric_is(WITHHELD, expected as u64).await
}

/// Asserts that the gateway serves again. If this failed, one flood would disable it permanently.
async fn recovers(world: &World) -> Result<()> {
    let late = world.active();
    eventually("the token is served", async || Ok(world.orders(&late).await?.status == 200)).await
}

const WITHHELD: &str = "phantom_token_introspection_limited";
