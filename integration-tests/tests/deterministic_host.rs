//! What the host without chance does with the filter, in facts that a real Envoy has shown, and a few that only such a host can
//! show.

use std::time::Duration;

use anyhow::Result;
use integration_tests::deterministic_host::{
    Answer, Behaviour, Host, Replacement, Request, Setup, State, Status, StreamId,
};
use integration_tests::jwt;
use serde_json::{Value, json};

/// If this failed, the tests with this host would show nothing.
#[test]
fn a_request_waits_for_the_answer_and_goes_on_with_the_jwt() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let mut configuration = configuration();
        if behaviour == Behaviour::Envoy {
            configuration["filter_state"] = json!([{"name": "user", "pointer": "/sub"}]);
        }
        let mut host = host(behaviour, 1, configuration)?;
        let id = host.request(0, &orders())?;
        assert_eq!(*host.stream(id).state(), State::Paused);
        let [callout] = host.open_callouts()[..] else { panic!("{:?}", host.open_callouts()) };
        assert_eq!(host.callout(callout).upstream, "authorization-server");
        assert_eq!(host.callout(callout).parameter("token"), "opaque+1/2~3==");
        assert_eq!(host.callout(callout).timeout, Duration::from_secs(2));
        host.answer(callout, Answer::jwt(&phantom_token(&host)))?;
        assert_eq!(authorization(&host, id), format!("Bearer {}", phantom_token(&host)));
        let kept = (behaviour == Behaviour::Envoy).then_some(&b"alice"[..]);
        assert_eq!(host.stream(id).property("user"), kept, "what access logs show");
        host.respond(id, 200, &[("cache-control", "max-age=60")])?;
        assert_eq!(host.counter("phantom_token_forwarded"), 1);
        assert_eq!(host.shared_keys(), 1);
        assert!(host.stream(id).is_over() && host.violations().is_empty(), "{:?}", host.violations());
    }
    Ok(())
}

/// Hosts tell failures of a callout in ways of their own.
#[test]
fn callouts_fail_as_the_proxy_lets_them_fail() -> Result<()> {
    for (behaviour, answer, status) in [
        (Behaviour::Envoy, Answer::TimedOut, 504),
        (Behaviour::Envoy, Answer::Refused, 503),
        (Behaviour::Envoy, Answer::Reset, 503),
        (Behaviour::NgxWasm, Answer::TimedOut, 503),
        (Behaviour::NgxWasm, Answer::Refused, 503),
        (Behaviour::NgxWasm, Answer::Reset, 503),
    ] {
        let what = format!("{behaviour:?}: {answer:?}");
        let mut host = host(behaviour, 1, configuration())?;
        let id = host.request(0, &orders())?;
        host.answer(host.open_callouts()[0], answer)?;
        assert_eq!(host.stream(id).state().status(), Some(status), "{what}");
        assert!(host.stream(id).is_over(), "{what}");
    }
    Ok(())
}

/// If this failed, a host that resumes requests by itself would forward one that was refused with the client's token.
#[test]
fn a_host_that_resumes_by_itself_has_nothing_to_forward() -> Result<()> {
    for (behaviour, is_forwarded) in [(Behaviour::Envoy, false), (Behaviour::NgxWasm, true)] {
        let mut host = host(behaviour, 1, configuration())?;
        let id = host.request(0, &orders())?;
        host.refuse("proxy_send_local_response", Status::InternalFailure, 1);
        host.answer(host.open_callouts()[0], Answer::Reset)?;
        let went_on = matches!(host.stream(id).state(), State::Forwarded { .. });
        assert_eq!(went_on, is_forwarded, "{behaviour:?}");
        assert_eq!(host.stream(id).headers().get("authorization"), None, "{behaviour:?}");
    }
    Ok(())
}

/// The answer to one whose client has left is lost on Envoy; the filter asks again for the other.
#[test]
fn the_answer_to_a_stream_that_is_gone_is_dropped() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, configuration())?;
    let [first, second] = [host.request(0, &orders())?, host.request(0, &orders())?];
    assert_eq!(host.open_callouts().len(), 1, "both wait for one answer");
    host.disconnect(first)?;
    host.answer(host.open_callouts()[0], Answer::jwt(&phantom_token(&host)))?;
    assert_eq!(*host.stream(first).state(), State::Abandoned);
    assert_eq!(*host.stream(second).state(), State::Paused);
    assert_eq!(host.tick()?, 0, "it is not time yet");
    host.advance(Duration::from_millis(50));
    assert_eq!((host.tick()?, host.open_callouts().len()), (1, 1));
    host.answer(host.open_callouts()[0], Answer::jwt(&phantom_token(&host)))?;
    assert!(!authorization(&host, second).is_empty());
    Ok(())
}

/// Those whose answer is lost with another client wait for the root context. If requests waited along where that is never called,
/// they would wait forever.
#[test]
fn r023_without_timers_each_request_asks_for_itself() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, configuration())?;
    host.refuse("proxy_set_tick_period_milliseconds", Status::InternalFailure, 10);
    assert!(host.reconfigure(&configuration(), Replacement::RootContext)?);
    let [first, second] = [host.request(0, &orders())?, host.request(0, &orders())?];
    assert_eq!(host.open_callouts().len(), 2);
    host.disconnect(first)?;
    for callout in host.open_callouts() {
        host.answer(callout, Answer::jwt(&phantom_token(&host)))?;
    }
    assert!(!authorization(&host, second).is_empty());
    Ok(())
}

/// If this failed, a filter that coalesces could not be told from one that does not.
#[test]
fn requests_share_an_answer_only_where_the_host_can_switch() -> Result<()> {
    for (behaviour, questions) in [(Behaviour::Envoy, 1), (Behaviour::NgxWasm, 3)] {
        let mut host = host(behaviour, 1, configuration())?;
        let ids = [host.request(0, &orders())?, host.request(0, &orders())?, host.request(0, &orders())?];
        assert_eq!(host.open_callouts().len(), questions, "{behaviour:?}");
        for callout in host.open_callouts() {
            host.answer(callout, Answer::jwt(&phantom_token(&host)))?;
        }
        assert!(ids.iter().all(|id| !authorization(&host, *id).is_empty()), "{behaviour:?}");
    }
    Ok(())
}

/// If this failed, the filter would take a host that refuses to show a field for one that can switch between requests, and would
/// change the wrong one later.
#[test]
fn a_read_that_the_host_refuses_does_not_prove_that_it_switches() -> Result<()> {
    let mut host = host(Behaviour::NgxWasm, 1, configuration())?;
    host.request(0, &orders())?;
    host.refuse("proxy_get_header_map_value", Status::InternalFailure, 1);
    host.request(0, &orders())?;
    assert_eq!(host.open_callouts().len(), 2, "the second waits along with the first");
    Ok(())
}

/// Old streams go on with what they had, and new ones get the new; a configuration with a mistake changes nothing.
#[test]
fn configurations_change_as_envoy_changes_them() -> Result<()> {
    for replacement in [Replacement::RootContext, Replacement::Vm] {
        let mut host = host(Behaviour::Envoy, 2, configuration())?;
        let mut closed = configuration();
        closed["rules"] = json!([{"path": "/invoices"}]);
        let before = [host.request(0, &orders())?, host.request(1, &orders())?];
        assert!(!host.reconfigure(&json!({"rules": []}), replacement)?);
        let meanwhile = host.request(0, &orders())?;
        assert!(host.reconfigure(&closed, replacement)?);
        let after = host.request(0, &orders())?;
        assert_eq!(host.stream(after).state().status(), Some(403), "{replacement:?}");
        for callout in host.open_callouts() {
            host.answer(callout, Answer::jwt(&phantom_token(&host)))?;
        }
        let old = host.stream(meanwhile).root();
        for id in before.into_iter().chain([meanwhile]) {
            assert!(!authorization(&host, id).is_empty(), "{replacement:?}");
            assert!(host.is_alive(host.stream(id).root()), "{replacement:?}");
            host.respond(id, 200, &[])?;
        }
        assert!(!host.is_alive(old), "{replacement:?}: the last stream of the old configuration is over");
    }
    Ok(())
}

/// If this failed, what one worker learns would not help the other, or a lost write would cost more than a question.
#[test]
fn workers_share_what_they_learn_unless_a_write_is_lost() -> Result<()> {
    for (conflicts, questions) in [(0, 1), (1, 2)] {
        let mut host = host(Behaviour::Envoy, 2, configuration())?;
        host.conflict(conflicts);
        for worker in [0, 1, 0, 1] {
            let id = host.request(worker, &orders())?;
            for callout in host.open_callouts() {
                host.answer(callout, Answer::jwt(&phantom_token(&host)))?;
            }
            assert!(!authorization(&host, id).is_empty());
        }
        assert_eq!(host.callouts().count(), questions, "{conflicts} writes were lost");
    }
    Ok(())
}

/// The body is held with the head, by the host or by the filter.
#[test]
fn a_body_does_not_overtake_its_head() -> Result<()> {
    for stops_head_only in [false, true] {
        let mut host = Host::start(Setup { stops_head_only, ..Setup::new(configuration()) })?;
        let id = host.request(0, &Request::post("/orders").bearer(TOKEN))?;
        host.body(id, 1000, false)?;
        assert_eq!(*host.stream(id).state(), State::Paused);
        host.answer(host.open_callouts()[0], Answer::jwt(&phantom_token(&host)))?;
        host.body(id, 0, true)?;
        assert!(!authorization(&host, id).is_empty());
        assert!(host.violations().is_empty(), "{:?}", host.violations());
    }
    Ok(())
}

/// If this failed, rules could not ask who calls.
#[test]
fn the_host_tells_what_it_knows_of_a_stream() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, configuration())?;
    let request = |peer: &str| {
        let path = ["connection", "uri_san_peer_certificate"];
        Request::get("/internal").bearer(TOKEN).property(&path, peer)
    };
    let known = host.request(0, &request("spiffe://example.com/orders"))?;
    let other = host.request(0, &request("spiffe://example.com/billing"))?;
    assert_eq!(*host.stream(known).state(), State::Paused);
    assert_eq!(host.stream(other).state().status(), Some(403));
    assert_eq!(
        host.stream(other).response().map(|head| head.text(":status").to_owned()),
        Some("403".to_owned())
    );
    Ok(())
}

fn host(behaviour: Behaviour, workers: usize, configuration: Value) -> Result<Host> {
    Host::start(Setup { behaviour, workers, ..Setup::new(configuration) })
}

fn configuration() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": "the-secret-of-the-gateway",
        },
        "rules": [
            {"path": "/orders"},
            {"path": "/internal", "peers": ["spiffe://example.com/orders"]},
        ],
    })
}

fn orders() -> Request {
    Request::get("/orders").bearer(TOKEN)
}

fn phantom_token(host: &Host) -> String {
    jwt::with_claims(&json!({"sub": "alice", "exp": host.now().as_secs() + 3600}))
}

/// What services receive; nothing, if they receive nothing.
fn authorization(host: &Host, id: StreamId) -> String {
    match host.stream(id).state() {
        State::Forwarded { headers } => headers.text("authorization").to_owned(),
        _ => String::new(),
    }
}

const TOKEN: &str = "opaque+1/2~3==";
