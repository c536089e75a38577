//! The keys of an authorization server, in a real Envoy: what they verify, how often they are fetched, what happens while they are
//! unavailable, and when they change.
//!
//! Each test has its own server, whose keys it delays, withholds or rotates.

use std::time::Duration;

use anyhow::Result;
use integration_tests::artefact::Artefact;
use integration_tests::authorization_server::{Fetches, Publication, Resource};
use integration_tests::envoy::Listener;
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::scripted_server::Response;
use integration_tests::testkit::{World, by_scripted_server};
use integration_tests::{jwt, keys};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Starts an Envoy with this many workers and these listeners, a server whose keys are published, and a scripted one.
async fn world(name: &str, workers: u32, listeners: &[&str]) -> Result<World> {
    publishing(Publication::Serving, name, workers, listeners).await
}

/// Starts the same with this publication of the keys from the beginning: the native module fetches them without a request.
async fn publishing(publication: Publication, name: &str, workers: u32, listeners: &[&str]) -> Result<World> {
    let world = World::certified(name)?;
    let issuer = world.issuer();
    world.server().publish(publication).await?;
    let mut world = world
        .workers(workers)
        .configuration(json!({
            "token": {"jwts": "verify"},
            "keys": {"jwks_uri": format!("{issuer}/jwks"), "upstream": "authorization-server", "cooldown": "1s"},
            "cache": {"no_store_ttl": "1m"},
        }))
        .envoy(|envoy| envoy.closed_cluster("closed-port").cluster("no-hosts", &[]));
    for listener in listeners {
        let head_only = Listener { stops_head_only: *listener == "head-only", ..Listener::default() };
        world = world.listener_on(listener, edits(listener, &issuer), head_only);
    }
    world.start().await
}

/// The edits of a listener's configuration.
fn edits(listener: &str, issuer: &str) -> Value {
    match listener {
        "gateway" | "head-only" => json!({}),
        "alone" => json!({"single_flight": false}),
        "aging" => json!({"keys": {"max_age": "1s", "max_stale": "4s"}}),
        "in-use" => json!({"keys": {"max_age": "1s"}, "cache": {"max_ttl": "1h", "no_store_ttl": "1h"}}),
        "deceived" => by_scripted_server(),
        "discovering" => {
            let metadata = format!("{issuer}/.well-known/openid-configuration");
            json!({"keys": {"jwks_uri": null, "metadata_url": metadata}})
        }
        upstream => json!({"keys": {"upstream": upstream}}),
    }
}

/// Issues this many opaque tokens.
async fn opaque(world: &World, count: usize) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for _ in 0..count {
        tokens.push(world.issue("orders:read").await?);
    }
    Ok(tokens)
}

async fn issued(world: &World) -> Result<String> {
    world.server().issue_jwt(Resource::Orders, "orders:read").await
}

/// Returns the distinct statuses of calls that reach every worker: each is on its own connection.
async fn statuses(world: &World, listener: &str, token: &str) -> Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..CALLS {
        statuses.push(world.orders(token).at(listener).await?.status);
    }
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

/// Sends tokens with random `kid`, once the cool-down time has passed and before the keys are published again. Returns how many fetches
/// that causes, and how many cool-down times began meanwhile.
async fn flood(world: &World, listener: &str) -> Result<(u64, u64)> {
    let good = issued(world).await?;
    world.orders(&good).at(listener).await?.is_served();
    let loaded = Instant::now();
    let before = world.server().fetches().await?.keys;
    eventually("the cool-down time passes", async || Ok(loaded.elapsed() > COOLDOWN)).await?;
    world.server().publish(Publication::Held).await?;
    let tokens = forged(&good)?;
    let began = Instant::now();
    let release = async {
        world.metric_reaches("phantom_token_cache_miss", 1 + tokens.len() as u64).await?;
        world.server().publish(Publication::Serving).await
    };
    let calls = world.together(tokens.iter().map(|token| world.orders(token).at(listener)));
    let (outcomes, ()) = tokio::try_join!(calls, release)?;
    for outcome in outcomes {
        outcome.has_status(401).is_challenged_by(r#"error="invalid_token""#);
    }
    Ok((world.server().fetches().await?.keys - before, cooldowns_since(began)))
}

/// Waits until at least this many introspections have found active tokens.
async fn introspected(world: &World, least: u64) -> Result<()> {
    world.metric_reaches("phantom_token_introspection_active", least).await
}

/// Waits until keys and metadata together were requested at least this often.
async fn asked_for(world: &World, least: u64) -> Result<()> {
    let is_asked_for = async || {
        let Fetches { keys, metadata } = world.server().fetches().await?;
        Ok(keys + metadata >= least)
    };
    eventually("a fetch", is_asked_for).await
}

/// If this failed, an impostor of the server could call the API as any user, or no client could call it.
#[tokio::test]
async fn r041_r062_a_phantom_token_passes_if_its_issuer_signed_it_and_no_other() -> Result<()> {
    let world = world("keys-phantom-tokens", 2, &["gateway", "discovering", "deceived"]).await?;
    let token = world.issue("orders:read").await?;
    for listener in ["gateway", "discovering"] {
        world.orders(&token).at(listener).await?.is_served();
    }
    let genuine = world.server().introspect("gateway", &token, "application/jwt").await?;
    let (header, claims) = (jwt::header(&genuine)?, jwt::claims(&genuine)?);
    let by_another = |edits: Value| jwt::signed(&merged(&header, edits), &claims);
    let more_claims = merged(&claims, json!({"scope": "orders:read orders:write"}));
    let its_own = json!({"jwk": keys::public(&keys::p256()), "jku": "https://evil.example.com/jwks"});
    for (case, jwt, status) in [
        ("genuine", genuine.clone(), 200),
        ("by another key", by_another(json!({})), 502),
        ("by another key without a name", by_another(json!({"kid": null})), 502),
        ("by another key of another name", by_another(json!({"kid": "another"})), 502),
        ("by a key that it brings", by_another(its_own), 502),
        ("more claims", jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&more_claims))?, 502),
        ("unsigned", jwt::altered(&genuine, |parts| parts[2].clear())?, 502),
        ("made up", jwt::with_claims(&claims), 502),
    ] {
        let token = world.answered(Response::jwt(&jwt));
        world.orders(&token).at("deceived").case(case).await?.has_status(status);
    }
    Ok(())
}

/// If this failed, clients would discard valid tokens while the keys are unavailable, be let in unverified, or be kept out permanently.
#[tokio::test]
async fn r064_r024_without_keys_every_token_is_a_503_until_they_are_fetched() -> Result<()> {
    let started = Instant::now();
    let listeners = ["gateway", "discovering"];
    let world = publishing(Publication::Failing, "keys-failing", 2, &listeners).await?;
    let tokens = [world.issue("orders:read").await?, issued(&world).await?];
    for listener in ["gateway", "discovering"] {
        for token in &tokens {
            for _ in 0..10 {
                let outcome = world.orders(token).at(listener).await?.is_refused(503, "jwks_unavailable");
                assert_eq!(outcome.header("retry-after"), "5");
            }
        }
    }
    let (Fetches { keys, metadata }, allowed) =
        (world.server().fetches().await?, engines(2) * cooldowns_since(started));
    assert!(keys <= allowed, "{keys} fetches of keys, {allowed} are allowed");
    assert!(metadata <= allowed, "{metadata} fetches of metadata, {allowed} are allowed");
    world.envoy.logs("the authorization server's keys or metadata cannot be used").await?;
    world.server().publish(Publication::Serving).await?;
    for listener in ["gateway", "discovering"] {
        for token in &tokens {
            let is_served = async || Ok(statuses(&world, listener, token).await? == [200]);
            eventually("both workers have keys", is_served).await?;
        }
    }
    Ok(())
}

/// Every token is new, so that its signature has to be verified. If this failed, an outage of the server would immediately be one of the
/// API, or keys would count long after they were last published.
#[tokio::test]
async fn r064_the_last_good_keys_serve_while_none_can_be_fetched_but_not_for_ever() -> Result<()> {
    let before = Instant::now();
    let world = world("keys-aging", 1, &["aging"]).await?;
    let status = async || {
        let token = issued(&world).await?;
        anyhow::Ok(world.orders(&token).at("aging").await?.status)
    };
    assert_eq!(status().await?, 200);
    world.server().publish(Publication::Failing).await?;
    let loaded = Instant::now();
    let is_refused = async || {
        let age = loaded.elapsed();
        match status().await? {
            200 if age > MAX_STALE => anyhow::bail!("keys counted that were {age:?} old"),
            200 => Ok(false),
            503 => Ok(true),
            other => anyhow::bail!("{other}"),
        }
    };
    eventually("the keys are too old", is_refused).await?;
    assert!(before.elapsed() >= MAX_STALE, "refused after {:?}", before.elapsed());
    let (keys, allowed) = (world.server().fetches().await?.keys, engines(1) * cooldowns_since(before));
    assert!((2..=allowed).contains(&keys), "{keys} fetches, {allowed} are allowed");
    world.server().publish(Publication::Serving).await?;
    eventually("the keys are there again", async || Ok(status().await? == 200)).await
}

/// If this failed, an error in the host's configuration would make requests hang, or let them in.
#[tokio::test]
async fn r064_r024_keys_that_the_host_cannot_ask_for_are_unavailable() -> Result<()> {
    let world = world("keys-unreachable", 1, &[&["gateway"], &NO_UPSTREAMS[..]].concat()).await?;
    let opaque = world.issue("orders:read").await?;
    let jwt = issued(&world).await?;
    for listener in NO_UPSTREAMS {
        for token in [&opaque, &jwt, &opaque] {
            for outcome in world.together(vec![world.orders(token).at(listener); 5]).await? {
                assert_eq!(outcome.has_status(503).header("retry-after"), "5");
            }
        }
    }
    world.orders(&opaque).at("gateway").case("the filter is not well any more").await?.is_served();
    Ok(())
}

/// A request that waits for keys has already been introspected. If its body resumed it there, no signature would be checked.
#[tokio::test]
async fn r038_a_body_does_not_carry_a_request_past_the_filter_while_it_waits_for_keys() -> Result<()> {
    for (outcome, status) in [(Publication::Serving, 200), (Publication::Failing, 503)] {
        let name = format!("keys-body-{status}");
        let world = publishing(Publication::Held, &name, 1, &["gateway", "head-only"]).await?;
        let mut calls = Vec::new();
        for listener in ["gateway", "head-only"] {
            for token in [world.issue("orders:read").await?, issued(&world).await?] {
                let post = world.post("/orders", vec![b'b'; 100_000]).at(listener);
                calls.push(post.bearer(&token).named("with-a-body"));
            }
        }
        let release = async {
            introspected(&world, 2).await?;
            asked_for(&world, 2).await?;
            world.metric_reaches("phantom_token_cache_miss", 4).await?;
            assert_eq!(world.arrived("with-a-body").len(), 0, "it went on without waiting");
            world.server().publish(outcome).await
        };
        let (answers, ()) = tokio::try_join!(world.together(calls), release)?;
        for answer in answers {
            assert_eq!(answer.status, status, "{answer}");
            assert!(status != 200 || answer.json()?["body_length"] == 100_000, "{answer}");
        }
        assert_eq!(world.arrived("with-a-body").len(), if status == 200 { 4 } else { 0 });
    }
    Ok(())
}

/// Metadata and keys are held back until all tokens have been introspected, so that all requests wait for them. If one were forgotten, it
/// would hang; if each fetched for itself, a restart would be an attack on the server.
#[tokio::test]
async fn r063_r023_many_tokens_at_once_wait_for_one_fetch_of_keys_on_each_worker() -> Result<()> {
    for (listener, documents) in [("gateway", [1, 0]), ("discovering", [1, 1])] {
        let name = format!("keys-together-{listener}");
        let world = publishing(Publication::Held, &name, 2, &[listener]).await?;
        let tokens = opaque(&world, 30).await?;
        let release = async {
            introspected(&world, 30).await?;
            world.server().publish(Publication::Serving).await
        };
        let calls = world.together(tokens.iter().map(|token| world.orders(token).at(listener)));
        let (outcomes, ()) = tokio::try_join!(calls, release)?;
        for outcome in outcomes {
            outcome.is_served();
        }
        let Fetches { keys, metadata } = world.server().fetches().await?;
        let [keys_once, metadata_once] = documents;
        assert!((keys_once..=2 * keys_once).contains(&keys), "{listener}: {keys} fetches of keys");
        assert!(
            (metadata_once..=2 * metadata_once).contains(&metadata),
            "{listener}: {metadata} of metadata"
        );
        for token in &tokens {
            assert_eq!(world.introspections(token).await?, 1, "{listener}");
        }
    }
    Ok(())
}

/// The client whose callout fetches the keys or the metadata leaves while the others wait for them, some with its token and some with their
/// own. If they were forgotten with it, they would hang until their own timeout.
#[tokio::test]
async fn r063_r023_a_stream_cancelled_during_a_key_fetch_does_not_affect_others() -> Result<()> {
    for (listener, fetches) in
        [("gateway", Fetches { keys: 1, metadata: 0 }), ("discovering", Fetches { keys: 1, metadata: 1 })]
    {
        let name = format!("keys-left-{listener}");
        let world = publishing(Publication::Held, &name, 1, &[listener]).await?;
        let shared = world.issue("orders:read").await?;
        let first = world.orders(&shared).at(listener).named("left").start().await?;
        asked_for(&world, 1).await?;
        let opaque = opaque(&world, 10).await?;
        let mut tokens = [vec![shared; 5], opaque.clone()].concat();
        for _ in 0..10 {
            tokens.push(issued(&world).await?);
        }
        let events = async {
            world.envoy.holds(listener, 1 + tokens.len() as u64).await?;
            introspected(&world, 1 + 10).await?;
            for token in &opaque {
                eventually("its introspection", async || Ok(world.introspections(token).await? > 0)).await?;
            }
            drop(first);
            world.envoy.holds_at_most(listener, tokens.len() as u64).await?;
            world.server().publish(Publication::Serving).await
        };
        let others = world.together(tokens.iter().map(|token| world.orders(token).at(listener)));
        let (outcomes, ()) = tokio::try_join!(others, events)?;
        for outcome in outcomes {
            outcome.is_served();
        }
        assert_eq!(world.server().fetches().await?, fetches, "once for all, whoever has left");
        assert_eq!(world.introspections(&opaque[0]).await?, 1, "once, whoever waits for the keys");
        assert_eq!(world.arrived("left").len(), 0, "{listener}");
    }
    Ok(())
}

/// If a fetch whose clients have disconnected blocked the next one, the keys would never arrive.
#[tokio::test]
async fn r063_when_all_leave_while_the_keys_are_fetched_the_next_one_is_served() -> Result<()> {
    let world = publishing(Publication::Held, "keys-all-left", 1, &["gateway"]).await?;
    let mut connections = Vec::new();
    for number in 1..=5 {
        let token = world.issue("orders:read").await?;
        connections.push(world.orders(&token).named("left").start().await?);
        introspected(&world, number).await?;
    }
    asked_for(&world, 1).await?;
    drop(connections);
    world.envoy.holds_nothing("gateway").await?;
    world.server().publish(Publication::Serving).await?;
    let token = world.issue("orders:read").await?;
    world.orders(&token).at("gateway").await?.is_served();
    assert_eq!(world.arrived("left").len(), 0);
    Ok(())
}

/// If each random `kid` caused a fetch, any client could make the gateway attack its own server.
#[tokio::test]
async fn r063_a_flood_of_unknown_keys_costs_one_fetch_per_cooldown() -> Result<()> {
    let world = world("keys-flood", 1, &["gateway"]).await?;
    assert_eq!(flood(&world, "gateway").await?.0, 1, "while a fetch is under way");
    let (before, started) = (world.server().fetches().await?.keys, Instant::now());
    let good = issued(&world).await?;
    for _ in 0..5 {
        let forged = forged(&good)?;
        for outcome in world.together(forged.iter().map(|token| world.orders(token))).await? {
            outcome.has_status(401);
        }
    }
    let (keys, allowed) = (world.server().fetches().await?.keys - before, cooldowns_since(started));
    assert!(keys <= allowed, "{keys} fetches, {allowed} are allowed");
    Ok(())
}

/// If this failed, a key rotation would be an outage, or a retired key would count for as long as a token stays in a cache.
#[tokio::test]
async fn r066_a_rotation_is_followed_within_the_cooldown_on_every_worker() -> Result<()> {
    let world = world("keys-rotation", 2, &["gateway"]).await?;
    let old = issued(&world).await?;
    let opaque = world.issue("orders:read").await?;
    for token in [&old, &opaque] {
        assert_eq!(statuses(&world, "gateway", token).await?, [200]);
    }
    let before = world.server().fetches().await?.keys;
    world.server().rotate().await?;
    let rotated = Instant::now();
    let new = issued(&world).await?;
    let is_accepted = async || {
        let age = rotated.elapsed();
        let is_accepted = world.orders(&new).at("gateway").await?.status == 200;
        anyhow::ensure!(is_accepted || age <= COOLDOWN, "the new key was refused {age:?} after the rotation");
        Ok(is_accepted)
    };
    eventually("the new key is accepted", is_accepted).await?;
    assert_eq!(statuses(&world, "gateway", &new).await?, [200], "on every worker");
    assert_eq!(statuses(&world, "gateway", &old).await?, [401], "on every worker");
    assert_eq!(statuses(&world, "gateway", &opaque).await?, [200], "it stands for a newly signed JWT");
    let (after, allowed) = (world.server().fetches().await?.keys, engines(2) * cooldowns_since(rotated));
    assert!(after - before <= allowed, "{} fetches, {allowed} are allowed", after - before);
    Ok(())
}

/// One worker gets a token of the new key, and the other only one that it has cached. If this failed, the removed key would count there for
/// as long as the cache keeps what it verified.
#[tokio::test]
async fn r066_a_removed_key_counts_on_no_worker_once_one_of_them_has_fetched_the_new_ones() -> Result<()> {
    let world = world("keys-removed", 2, &["gateway"]).await?;
    let old = issued(&world).await?;
    assert_eq!(statuses(&world, "gateway", &old).await?, [200]);
    world.server().rotate().await?;
    let new = issued(&world).await?;
    let accepted = async || Ok(world.orders(&new).at("gateway").await?.status == 200);
    eventually("the new key is accepted", accepted).await?;
    let refused = async || Ok(statuses(&world, "gateway", &old).await? == [401]);
    eventually("the old one is refused on both workers", refused).await
}

/// If this failed, `max_age` would not apply to a token that is used often enough to stay in the cache.
#[tokio::test]
async fn r066_a_removed_key_counts_no_longer_than_keys_may_age() -> Result<()> {
    let world = world("keys-removed-alone", 1, &["aging"]).await?;
    let old = issued(&world).await?;
    world.orders(&old).at("aging").await?.is_served();
    world.server().rotate().await?;
    eventually("it is refused", async || Ok(world.orders(&old).at("aging").await?.status == 401)).await
}

/// If cached tokens were introspected when keys grow old or cannot be fetched, each `max_age` and each outage of the keys would be a flood
/// of introspections, and those beyond the limits would be refused.
#[tokio::test]
async fn r117_tokens_in_use_are_introspected_once_while_keys_age_and_while_they_cannot_be_fetched()
-> Result<()> {
    let world = world("keys-in-use", 2, &["in-use"]).await?;
    let tokens = opaque(&world, 8).await?;
    for token in &tokens {
        world.orders(token).at("in-use").await?.is_served();
    }
    for publication in [Publication::Serving, Publication::Failing] {
        world.server().publish(publication).await?;
        let fetches = world.server().fetches().await?.keys;
        let fetched_thrice = async || {
            let calls = tokens.iter().map(|token| world.orders(token).at("in-use"));
            for outcome in world.together(calls).await? {
                outcome.is_served();
            }
            Ok(world.server().fetches().await?.keys >= fetches + 3)
        };
        eventually("three fetches in the background", fetched_thrice).await?;
    }
    for token in &tokens {
        assert_eq!(world.introspections(token).await?, 1);
    }
    Ok(())
}

/// If this failed, without `single_flight`, any client could make the gateway attack its own server.
#[tokio::test]
async fn r063_a_flood_of_unknown_keys_costs_one_fetch_without_coalescing() -> Result<()> {
    let world = world("keys-flood-alone", 1, &["alone"]).await?;
    let (keys, allowed) = flood(&world, "alone").await?;
    assert!((1..=allowed).contains(&keys), "{keys} fetches, {allowed} are allowed");
    Ok(())
}

/// Returns tokens with the claims of this one, each with an unknown `kid`.
fn forged(good: &str) -> Result<Vec<String>> {
    let (header, claims) = (jwt::header(good)?, jwt::claims(good)?);
    let forged = (0..50).map(|number| {
        let mut header = header.clone();
        header["kid"] = json!(format!("unknown-{number}"));
        jwt::signed(&header, &claims)
    });
    Ok(forged.collect())
}

/// A cluster whose host does not listen, one without hosts, and one that does not exist.
const NO_UPSTREAMS: [&str; 3] = ["closed-port", "no-hosts", "no-such-cluster"];

/// The number of engines that fetch keys: one for each worker, and in the native module one in the main thread.
fn engines(workers: u64) -> u64 {
    workers + u64::from(Artefact::chosen() != Artefact::Wasm)
}

/// How many cool-down times have begun since then.
fn cooldowns_since(start: Instant) -> u64 {
    start.elapsed().as_secs() / COOLDOWN.as_secs() + 1
}

/// Enough calls to reach both workers almost certainly.
const CALLS: usize = 30;

/// The cool-down time in the configuration.
const COOLDOWN: Duration = Duration::from_secs(1);

/// `max_stale` of the listener `aging`.
const MAX_STALE: Duration = Duration::from_secs(4);
