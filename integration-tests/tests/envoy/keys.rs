//! The keys of an authorization server, in a real Envoy: what they verify, how often they are fetched, what happens while they
//! cannot be, and when they change.
//!
//! Each test has a server of its own, whose keys it holds back, withholds or rotates.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use integration_tests::api::Api;
use integration_tests::authorization_server::{
    self, AuthorizationServer, Fetches, GATEWAY_SECRET, Publication, Resource,
};
use integration_tests::client::{Answer, Client, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};
use tokio::time::Instant;

/// An Envoy, a server with keys, one that plays what it is told, and an API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    liar: ScriptedServer,
    api: Api,
}

impl Stage {
    /// Sets a stage with this many workers.
    async fn set(name: &str, workers: u32) -> Result<Self> {
        let (server, api) = (AuthorizationServer::start(name)?, Api::start()?);
        let liar = ScriptedServer::start()?;
        let mut deceived = configuration(&server);
        deceived["introspection"]["endpoint"] = json!("https://login.example.com/introspect");
        deceived["introspection"]["upstream"] = json!("liar");
        let mut discovering = configuration(&server);
        let keys = discovering["keys"].as_object_mut().expect("keys");
        keys.remove("uri");
        let metadata = format!("{}/.well-known/openid-configuration", server.issuer());
        keys.insert("discovery".to_owned(), json!(metadata));
        let mut aging = configuration(&server);
        aging["keys"]["max_age"] = json!("1s");
        aging["keys"]["max_stale"] = json!("4s");
        let mut in_use = configuration(&server);
        in_use["keys"]["max_age"] = json!("1s");
        in_use["cache"] = json!({"max_ttl": "1h", "no_store_ttl": "1h"});
        let mut alone = configuration(&server);
        alone["single_flight"] = json!(false);
        let head_only = Listener { stops_head_only: true, ..Listener::default() };
        let mut builder = EnvoyBuilder::new(name, workers, api.port())
            .cluster("authorization-server", &[server.port()])
            .cluster("liar", &[liar.port()])
            .closed_cluster("nobody-listens")
            .cluster("nobody-is-there", &[])
            .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
            .listener("gateway", &configuration(&server), Listener::default())
            .listener("head-only", &configuration(&server), head_only)
            .listener("alone", &alone, Listener::default())
            .listener("aging", &aging, Listener::default())
            .listener("in-use", &in_use, Listener::default())
            .listener("deceived", &deceived, Listener::default())
            .listener("discovering", &discovering, Listener::default());
        for upstream in NO_UPSTREAMS {
            let mut unreachable = configuration(&server);
            unreachable["keys"]["upstream"] = json!(upstream);
            builder = builder.listener(upstream, &unreachable, Listener::default());
        }
        let envoy = builder.start().await?;
        Ok(Self { envoy, server, liar, api })
    }

    fn client(&self, listener: &str) -> Client {
        self.envoy.client(listener)
    }

    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.client(listener).send(Request::get("/orders").bearer(token).named(token)).await
    }

    /// The statuses of calls that reach every worker: each is on a connection of its own.
    async fn statuses(&self, listener: &str, token: &str) -> Result<Vec<u16>> {
        let mut statuses = Vec::new();
        for _ in 0..CALLS {
            statuses.push(self.orders(listener, token).await?.status);
        }
        statuses.sort_unstable();
        statuses.dedup();
        Ok(statuses)
    }

    /// Sends tokens of made-up keys, once the cool-down time has passed and before the keys are published again. How many fetches
    /// that costs, and how many cool-down times began meanwhile.
    async fn flood(&self, listener: &str) -> Result<(u64, u64)> {
        let good = self.server.issue_jwt(Resource::Orders, "orders:read").await?;
        assert_eq!(self.orders(listener, &good).await?.status, 200);
        let loaded = Instant::now();
        let before = self.server.fetches().await?.keys;
        eventually("the cool-down time passes", async || Ok(loaded.elapsed() > COOLDOWN)).await?;
        self.server.publish(Publication::Held).await?;
        let tokens = forged(&good)?;
        let began = Instant::now();
        let calls = join_all(tokens.iter().map(|token| self.orders(listener, token)));
        let release = async {
            self.envoy.counts("wasmcustom.phantom_token_cache_miss", 1 + tokens.len() as u64).await?;
            self.server.publish(Publication::Serving).await
        };
        let (answers, released) = tokio::join!(calls, release);
        released?;
        for answer in answers {
            let answer = answer?;
            assert_eq!(answer.status, 401, "{}", answer.text());
            assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#));
        }
        Ok((self.server.fetches().await?.keys - before, cooldowns_since(began)))
    }

    /// Waits until this many introspections have found active tokens, or more.
    async fn introspected(&self, least: u64) -> Result<()> {
        self.envoy.counts("wasmcustom.phantom_token_introspection_active", least).await
    }

    /// Waits until keys and metadata, taken together, were asked for this often, or more.
    async fn asked_for(&self, least: u64) -> Result<()> {
        let is_asked_for = async || {
            let Fetches { keys, metadata } = self.server.fetches().await?;
            Ok(keys + metadata >= least)
        };
        eventually("a fetch", is_asked_for).await
    }
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"], "jwts": "verify"},
        "keys": {
            "uri": format!("{}/jwks", server.issuer()),
            "upstream": "authorization-server",
            "cooldown": "1s",
        },
        "cache": {"no_store_ttl": "1m"},
        "log_level": "debug",
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    })
}

/// If this failed, whoever answers in the server's place could call the API as anybody, or nobody could.
#[tokio::test]
async fn r041_r062_a_phantom_token_passes_if_its_issuer_signed_it_and_no_other() -> Result<()> {
    let stage = Stage::set("keys-phantom-tokens", 2).await?;
    let token = stage.server.issue("orders:read").await?;
    for listener in ["gateway", "discovering"] {
        let answer = stage.orders(listener, &token).await?;
        assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
    }
    let genuine = stage.server.introspect("gateway", &token, "application/jwt").await?;
    let (header, claims) = (jwt::header(&genuine)?, authorization_server::claims(&genuine)?);
    let mut nameless = header.clone();
    nameless.as_object_mut().expect("a header").remove("kid");
    let mut bringing_its_own = header.clone();
    bringing_its_own["jwk"] = keys::public(&keys::p256());
    bringing_its_own["jku"] = json!("https://evil.example.com/jwks");
    let mut of_another_name = header.clone();
    of_another_name["kid"] = json!("another");
    let mut more_claims = claims.clone();
    more_claims["scope"] = json!("orders:read orders:write");
    for (name, jwt, status) in [
        ("genuine", genuine.clone(), 200),
        ("by another key", jwt::signed(&header, &claims), 502),
        ("by another key without a name", jwt::signed(&nameless, &claims), 502),
        ("by another key of another name", jwt::signed(&of_another_name, &claims), 502),
        ("by a key that it brings", jwt::signed(&bringing_its_own, &claims), 502),
        ("more claims", jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&more_claims))?, 502),
        ("unsigned", jwt::altered(&genuine, |parts| parts[2].clear())?, 502),
        ("made up", jwt::with_claims(&claims), 502),
    ] {
        let token = secrets::fresh_token("played");
        stage.liar.respond(&token, Response::jwt(&jwt));
        let answer = stage.orders("deceived", &token).await?;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (status, ""),
            "{name}: {}",
            answer.text()
        );
        assert_eq!(stage.api.received(&token).len(), usize::from(status == 200), "{name}");
    }
    Ok(())
}

/// If this failed, clients would throw good tokens away while the keys cannot be had, be let in unverified, or be kept out for
/// good.
#[tokio::test]
async fn r064_r024_without_keys_nobody_is_let_in_or_blamed_until_they_come() -> Result<()> {
    let stage = Stage::set("keys-failing", 2).await?;
    let started = Instant::now();
    stage.server.publish(Publication::Failing).await?;
    let tokens = [
        stage.server.issue("orders:read").await?,
        stage.server.issue_jwt(Resource::Orders, "orders:read").await?,
    ];
    for listener in ["gateway", "discovering"] {
        for token in &tokens {
            for _ in 0..10 {
                let answer = stage.orders(listener, token).await?;
                assert_eq!(answer.status, 503, "{listener}: {}", answer.text());
                assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("5", ""));
            }
            assert_eq!(stage.api.received(token).len(), 0, "{listener}");
        }
    }
    let (Fetches { keys, metadata }, allowed) = (stage.server.fetches().await?, 2 * cooldowns_since(started));
    assert!(keys <= allowed, "{keys} fetches of keys, {allowed} are allowed");
    assert!(metadata <= allowed, "{metadata} fetches of metadata, {allowed} are allowed");
    stage.envoy.logs("the authorization server's keys or metadata are of no use").await?;
    stage.server.publish(Publication::Serving).await?;
    for listener in ["gateway", "discovering"] {
        for token in &tokens {
            let is_served = async || Ok(stage.statuses(listener, token).await? == [200]);
            eventually("both workers have keys", is_served).await?;
        }
    }
    Ok(())
}

/// Every token is a new one, so that its signature has to be verified. If this failed, an outage of the server would be one of
/// the API at once, or keys would count that nobody has seen published for long.
#[tokio::test]
async fn r064_the_last_good_keys_serve_while_none_can_be_fetched_but_not_for_ever() -> Result<()> {
    let stage = Stage::set("keys-aging", 1).await?;
    let status = async || {
        let token = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
        anyhow::Ok(stage.orders("aging", &token).await?.status)
    };
    let before = Instant::now();
    assert_eq!(status().await?, 200);
    stage.server.publish(Publication::Failing).await?;
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
    let (keys, allowed) = (stage.server.fetches().await?.keys, cooldowns_since(before));
    assert!((2..=allowed).contains(&keys), "{keys} fetches, {allowed} are allowed");
    stage.server.publish(Publication::Serving).await?;
    eventually("the keys are there again", async || Ok(status().await? == 200)).await
}

/// If this failed, a mistake in the configuration of the host would let requests hang, or in.
#[tokio::test]
async fn r064_r024_keys_that_the_host_cannot_ask_for_are_unavailable() -> Result<()> {
    let stage = Stage::set("keys-unreachable", 1).await?;
    let opaque = stage.server.issue("orders:read").await?;
    let jwt = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    for listener in NO_UPSTREAMS {
        for token in [&opaque, &jwt, &opaque] {
            for answer in join_all((0..5).map(|_| stage.orders(listener, token))).await {
                let answer = answer?;
                assert_eq!(answer.status, 503, "{listener}: {}", answer.text());
                assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("5", ""));
            }
            assert_eq!(stage.api.received(token).len(), 0, "{listener}");
        }
    }
    assert_eq!(stage.orders("gateway", &opaque).await?.status, 200, "the filter is not well any more");
    Ok(())
}

/// A request that waits for keys has been answered for once already. If its body carried it on from there, nobody's signature
/// would count.
#[tokio::test]
async fn r038_a_body_does_not_carry_a_request_past_the_filter_while_it_waits_for_keys() -> Result<()> {
    for (outcome, status) in [(Publication::Serving, 200), (Publication::Failing, 503)] {
        let stage = Stage::set(&format!("keys-body-{status}"), 1).await?;
        stage.server.publish(Publication::Held).await?;
        let mut tokens = Vec::new();
        for _ in 0..2 {
            tokens.push(stage.server.issue("orders:read").await?);
            tokens.push(stage.server.issue_jwt(Resource::Orders, "orders:read").await?);
        }
        let body = vec![b'b'; 100_000];
        let calls = tokens.iter().zip(["gateway", "gateway", "head-only", "head-only"]);
        let calls = calls.map(|(token, listener)| {
            let request = Request::post("/orders", body.clone()).bearer(token).named(token);
            let client = stage.client(listener);
            async move { client.send(request).await }
        });
        let release = async {
            stage.introspected(2).await?;
            stage.asked_for(2).await?;
            let misses = "wasmcustom.phantom_token_cache_miss";
            stage.envoy.counts(misses, 4).await?;
            for token in &tokens {
                assert_eq!(stage.api.received(token).len(), 0, "it went on without waiting");
            }
            stage.server.publish(outcome).await
        };
        let (answers, released) = tokio::join!(join_all(calls), release);
        released?;
        for (answer, token) in answers.into_iter().zip(&tokens) {
            let answer = answer?;
            assert_eq!(answer.status, status, "{}", answer.text());
            assert_eq!(stage.api.received(token).len(), usize::from(status == 200));
            assert!(status != 200 || answer.json()?["body_length"] == 100_000, "{}", answer.text());
        }
    }
    Ok(())
}

/// Metadata and keys are held back until all have been introspected, so that all wait for them. If one were forgotten, it would
/// hang; if each asked for itself, a restart would be an attack on the server.
#[tokio::test]
async fn r063_r023_many_tokens_at_once_wait_for_one_fetch_of_keys_on_each_worker() -> Result<()> {
    for (listener, documents) in [("gateway", [1, 0]), ("discovering", [1, 1])] {
        let stage = Stage::set(&format!("keys-together-{listener}"), 2).await?;
        stage.server.publish(Publication::Held).await?;
        let mut tokens = Vec::new();
        for _ in 0..30 {
            tokens.push(stage.server.issue("orders:read").await?);
        }
        let calls = join_all(tokens.iter().map(|token| stage.orders(listener, token)));
        let release = async {
            stage.introspected(30).await?;
            stage.server.publish(Publication::Serving).await
        };
        let (answers, released) = tokio::join!(calls, release);
        released?;
        for answer in answers {
            let answer = answer?;
            assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        }
        let Fetches { keys, metadata } = stage.server.fetches().await?;
        let [keys_once, metadata_once] = documents;
        assert!((keys_once..=2 * keys_once).contains(&keys), "{listener}: {keys} fetches of keys");
        assert!(
            (metadata_once..=2 * metadata_once).contains(&metadata),
            "{listener}: {metadata} of metadata"
        );
        for token in &tokens {
            assert_eq!(stage.server.introspections(token).await?, 1, "{listener}");
            assert_eq!(stage.api.received(token).len(), 1, "{listener}");
        }
    }
    Ok(())
}

/// The one whose callout fetches the keys, or asks where they are, leaves while the others wait for it, some with its token and
/// some with tokens of their own. If they were forgotten with it, they would hang until their own timeout.
#[tokio::test]
async fn r063_r023_a_client_that_leaves_while_the_keys_are_fetched_takes_nobody_with_it() -> Result<()> {
    for (listener, fetches) in
        [("gateway", Fetches { keys: 1, metadata: 0 }), ("discovering", Fetches { keys: 1, metadata: 1 })]
    {
        let stage = Stage::set(&format!("keys-left-{listener}"), 1).await?;
        stage.server.publish(Publication::Held).await?;
        let client = stage.client(listener);
        let shared = stage.server.issue("orders:read").await?;
        let first = client.start(&Request::get("/orders").bearer(&shared).named("left")).await?;
        stage.asked_for(1).await?;
        let mut tokens = vec![shared; 5];
        let mut opaque = Vec::new();
        for _ in 0..10 {
            opaque.push(stage.server.issue("orders:read").await?);
            tokens.push(stage.server.issue_jwt(Resource::Orders, "orders:read").await?);
        }
        tokens.extend_from_slice(&opaque);
        let others = join_all(tokens.iter().map(|token| stage.orders(listener, token)));
        let events = async {
            stage.envoy.holds(listener, 1 + tokens.len() as u64).await?;
            stage.introspected(1 + 10).await?;
            for token in &opaque {
                eventually("its introspection", async || Ok(stage.server.introspections(token).await? > 0))
                    .await?;
            }
            drop(first);
            stage.envoy.holds_at_most(listener, tokens.len() as u64).await?;
            stage.server.publish(Publication::Serving).await
        };
        let (answers, events) = tokio::join!(others, events);
        events?;
        for answer in answers {
            let answer = answer?;
            assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        }
        assert_eq!(stage.server.fetches().await?, fetches, "once for all, whoever has left");
        assert_eq!(stage.server.introspections(&opaque[0]).await?, 1, "once, whoever waits for the keys");
        assert_eq!(stage.api.received("left").len(), 0, "{listener}");
    }
    Ok(())
}

/// If a fetch that nobody waits for any more stayed in the way, nobody would ever get keys.
#[tokio::test]
async fn r063_when_all_leave_while_the_keys_are_fetched_the_next_one_is_served() -> Result<()> {
    let stage = Stage::set("keys-all-left", 1).await?;
    stage.server.publish(Publication::Held).await?;
    let client = stage.client("gateway");
    let mut connections = Vec::new();
    for number in 1..=5 {
        let token = stage.server.issue("orders:read").await?;
        connections.push(client.start(&Request::get("/orders").bearer(&token).named("left")).await?);
        stage.introspected(number).await?;
    }
    stage.asked_for(1).await?;
    drop(connections);
    stage.envoy.holds_nothing("gateway").await?;
    stage.server.publish(Publication::Serving).await?;
    let token = stage.server.issue("orders:read").await?;
    assert_eq!(stage.orders("gateway", &token).await?.status, 200);
    assert_eq!(stage.api.received("left").len(), 0);
    Ok(())
}

/// If made-up key names could each fetch the keys, anybody could make the gateway attack its own server.
#[tokio::test]
async fn r063_a_flood_of_unknown_keys_costs_one_fetch_per_cooldown() -> Result<()> {
    let stage = Stage::set("keys-flood", 1).await?;
    assert_eq!(stage.flood("gateway").await?.0, 1, "while a fetch is under way");
    let (before, started) = (stage.server.fetches().await?.keys, Instant::now());
    let good = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    for _ in 0..5 {
        for answer in join_all(forged(&good)?.iter().map(|token| stage.orders("gateway", token))).await {
            assert_eq!(answer?.status, 401);
        }
    }
    let (keys, allowed) = (stage.server.fetches().await?.keys - before, cooldowns_since(started));
    assert!(keys <= allowed, "{keys} fetches, {allowed} are allowed");
    Ok(())
}

/// If this failed, a rotation of keys would be an outage, or a key that was taken out of use would count for as long as a token
/// lives in a cache.
#[tokio::test]
async fn r066_a_rotation_is_followed_within_the_cooldown_on_every_worker() -> Result<()> {
    let stage = Stage::set("keys-rotation", 2).await?;
    let old = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    let opaque = stage.server.issue("orders:read").await?;
    for token in [&old, &opaque] {
        assert_eq!(stage.statuses("gateway", token).await?, [200]);
    }
    let before = stage.server.fetches().await?.keys;
    stage.server.rotate().await?;
    let rotated = Instant::now();
    let new = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    let is_accepted = async || {
        let age = rotated.elapsed();
        let is_accepted = stage.orders("gateway", &new).await?.status == 200;
        anyhow::ensure!(is_accepted || age <= COOLDOWN, "the new key was refused {age:?} after the rotation");
        Ok(is_accepted)
    };
    eventually("the new key is accepted", is_accepted).await?;
    assert_eq!(stage.statuses("gateway", &new).await?, [200], "on every worker");
    assert_eq!(stage.statuses("gateway", &old).await?, [401], "on every worker");
    assert_eq!(stage.statuses("gateway", &opaque).await?, [200], "it stands for a newly signed JWT");
    let (after, allowed) = (stage.server.fetches().await?.keys, 2 * cooldowns_since(rotated));
    assert!(after - before <= allowed, "{} fetches, {allowed} are allowed", after - before);
    Ok(())
}

/// One worker is shown a token of the new key, and the other only one that it has in its cache. If this failed, the key that was
/// removed would count there for as long as the cache keeps what it verified.
#[tokio::test]
async fn r066_a_removed_key_counts_on_no_worker_once_one_of_them_has_fetched_the_new_ones() -> Result<()> {
    let stage = Stage::set("keys-removed", 2).await?;
    let old = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    assert_eq!(stage.statuses("gateway", &old).await?, [200]);
    stage.server.rotate().await?;
    let new = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    let accepted = async || Ok(stage.orders("gateway", &new).await?.status == 200);
    eventually("the new key is accepted", accepted).await?;
    let refused = async || Ok(stage.statuses("gateway", &old).await? == [401]);
    eventually("the old one is refused on both workers", refused).await
}

/// If this failed, `max_age` would mean nothing to a token that is used often enough to stay in the cache.
#[tokio::test]
async fn r066_a_removed_key_counts_no_longer_than_keys_may_age() -> Result<()> {
    let stage = Stage::set("keys-removed-alone", 1).await?;
    let old = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    assert_eq!(stage.orders("aging", &old).await?.status, 200);
    stage.server.rotate().await?;
    eventually("it is refused", async || Ok(stage.orders("aging", &old).await?.status == 401)).await
}

/// If known tokens were asked about when keys grow old or cannot be fetched, each `max_age` and each outage of the keys would be a flood
/// of introspections, and those beyond the limits would be refused.
#[tokio::test]
async fn r117_tokens_in_use_are_introspected_once_while_keys_age_and_while_they_cannot_be_fetched()
-> Result<()> {
    let stage = Stage::set("keys-in-use", 2).await?;
    let mut tokens = Vec::new();
    for _ in 0..8 {
        let token = stage.server.issue("orders:read").await?;
        assert_eq!(stage.orders("in-use", &token).await?.status, 200);
        tokens.push(token);
    }
    for publication in [Publication::Serving, Publication::Failing] {
        stage.server.publish(publication).await?;
        let fetches = stage.server.fetches().await?.keys;
        let fetched_thrice = async || {
            for answer in join_all(tokens.iter().map(|token| stage.orders("in-use", token))).await {
                let answer = answer?;
                anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
            }
            Ok(stage.server.fetches().await?.keys >= fetches + 3)
        };
        eventually("three fetches in the background", fetched_thrice).await?;
    }
    for token in &tokens {
        assert_eq!(stage.server.introspections(token).await?, 1);
    }
    Ok(())
}

/// If this failed, whoever switches the sharing of questions off would let anybody make the gateway attack its own server.
#[tokio::test]
async fn r063_a_flood_of_unknown_keys_costs_one_fetch_where_requests_do_not_wait_together() -> Result<()> {
    let stage = Stage::set("keys-flood-alone", 1).await?;
    let (keys, allowed) = stage.flood("alone").await?;
    assert!((1..=allowed).contains(&keys), "{keys} fetches, {allowed} are allowed");
    Ok(())
}

/// Tokens with the claims of this one, each by a key of another name.
fn forged(good: &str) -> Result<Vec<String>> {
    let (header, claims) = (jwt::header(good)?, authorization_server::claims(good)?);
    let forged = (0..50).map(|number| {
        let mut header = header.clone();
        header["kid"] = json!(format!("unknown-{number}"));
        jwt::signed(&header, &claims)
    });
    Ok(forged.collect())
}

/// A cluster whose host does not listen, one without hosts, and none.
const NO_UPSTREAMS: [&str; 3] = ["nobody-listens", "nobody-is-there", "no-such-cluster"];

/// How many cool-down times have begun since then.
fn cooldowns_since(start: Instant) -> u64 {
    start.elapsed().as_secs() / COOLDOWN.as_secs() + 1
}

/// As many calls as reach both workers with certainty, for what matters here.
const CALLS: usize = 30;

/// As `configuration` has it.
const COOLDOWN: Duration = Duration::from_secs(1);

/// That of the listener `aging`.
const MAX_STALE: Duration = Duration::from_secs(4);
