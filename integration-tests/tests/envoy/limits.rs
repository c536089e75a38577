//! A flood of made-up tokens, in a real Envoy with one worker: the authorization server is asked as much as it was promised, and
//! whoever has a good token hardly notices. Each test has an Envoy of its own, since the counters are Envoy's.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Result;
use futures::future::join_all;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Gate, Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::time::Instant;

struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
}

async fn set_stage(name: &str, limits: &[(&str, Value)]) -> Result<Stage> {
    let (server, api) = (ScriptedServer::start()?, Api::start()?);
    let mut configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
            "timeout": "1m",
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "rules": [{"path": "/public", "access": "public"}, {"path": "/orders"}],
    });
    for (name, limit) in limits {
        configuration["introspection"][name] = limit.clone();
    }
    let envoy = EnvoyBuilder::new(name, 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .listener("gateway", &configuration, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

/// If this failed, anybody could take the authorization server down through the gateway, or the gateway's defence would take good
/// tokens down with it.
#[tokio::test]
async fn r111_a_flood_of_made_up_tokens_is_held_back_and_a_known_one_passes() -> Result<()> {
    let stage = set_stage("limits-per-second", &[("max_per_second", json!(5))]).await?;
    let known = stage.active("known")?;
    assert_eq!(stage.orders(&known).await?.status, 200);

    let began = Instant::now();
    let made_up: Vec<String> = (0..60).map(|_| secrets::fresh_token("made-up")).collect();
    let is_over = AtomicBool::new(false);
    let flood = async {
        let answers = join_all(made_up.iter().map(|token| stage.orders(token))).await;
        is_over.store(true, Ordering::Relaxed);
        answers.into_iter().collect::<Result<Vec<_>>>()
    };
    let undisturbed = AtomicU32::new(0);
    let meanwhile = async {
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(stage.orders(&known).await?.status, 200, "a token in the cache");
            assert_eq!(stage.envoy.client("gateway").send(Request::get("/public")).await?.status, 200);
            undisturbed.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let (answers, known_answers) = tokio::join!(flood, meanwhile);
    let (answers, elapsed) = (answers?, began.elapsed());
    known_answers?;
    assert!(undisturbed.into_inner() > 0, "nobody tried");

    let asked: usize = made_up.iter().map(|token| stage.server.introspections(token).len()).sum();
    let promised = 5.0 * (1.0 + elapsed.as_secs_f64());
    assert!(asked >= 4, "only {asked} introspections: the limit is stricter than it says");
    assert!(asked as f64 <= promised, "{asked} introspections in {elapsed:?}");
    stage.assert_withheld(&answers, 60 - asked).await?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), asked);
    for token in &made_up {
        assert_eq!(stage.api.received(token).len(), 0);
    }

    let late = stage.active("late")?;
    stage.recovers(&late).await?;
    assert_eq!(stage.server.introspections(&known).len(), 1, "the known token was asked about once");
    Ok(())
}

/// If this failed, a slow authorization server would be asked more and more at one time, the slower it gets.
#[tokio::test]
async fn r111_a_slow_server_is_asked_no_more_than_so_many_things_at_once() -> Result<()> {
    let stage = set_stage("limits-concurrent", &[("max_concurrent", json!(3))]).await?;
    let known = stage.active("known")?;
    assert_eq!(stage.orders(&known).await?.status, 200);
    let slow: Vec<String> = (0..20).map(|_| secrets::fresh_token("slow")).collect();
    let gates = stage.held(&slow)?;

    let waiting = join_all(slow.iter().map(|token| stage.orders(token)));
    let meanwhile = async {
        eventually("17 are withheld", async || Ok(stage.withheld().await? >= 17 && stage.asked(&slow) >= 3))
            .await?;
        assert_eq!(stage.orders(&known).await?.status, 200, "a token in the cache");
        let refused = stage.orders(&secrets::fresh_token("one-too-many")).await?;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
        let shared = slow.iter().find(|token| !stage.server.introspections(token).is_empty());
        let shared = stage.orders(shared.expect("one that is asked about"));
        let release = async {
            stage.envoy.holds("gateway", 3 + 1).await?;
            gates.into_iter().for_each(Gate::open);
            anyhow::Ok(())
        };
        let (shared, released) = tokio::join!(shared, release);
        released?;
        assert_eq!(shared?.status, 200, "who needs an answer that was asked for waits along");
        anyhow::Ok(())
    };
    let (answers, meanwhile) = tokio::join!(waiting, meanwhile);
    meanwhile?;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(stage.asked(&slow), 3);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(refused.iter().all(|answer| answer.status == 503), "{refused:?}");
    assert_eq!(stage.withheld().await?, 18);

    // All are answered, so three more may be asked about at once.
    let next: Vec<String> = (0..3).map(|_| stage.active("next")).collect::<Result<_>>()?;
    for answer in join_all(next.iter().map(|token| stage.orders(token))).await {
        assert_eq!(answer?.status, 200);
    }
    Ok(())
}

/// If any number of requests could wait for one answer, a slow server and one token would fill a worker's memory.
#[tokio::test]
async fn r057_r111_no_more_requests_wait_than_may() -> Result<()> {
    let stage = set_stage("limits-waiting", &[("max_waiting", json!(4))]).await?;
    let slow = secrets::fresh_token("slow");
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.server.respond(&slow, play);
    let calls = join_all((0..20).map(|_| stage.orders(&slow)));
    let release = async {
        eventually("16 are withheld", async || Ok(stage.withheld().await? >= 16)).await?;
        gate.open();
        anyhow::Ok(())
    };
    let (answers, released) = tokio::join!(calls, release);
    released?;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (4, 16));
    stage.assert_withheld(&answers, 16).await?;
    assert_eq!(stage.orders(&slow).await?.status, 200, "now it is in the cache");
    Ok(())
}

/// If a server that is down were asked about every token, requests would wait for nothing, and all of them would meet it when it
/// comes back.
#[tokio::test]
async fn r024_r111_a_server_that_is_down_is_left_alone_and_recovers() -> Result<()> {
    let circuit = json!({"failures": 3, "open_for": "1s"});
    let stage = set_stage("limits-circuit", &[("circuit_breaker", circuit)]).await?;
    let known = stage.active("known")?;
    assert_eq!(stage.orders(&known).await?.status, 200);
    let down: Vec<String> = (0..40).map(|_| secrets::fresh_token("down")).collect();
    for token in &down {
        stage.server.respond(token, Response::new(500, "text/plain", ""));
    }
    let began = Instant::now();
    for token in &down {
        let answer = stage.orders(token).await?;
        let retry_after = answer.header("retry-after").to_owned();
        assert_eq!((answer.status, answer.header("www-authenticate")), (503, ""));
        assert!(["1", "5"].contains(&retry_after.as_str()), "{retry_after}");
        assert_eq!(stage.orders(&known).await?.status, 200, "a token in the cache");
    }
    // Once the circuit is open, one each second tries whether the server is back.
    let (asked, allowed) = (stage.asked(&down) as u64, 3 + began.elapsed().as_secs());
    assert!(asked <= allowed, "{asked} introspections of a server that is down, {allowed} are allowed");
    let statistic =
        async |name: &str| stage.envoy.statistic(&format!("wasmcustom.phantom_token_{name}")).await;
    assert!(statistic("circuit_opened").await? >= 1);
    assert_eq!(statistic("introspection_circuit_open").await?, 40 - asked);
    let late = stage.active("late")?;
    stage.recovers(&late).await
}

/// If a client that goes away took its question off the count while the server still works at it, opening and closing connections
/// would be a way around the limit.
#[tokio::test]
async fn r111_clients_that_leave_do_not_make_room_while_the_server_is_still_busy() -> Result<()> {
    let stage = set_stage("limits-left", &[("max_concurrent", json!(3))]).await?;
    let (began, mut gates, mut asked) = (Instant::now(), Vec::new(), 0);
    for round in 1..=4 {
        let left: Vec<String> = (0..3).map(|_| secrets::fresh_token("left")).collect();
        gates.extend(stage.held(&left)?);
        let requests: Vec<Request> = left.iter().map(|token| Request::get("/orders").bearer(token)).collect();
        let client = stage.envoy.client("gateway");
        let before = stage.withheld().await?;
        let mut connections = Vec::new();
        for request in &requests {
            connections.push(client.start(request).await?);
        }
        eventually("each is asked about or withheld", async || {
            Ok(stage.asked(&left) as u64 + stage.withheld().await? - before >= 3)
        })
        .await?;
        let busy = stage.server.busy();
        assert!(busy <= 3, "{busy} introspections at once, in round {round}");
        drop(connections);
        stage.envoy.holds_nothing("gateway").await?;
        asked += stage.asked(&left);
    }
    // Each is on the count until the server has answered, or Envoy gives it up.
    let allowed = 3 * (1 + began.elapsed().as_secs() / 60);
    assert!(asked as u64 <= allowed, "{asked} introspections, {allowed} are allowed");
    Ok(())
}

/// If a client that leaves kept its place until the time-out, a few that come and go would shut out every token that is not cached.
#[tokio::test]
async fn r113_the_place_of_a_client_that_left_is_free_when_the_server_has_answered() -> Result<()> {
    let stage = set_stage("limits-freed", &[("max_concurrent", json!(3))]).await?;
    for round in 1..=4 {
        let left: Vec<String> = (0..3).map(|_| secrets::fresh_token("left")).collect();
        let gates = stage.held(&left)?;
        let mut connections = Vec::new();
        for token in &left {
            connections
                .push(stage.envoy.client("gateway").start(&Request::get("/orders").bearer(token)).await?);
        }
        eventually("all are asked about", async || Ok(stage.asked(&left) >= 3)).await?;
        drop(connections);
        stage.envoy.holds_nothing("gateway").await?;
        gates.into_iter().for_each(Gate::open);
        let answered = async || stage.envoy.statistic("wasmcustom.phantom_token_introspection_active").await;
        // Three for those who left, and one for the good one of each round before.
        eventually("all are answered", async || Ok(answered().await? >= round * 4 - 1)).await?;
        let good = stage.active("good")?;
        assert_eq!(stage.orders(&good).await?.status, 200, "in round {round}");
    }
    Ok(())
}

impl Stage {
    /// A token that the server finds active.
    fn active(&self, meaning: &str) -> Result<String> {
        let token = secrets::fresh_token(meaning);
        self.server.respond(&token, Response::jwt(&jwt::valid()));
        Ok(token)
    }

    /// Lets the server find these active, each once its gate is opened.
    fn held(&self, tokens: &[String]) -> Result<Vec<Gate>> {
        let hold = |token: &String| {
            let (play, gate) = Response::jwt(&jwt::valid()).held();
            self.server.respond(token, play);
            Ok(gate)
        };
        tokens.iter().map(hold).collect()
    }

    async fn orders(&self, token: &str) -> Result<Answer> {
        let request = Request::get("/orders").bearer(token).named(token);
        self.envoy.client("gateway").send(request).await
    }

    fn asked(&self, tokens: &[String]) -> usize {
        tokens.iter().map(|token| self.server.introspections(token).len()).sum()
    }

    async fn withheld(&self) -> Result<u64> {
        self.envoy.statistic("wasmcustom.phantom_token_introspection_withheld").await
    }

    /// If this failed, clients would not know when to try again, or operators what is held back.
    async fn assert_withheld(&self, answers: &[Answer], expected: usize) -> Result<()> {
        let unavailable: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert_eq!(unavailable.len(), expected);
        for answer in unavailable {
            assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("5", ""));
            assert_eq!(answer.json()?["error"], "temporarily_unavailable");
        }
        assert_eq!(self.withheld().await?, expected as u64);
        Ok(())
    }

    /// If this failed, one flood would be the end of the gateway.
    async fn recovers(&self, token: &str) -> Result<()> {
        eventually("the token is served", async || Ok(self.orders(token).await?.status == 200)).await
    }
}
