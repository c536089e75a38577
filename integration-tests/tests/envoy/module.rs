//! Properties of the native module alone. That it decides as the wasm filter does is shown by the wasm filter's tests, which also run with
//! the module.

use anyhow::Result;
use integration_tests::artefact::Artefact;
use integration_tests::authorization_server::{GATEWAY_SECRET, Publication, Resource};
use integration_tests::client::Request;
use integration_tests::envoy::{self, Envoy, Listener};
use integration_tests::envoy_config::{self, Example};
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::scripted_server::{Gate, Response};
use integration_tests::testkit::{World, WorldBuilder};
use integration_tests::{jwt, paths};
use serde_json::{Value, json};

use super::envoy_config::story;

fn builder(name: &str, artefact: Artefact) -> Result<WorldBuilder> {
    Ok(World::scripted(name)?.envoy(|envoy| envoy.artefact(artefact)))
}

/// Starts four workers with balanced connections.
async fn balanced(name: &str, edits: Value) -> Result<World> {
    let builder = builder(name, Artefact::Module)?.workers(4).listener("gateway", edits);
    builder.envoy(|envoy| envoy.balanced()).start().await
}

/// Starts a server that publishes keys, and four workers that verify its JWTs.
async fn with_keys(name: &str, edits: Value) -> Result<World> {
    keys_builder(name, edits)?.start().await
}

fn keys_builder(name: &str, edits: Value) -> Result<WorldBuilder> {
    let world = World::certified(name)?;
    let jwks_uri = format!("{}/jwks", world.issuer());
    let keys = json!({"jwks_uri": jwks_uri, "upstream": "authorization-server", "cooldown": "1s"});
    let world = world.workers(4).configuration(json!({"token": {"jwts": "verify"}, "keys": keys}));
    let world = world.envoy(|envoy| envoy.artefact(Artefact::Module)).listener("gateway", edits);
    Ok(world.envoy(|envoy| envoy.balanced()))
}

/// If this failed, the file that operators start from would not do what the page says.
#[tokio::test]
async fn r210_r264_the_story_runs_through_the_file_for_the_module() -> Result<()> {
    let world = World::certified("module-file")?;
    let bootstrap = envoy_config::with_module("module.yaml", world.server(), &world.api)?.text();
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let envoy = Envoy::start("module-file", &bootstrap, &secret, &["ingress"]).await?;
    let world = world.around(envoy, "ingress");
    story::run(&world, |call| call).await?;
    let metrics = integration_tests::client::Client::to_port(world.envoy.admin_port());
    let metrics = metrics.send(Request::get("/stats/prometheus")).await?.text();
    for line in [
        "phantom_token_allowed{} 2",
        "phantom_token_denied{reason=\"missing_credentials\"} 1",
        "phantom_token_introspection_active{} 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "no {line} in\n{metrics}");
    }
    Ok(())
}

/// If a panic unwound into Envoy, one request that finds a defect would end the process and all its connections.
#[tokio::test]
async fn r211_a_panic_refuses_its_request_and_the_worker_goes_on() -> Result<()> {
    let world =
        builder("module-panic", Artefact::PanickingModule)?.listener("gateway", json!({})).start().await?;
    let token = world.active();
    world.orders(&token).await?.is_served();
    for hook in ["request", "response"] {
        let outcome = world.orders(&token).header("x-planted-panic", hook).case(hook).await?;
        assert_eq!(outcome.status, 500, "{hook}");
        assert_eq!(outcome.arrived.len(), usize::from(hook == "response"), "{hook}");
    }
    world.metric_is("phantom_token_defects", 2).await?;
    world.orders(&token).await?.is_served();
    // The panic happens while a response is read for which another request waits as well.
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let (held, _gate) = world.answered_later(Response::inactive());
    let panics = async { world.orders(&token).header("x-planted-panic", "scheduled").await };
    let waits = async {
        world.envoy.holds("gateway", 1).await?;
        let calls = async { world.orders(&held).await };
        world.all_wait("gateway", 2, gate, calls).await
    };
    let (panics, waits) = tokio::try_join!(panics, waits)?;
    for outcome in [panics, waits] {
        outcome.has_status(500);
    }
    world.orders(&world.active()).await?.is_served();
    world.envoy.logs("a defect of the filter at filters/envoy-module/src/stream.rs").await?;
    assert!(!world.envoy.log().contains("opaque-in-a-panic"), "the panic's text is in the log");
    Ok(())
}

/// If the engine that starts after a panic accepted responses to its predecessor's calls, whose numbers are the same, one token would pass
/// as another.
#[tokio::test]
async fn r211_an_answer_from_before_a_panic_is_for_no_request_behind_it() -> Result<()> {
    let world = builder("module-panic-answer", Artefact::PanickingModule)?
        .listener("gateway", json!({}))
        .start()
        .await?;
    let (before, answer) = world.answered_later(Response::jwt(&jwt::valid()));
    let (behind, gate) = world.answered_later(Response::inactive());
    let panics = async {
        world.envoy.holds("gateway", 1).await?;
        world.orders(&before).header("x-planted-panic", "request").await
    };
    let (waits, panics) = tokio::try_join!(async { world.orders(&before).await }, panics)?;
    for outcome in [waits, panics] {
        outcome.has_status(500);
    }
    world.envoy.holds_nothing("gateway").await?;
    let answers = async {
        world.envoy.counts("cluster.scripted-server.upstream_rq_total", 2).await?;
        answer.open();
        world.envoy.counts("cluster.scripted-server.upstream_rq_completed", 1).await?;
        gate.open();
        Ok(())
    };
    let (outcome, ()) = tokio::try_join!(async { world.orders(&behind).await }, answers)?;
    outcome.is_refused(401, "inactive");
    Ok(())
}

/// If a panic at the end of one stream were only caught, the responses for other streams that it had already taken would be lost, and those
/// streams would wait forever.
#[tokio::test]
async fn r211_a_panic_at_the_end_of_a_stream_refuses_what_waits() -> Result<()> {
    let world = builder("module-panic-end", Artefact::PanickingModule)?
        .listener("gateway", json!({}))
        .start()
        .await?;
    let (held, _gate) = world.answered_later(Response::inactive());
    let panics = async {
        world.envoy.holds("gateway", 1).await?;
        world.get("/orders").header("x-planted-panic", "complete").await
    };
    let (waits, panics) = tokio::try_join!(async { world.orders(&held).await }, panics)?;
    panics.is_refused(401, "missing_credentials");
    waits.has_status(500);
    world.orders(&world.active()).await?.is_served();
    Ok(())
}

/// If a panic on the main thread lost a call, all requests that wait for it would wait forever, and so would every later request with the
/// same token.
#[tokio::test]
async fn r211_a_panic_over_an_answer_is_one_that_was_lost() -> Result<()> {
    let world = builder("module-panic-lost", Artefact::PanickingModule)?
        .listener("gateway", json!({}))
        .start()
        .await?;
    let token = world.answered(Response::jwt(&jwt::valid()).header("x-planted-panic", "answer"));
    for _ in 0..2 {
        world.orders(&token).await?.is_refused(503, "unavailable");
    }
    world.orders(&world.active()).await?.is_served();
    Ok(())
}

/// If an invalid configuration removed the filter, requests would pass unchecked.
#[tokio::test]
async fn r212_a_bad_configuration_is_refused_and_the_old_one_serves_on() -> Result<()> {
    let builder =
        builder("module-reload", Artefact::Module)?.workers(2).configuration(json!({"realm": "before"}));
    let configuration = builder.configured().clone();
    let bad = builder.configured().clone();
    let world = builder.listener("gateway", json!({})).start().await?;
    let token = world.active();
    world.orders(&token).await?.is_served();
    assert!(!world.envoy.reconfigure("gateway", &merged(&bad, json!({"rules": []}))).await?);
    let refused = async |realm: &str| -> Result<()> {
        let outcome = world.get("/orders").await?.is_refused(401, "missing_credentials");
        assert_eq!(outcome.challenges(), [format!(r#"Bearer realm="{realm}""#)]);
        Ok(())
    };
    refused("before").await?;
    world.orders(&token).await?.is_served();
    assert!(world.envoy.reconfigure("gateway", &merged(&configuration, json!({"realm": "after"}))).await?);
    eventually("the new configuration serves", async || {
        Ok(world.get("/orders").await?.challenges() == [r#"Bearer realm="after""#])
    })
    .await?;
    world.orders(&token).await?.is_served();
    assert_eq!(world.introspections(&token).await?, 1, "the cache outlives the change");
    let bad = self::builder("module-bad", Artefact::Module)?.listener("gateway", json!({"rules": []}));
    let (accepted, output) = bad.validate()?;
    assert!(!accepted && output.contains("rules"), "{output}");
    Ok(())
}

/// If retired configurations left something behind, a gateway that is often reconfigured would fill its memory with their caches.
#[tokio::test]
async fn r263_a_configuration_that_is_gone_leaves_nothing_behind() -> Result<()> {
    let builder = builder("module-retired", Artefact::Module)?.envoy(|envoy| envoy.drain_seconds(1));
    let after = merged(builder.configured(), json!({"realm": "after"}));
    let world = builder.listener("gateway", json!({})).start().await?;
    world.orders(&world.active()).await?.is_served();
    world.metric_is("phantom_token_cache_entries", 1).await?;
    assert!(world.envoy.reconfigure("gateway", &after).await?);
    // Each request lets its worker notice the retired configuration.
    eventually("the cache is gone", async || {
        world.get("/orders").await?.is_refused(401, "missing_credentials");
        Ok(world.metric("phantom_token_cache_entries").await? == 0)
    })
    .await
}

/// If workers introspected on their own, a process with sixteen would introspect a token sixteen times when many clients present it at
/// once.
#[tokio::test]
async fn r213_all_workers_share_one_introspection_in_flight_and_what_came_of_it() -> Result<()> {
    let world = builder("module-shared", Artefact::Module)?
        .workers(4)
        .listener("gateway", json!({}))
        .envoy(|envoy| envoy.balanced())
        .start()
        .await?;
    for (response, status) in
        [(Response::jwt(&jwt::valid()), 200), (Response::inactive(), 401), (Response::status(500), 503)]
    {
        let (token, gate) = world.answered_later(response);
        let calls = world.together(vec![world.orders(&token); 40]);
        for outcome in world.all_wait("gateway", 40, gate, calls).await? {
            outcome.has_status(status);
        }
        assert_eq!(world.introspections(&token).await?, 1, "{status}");
    }
    world.metric_is("phantom_token_introspection_active", 1).await?;
    world.metric_is("phantom_token_introspection_coalesced", 3 * 39).await?;
    // Each worker finds the results of the others.
    let token = world.active();
    for _ in 0..40 {
        world.orders(&token).await?.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 1);
    for worker in 0..4 {
        let name = format!("listener.gateway.worker_{worker}.downstream_cx_total");
        world.envoy.counts(&name, 10).await?;
    }
    Ok(())
}

/// If each worker had its own limits, a server would receive as many times its allowed load as there are workers.
#[tokio::test]
async fn r260_the_limits_are_those_of_the_process() -> Result<()> {
    let limits = json!({"introspection": {"max_concurrent": 3, "timeout": "1m"}});
    let world = balanced("module-limits", limits).await?;
    let (tokens, gates) = world.active_later(20);
    let events = async {
        world.metric_reaches("phantom_token_introspection_limited", 17).await?;
        let asked = async || Ok(world.scripted.asked_about(&tokens) >= 3);
        eventually("three are asked about", asked).await?;
        // Requests with a token in flight share its introspection, whichever worker has sent it.
        let in_flight = tokens.iter().find(|token| !world.scripted.introspections(token).is_empty());
        let joining = world.together(vec![world.orders(in_flight.expect("one of three")); 12]);
        let release = async {
            world.envoy.holds("gateway", 3 + 12).await?;
            gates.into_iter().for_each(Gate::open);
            Ok(())
        };
        let (outcomes, ()) = tokio::try_join!(joining, release)?;
        outcomes.into_iter().for_each(|outcome| drop(outcome.is_served()));
        Ok(())
    };
    let calls = world.together(tokens.iter().map(|token| world.orders(token)));
    let (outcomes, ()) = tokio::try_join!(calls, events)?;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.status == 200).count(), 3);
    assert_eq!(world.scripted.asked_about(&tokens), 3);
    world.metric_is("phantom_token_introspection_limited", 17).await?;
    for outcome in world.together((0..3).map(|_| world.orders(&world.active()))).await? {
        outcome.is_served();
    }
    Ok(())
}

/// If each worker had its own circuit breaker, a server that is down would be called again and again, and clients would wait each time.
#[tokio::test]
async fn r260_a_server_that_is_down_is_found_out_once_for_all_workers() -> Result<()> {
    let circuit = json!({"introspection": {"circuit_breaker": {"failures": 3, "open_for": "5m"}}});
    let world = balanced("module-circuit", circuit).await?;
    let known = world.active();
    world.orders(&known).await?.is_served();
    let down: Vec<String> = (0..40).map(|_| world.answered(Response::status(500))).collect();
    for token in &down {
        world.orders(token).await?.has_status(503);
    }
    assert_eq!(world.scripted.asked_about(&down), 3);
    world.metric_is("phantom_token_circuit_breaker_opened", 1).await?;
    world.metric_is("phantom_token_introspection_circuit_open", 37).await?;
    world.metric_is("phantom_token_circuit_breaker_open", 1).await?;
    for _ in 0..12 {
        world.orders(&known).case("in the cache").await?.is_served();
    }
    world.metric_is("phantom_token_circuit_breaker_open", 1).await
}

/// If keys were fetched with the first request, it would wait for them; and if the fetch failed, it would be refused.
#[tokio::test]
async fn r261_published_keys_are_there_before_the_first_request() -> Result<()> {
    let world = with_keys("module-keys", json!({})).await?;
    let fetched = async || Ok(world.server().fetches().await?.keys == 1);
    eventually("a fetch without a request", fetched).await?;
    world.envoy.counts("cluster.authorization-server.upstream_rq_completed", 1).await?;
    world.server().publish(Publication::Failing).await?;
    for _ in 0..8 {
        let token = world.server().issue_jwt(Resource::Orders, "orders:read").await?;
        world.orders(&token).await?.is_served();
    }
    assert_eq!(world.server().fetches().await?.keys, 1, "one for all workers");
    world.metric_is("phantom_token_jwks_fetch_success", 1).await
}

/// If keys were refreshed only by requests, the first one after a quiet night would wait, or be refused.
#[tokio::test]
async fn r261_keys_are_fetched_again_without_a_request() -> Result<()> {
    let world = with_keys("module-keys-aging", json!({"keys": {"max_age": "2s"}})).await?;
    let fetched = async || Ok(world.server().fetches().await?.keys >= 3);
    eventually("three fetches without a request", fetched).await?;
    world.server().rotate().await?;
    let before = world.server().fetches().await?.keys;
    let fetched = async || Ok(world.server().fetches().await?.keys > before + 1);
    eventually("the new keys are fetched", fetched).await?;
    world.server().publish(Publication::Failing).await?;
    let token = world.server().issue_jwt(Resource::Orders, "orders:read").await?;
    world.orders(&token).await?.is_served();
    Ok(())
}

/// If a failed first fetch were not repeated, keys would wait for a request after all.
#[tokio::test]
async fn r261_keys_that_cannot_be_fetched_are_tried_again_without_a_request() -> Result<()> {
    let builder = keys_builder("module-keys-failing", json!({}))?;
    builder.server().publish(Publication::Failing).await?;
    let world = builder.start().await?;
    let tried = async || Ok(world.server().fetches().await?.keys >= 2);
    eventually("it is tried twice", tried).await?;
    let before = world.server().fetches().await?.keys;
    world.server().publish(Publication::Serving).await?;
    let fetched = async || Ok(world.server().fetches().await?.keys > before);
    eventually("it is tried again", fetched).await?;
    let token = world.server().issue_jwt(Resource::Orders, "orders:read").await?;
    eventually("the keys are there", async || Ok(world.orders(&token).await?.status == 200)).await?;
    world.metric_reaches("phantom_token_jwks_fetch_failed", 2).await
}

/// If the claims were missing, RBAC behind the filter would deny everything, or logs would not say who called.
#[tokio::test]
async fn r214_rbac_and_the_access_log_read_claims_as_dynamic_metadata() -> Result<()> {
    let client = |name: &str| {
        json!({"metadata": {
            "filter": "phantom-token",
            "path": [{"key": "client"}],
            "value": {"string_match": {"exact": name}},
        }})
    };
    let rbac = json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"policies": {"web": {"permissions": [{"any": true}], "principals": [client("web")]}}},
        },
    });
    let access_log = Listener {
        access_log: Some("access: %REQ(X-REQUEST-NAME)% client=%DYNAMIC_METADATA(phantom-token:client)%"),
        ..Listener::default()
    };
    let world = builder("module-metadata", Artefact::Module)?
        .listener_on(
            "gateway",
            json!({"filter_state": [{"name": "client", "pointer": "/client_id"}]}),
            access_log,
        )
        .envoy(|envoy| envoy.followed_by(&[rbac]))
        .start()
        .await?;
    let call = async |name: &str, client: Option<&str>| {
        let token = client.map(|client| world.active_with(json!({"client_id": client})));
        let call = world.get("/orders").named(name);
        token.iter().fold(call, |call, token| call.bearer(token)).await
    };
    call("from-web", Some("web")).await?.is_served();
    let outcome = call("from-batch", Some("batch")).await?;
    assert_eq!((outcome.status, outcome.arrived.len()), (403, 0));
    call("from-nobody", None).await?.is_refused(401, "missing_credentials");
    for (name, client) in [("from-web", "web"), ("from-batch", "batch"), ("from-nobody", "-")] {
        world.envoy.logs(&format!("access: {name} client={client}\n")).await?;
    }
    Ok(())
}

/// If the whole body were buffered, an authorization server could fill the memory of the process.
#[tokio::test]
async fn r215_an_answer_that_is_too_long_is_not_read() -> Result<()> {
    let world = builder("module-long", Artefact::Module)?.listener("gateway", json!({})).start().await?;
    let long = Response::json(&json!({"active": true, "jwt": jwt::valid(), "padding": "x".repeat(400_000)}));
    world.orders(&world.answered(long)).await?.is_refused(502, "unexpected_response");
    world.orders(&world.active()).await?.is_served();
    Ok(())
}

/// If a route's own configuration were ignored, its author would rely on rules that do not apply.
#[test]
fn r262_a_route_cannot_configure_the_filter() -> Result<()> {
    let module = paths::module()?.display().to_string();
    let text = Example::read("module.yaml")?.with("target/libphantom_token.so", &module)?.text();
    let mut whole: Value = serde_saphyr::from_str(&text)?;
    let folder = tempfile::tempdir()?;
    let accepts = |whole: &Value| {
        let file = folder.path().join("envoy.json");
        std::fs::write(&file, whole.to_string())?;
        let secret = ("INTROSPECTION_CLIENT_SECRET".to_owned(), GATEWAY_SECRET.to_owned());
        envoy::validate(&file, &[secret])
    };
    let (accepted, output) = accepts(&whole)?;
    assert!(accepted, "{output}");
    let manager =
        &mut whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let module = manager["http_filters"][0]["typed_config"]["dynamic_module_config"].clone();
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = json!({
        "phantom-token": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
            "dynamic_module_config": module,
            "filter_name": "phantom-token",
        },
    });
    let (accepted, output) = accepts(&whole)?;
    assert!(!accepted, "{output}");
    Ok(())
}

/// If one of these settings were different, the file would let requests pass without the module, or never end requests that get no
/// response.
#[test]
fn r212_the_file_for_the_module_fails_closed() -> Result<()> {
    let text = std::fs::read_to_string(paths::root().join("envoy-config/module.yaml"))?;
    let whole: Value = serde_saphyr::from_str(&text)?;
    let manager =
        &whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let module = &manager["http_filters"][0]["typed_config"]["dynamic_module_config"];
    assert!(module["module"]["local"]["filename"].is_string() && module["module"].get("remote").is_none());
    assert_eq!(module["do_not_close"], true);
    assert_eq!(manager["stream_idle_timeout"], "30s");
    let tag = format!("{{ tag_name: reason, regex: '{}' }}", Artefact::Module.reason_tag());
    assert!(text.contains(&tag), "it lacks {tag}");
    Ok(())
}
