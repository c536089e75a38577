//! The behavior of the deterministic host with the filter, in facts that were observed in a real Envoy, and a few that only such a host can
//! show.

use std::time::Duration;

use anyhow::{Context, Result};
use integration_tests::deterministic_host::fixture::{TOKEN, configuration, host, orders, orders_of};
use integration_tests::deterministic_host::{
    Answer, Behaviour, Host, Package, Replacement, Request, Setup, State, Status, module_exports,
};
use serde_json::json;

/// If this failed, the tests with this host would prove nothing.
#[test]
fn a_request_waits_for_the_answer_and_goes_on_with_the_jwt() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let keeps = behaviour == Behaviour::Envoy;
        let filter_state = keeps.then(|| json!([{"name": "user", "pointer": "/sub"}]));
        let mut host = host(behaviour, 1, json!({"filter_state": filter_state}))?;
        let id = host.request(0, &orders())?;
        assert_eq!(*host.stream(id).state(), State::Paused);
        let [callout] = host.open_callouts()[..] else { panic!("{:?}", host.open_callouts()) };
        assert_eq!(host.callout(callout).upstream, "authorization-server");
        assert_eq!(host.callout(callout).parameter("token"), TOKEN);
        assert_eq!(host.callout(callout).timeout, Duration::from_secs(2));
        host.find_active()?;
        assert_eq!(host.authorization(id), format!("Bearer {}", host.phantom_token()));
        let kept = keeps.then_some(&b"alice"[..]);
        assert_eq!(host.stream(id).property("user"), kept, "what access logs show");
        host.respond(id, 200, &[("cache-control", "max-age=60")])?;
        host.advance(Duration::from_millis(50));
        host.tick()?;
        assert_eq!(host.counter("phantom_token_allowed"), 1);
        assert_eq!(host.shared_keys(), 1);
        assert!(host.stream(id).is_over() && host.violations().is_empty(), "{:?}", host.violations());
    }
    Ok(())
}

/// If the response were lost with the first client, requests that share its introspection would hang; and without any, the next request
/// would introspect again.
#[test]
fn r023_r113_a_response_is_cached_although_its_stream_was_cancelled() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, json!({}))?;
    let [first, second] = [host.request(0, &orders())?, host.request(0, &orders())?];
    assert_eq!(host.open_callouts().len(), 1, "both wait for one answer");
    host.disconnect(first)?;
    host.find_active()?;
    assert_eq!(*host.stream(first).state(), State::Abandoned);
    assert!(host.passes(second));

    let other = orders_of("another");
    let alone = host.request(0, &other)?;
    host.disconnect(alone)?;
    host.find_active()?;
    let next = host.request(0, &other)?;
    assert!(host.open_callouts().is_empty(), "nobody has to ask again");
    assert!(host.passes(next));
    Ok(())
}

/// If a client that leaves kept its slot for the whole timeout, a few that come and go would keep all uncached tokens out. Where the host
/// drops the response, the filter has to estimate when the server was done.
#[test]
fn r113_a_cancelled_stream_holds_a_slot_only_while_the_server_is_busy() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let limits = json!({"introspection": {"max_concurrent": 3, "timeout": "10s"}});
        let mut host = host(behaviour, 1, limits)?;
        let answered_after = |host: &mut Host, milliseconds| {
            host.advance(Duration::from_millis(milliseconds));
            host.find_active()
        };
        host.request(0, &orders_of("quick"))?;
        answered_after(&mut host, 20)?;
        for round in 0..5 {
            for number in 0..3 {
                let left = host.request(0, &orders_of(&format!("left-{round}-{number}")))?;
                host.disconnect(left)?;
            }
            let one_too_many = host.request(0, &orders_of(&format!("early-{round}")))?;
            assert_eq!(host.status(one_too_many), Some(503));
            answered_after(&mut host, 40)?;
            let good = host.request(0, &orders_of(&format!("good-{round}")))?;
            assert_eq!(*host.stream(good).state(), State::Paused, "{behaviour:?}: it is asked about");
            answered_after(&mut host, 20)?;
            assert!(host.passes(good));
        }
    }
    Ok(())
}

/// If a client that leaves could take the one introspection that probes a server, the circuit would stay open long after the server
/// serves again.
#[test]
fn r113_a_cancelled_stream_does_not_cancel_the_probe() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let circuit_breaker = json!({"failures": 3, "open_for": "5s"});
        let mut host = host(behaviour, 1, json!({"introspection": {"circuit_breaker": circuit_breaker}}))?;
        for number in 0..3 {
            host.request(0, &orders_of(&format!("failing-{number}")))?;
            host.answer(host.open_callouts()[0], Answer::response(500, "text/plain", ""))?;
        }
        host.advance(Duration::from_secs(5));
        let probe = host.request(0, &orders_of("probe"))?;
        host.disconnect(probe)?;
        let early = host.request(0, &orders_of("early"))?;
        assert_eq!(host.status(early), Some(503), "one is enough");
        host.advance(Duration::from_millis(50));
        host.tick()?;
        assert_eq!(host.open_callouts().len(), 1, "{behaviour:?}: the probe is asked about");
        host.find_active()?;
        host.request(0, &orders_of("good"))?;
        assert_eq!(host.open_callouts().len(), 1, "{behaviour:?}: the circuit is closed");
    }
    Ok(())
}

/// If cached tokens in use competed with random ones for introspections, a flood would shut out valid clients one by one as their entries
/// expire.
#[test]
fn r114_a_token_in_use_is_refreshed_during_a_flood() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let cache = json!({"max_ttl": "20s", "refresh_ahead": "10s"});
        let edits = json!({"introspection": {"max_per_second": 10}, "cache": cache});
        let mut host = host(behaviour, 1, edits)?;
        let known = host.request(0, &orders())?;
        host.find_active()?;
        assert!(host.passes(known));
        for moment in 0..600 {
            host.advance(Duration::from_millis(100));
            host.tick()?;
            for number in 0..10 {
                host.request(0, &orders_of(&format!("made-up-{moment}-{number}")))?;
            }
            let known = host.request(0, &orders())?;
            assert!(host.passes(known), "{behaviour:?}, at {moment}");
            for callout in host.open_callouts() {
                let is_known = host.callout(callout).parameter("token") == TOKEN;
                let active = Answer::jwt(&host.phantom_token());
                host.answer(callout, if is_known { active } else { Answer::response(204, "", "") })?;
            }
        }
    }
    Ok(())
}

/// If a waiting request whose trailers cannot be read only got a reply, the response to its introspection would still forward it later.
#[test]
fn r038_r132_a_request_whose_trailers_cannot_be_read_ends_there() -> Result<()> {
    let setup = Setup { stops_head_only: true, ..Setup::new(configuration(json!({}))) };
    let mut host = Host::start(setup)?;
    let id = host.request(0, &Request::post("/orders").bearer("opaque"))?;
    host.refuse("proxy_get_header_map_pairs", Status::InternalFailure, 1);
    host.trailers(id)?;
    assert_eq!(host.status(id), Some(500));
    host.find_active()?;
    assert_eq!(host.status(id), Some(500));
    assert_eq!(host.violations(), Vec::<String>::new());
    Ok(())
}

/// If an id that cannot be read kept the rest of the response from being edited, a shared cache would store what belongs to a token.
#[test]
fn r010_a_response_is_private_although_its_session_cannot_be_sealed() -> Result<()> {
    let edits = json!({
        "token_sources": {"query_parameter": "access_token"},
        "session_binding": {"secret": "a-secret-of-thirty-two-bytes-or-more"},
        "rules": [{"path": "/orders", "bind_session": true}],
    });
    let mut host = host(Behaviour::Envoy, 1, edits)?;
    let id = host.request(0, &Request::get("/orders?access_token=opaque"))?;
    host.find_active()?;
    assert!(host.passes(id));
    host.refuse("proxy_get_header_map_value", Status::InternalFailure, 1);
    host.respond(id, 200, &[("mcp-session-id", "one")])?;
    let stream = host.stream(id);
    let response = stream.response().context("it was not answered")?;
    assert_eq!(response.text("cache-control"), "private");
    Ok(())
}

/// If streams shared introspections only where timers work, a host that refuses one would make the filter introspect for each request.
#[test]
fn r023_requests_share_an_introspection_without_timers() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, json!({}))?;
    host.refuse("proxy_set_tick_period_milliseconds", Status::InternalFailure, 10);
    assert!(host.reconfigure(&configuration(json!({})), Replacement::RootContext)?);
    let [first, second] = [host.request(0, &orders())?, host.request(0, &orders())?];
    assert_eq!(host.open_callouts().len(), 1);
    host.disconnect(first)?;
    host.find_active()?;
    assert!(host.passes(second));
    Ok(())
}

/// If a read that the host refuses for another reason counted as proof that it switches contexts, one request would be forwarded with
/// another's credentials.
#[test]
fn r023_a_refused_read_proves_nothing() -> Result<()> {
    for (before, times) in (0..2).flat_map(|before| (1..6).map(move |times| (before, times))) {
        let mut host = host(Behaviour::NgxWasm, 1, json!({}))?;
        let mut waiting = (0..before).map(|_| host.request(0, &orders())).collect::<Result<Vec<_>>>()?;
        host.refuse("proxy_get_header_map_value", Status::InternalFailure, times);
        for _ in 0..4 {
            let id = host.request(0, &orders())?;
            // A field that cannot be read cannot be removed either.
            let is_refused = host.status(id) == Some(500);
            waiting.extend((!is_refused).then_some(id));
        }
        assert_eq!(host.open_callouts().len(), waiting.len(), "{times}: each asks for itself");
        host.find_active()?;
        assert!(waiting.iter().all(|id| host.passes(*id)));
    }
    Ok(())
}

/// Existing streams keep their configuration, and new ones get the new; an invalid configuration changes nothing.
#[test]
fn configurations_change_as_envoy_changes_them() -> Result<()> {
    for replacement in [Replacement::RootContext, Replacement::Vm] {
        let mut host = host(Behaviour::Envoy, 2, json!({}))?;
        let closed = configuration(json!({"rules": [{"path": "/invoices"}]}));
        let before = [host.request(0, &orders())?, host.request(1, &orders())?];
        assert!(!host.reconfigure(&json!({"rules": []}), replacement)?);
        let meanwhile = host.request(0, &orders())?;
        assert!(host.reconfigure(&closed, replacement)?);
        let after = host.request(0, &orders())?;
        assert_eq!(host.status(after), Some(403), "{replacement:?}");
        host.find_active()?;
        let old = host.stream(meanwhile).root();
        for id in before.into_iter().chain([meanwhile]) {
            assert!(host.passes(id), "{replacement:?}");
            assert!(host.is_alive(host.stream(id).root()), "{replacement:?}");
            host.respond(id, 200, &[])?;
        }
        assert!(!host.is_alive(old), "{replacement:?}: the last stream of the old configuration is over");
    }
    Ok(())
}

/// If this failed, rules could not check the identity of the caller.
#[test]
fn rules_can_ask_who_calls() -> Result<()> {
    let rules = json!([{"path": "/internal", "peers": ["spiffe://example.com/orders"]}]);
    let mut host = host(Behaviour::Envoy, 1, json!({"rules": rules}))?;
    let request = |peer: &str| {
        let path = ["connection", "uri_san_peer_certificate"];
        Request::get("/internal").bearer(TOKEN).property(&path, peer)
    };
    let known = host.request(0, &request("spiffe://example.com/orders"))?;
    let other = host.request(0, &request("spiffe://example.com/billing"))?;
    assert_eq!(*host.stream(known).state(), State::Paused);
    assert_eq!(host.status(other), Some(403));
    assert_eq!(
        host.stream(other).response().map(|head| head.text(":status").to_owned()),
        Some("403".to_owned())
    );
    Ok(())
}

/// If this failed, Envoy would call the filter needlessly on every stream; or Kong's host, which also calls missing exports, would end its
/// worker at every response.
#[test]
fn r145_each_package_exports_what_its_host_calls() -> Result<()> {
    let lean = [
        "_initialize",
        "memory",
        "proxy_abi_version_0_2_1",
        "proxy_on_configure",
        "proxy_on_context_create",
        "proxy_on_delete",
        "proxy_on_http_call_response",
        "proxy_on_memory_allocate",
        "proxy_on_request_body",
        "proxy_on_request_headers",
        "proxy_on_request_trailers",
        "proxy_on_response_headers",
        "proxy_on_tick",
        "proxy_on_vm_start",
    ];
    let called_in_kong = ["proxy_on_done", "proxy_on_log", "proxy_on_response_body"];
    for (package, also) in [(Package::Envoy, &[][..]), (Package::Kong, &called_in_kong)] {
        let mut expected: Vec<&str> = lean.iter().chain(also).copied().collect();
        expected.sort_unstable();
        let mut exports = module_exports(package)?;
        exports.sort_unstable();
        assert_eq!(exports, expected, "{package:?}");
    }
    Ok(())
}
