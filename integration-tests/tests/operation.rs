//! What operators see of the filter: metrics, its log, traces, and rules that only report. In the deterministic host.

use std::time::Duration;

use anyhow::Result;
use integration_tests::deterministic_host::fixture::{self, TOKEN, orders, orders_of};
use integration_tests::deterministic_host::{
    Answer, Behaviour, Guarantee, Host, Replacement, Request, Setup, State, Status,
};
use integration_tests::json::merged;
use serde_json::{Value, json};

/// If this failed, gauges would count retired workers, or one worker for all; and evictions and times would go unreported.
#[test]
fn gauges_show_all_workers_and_forget_those_that_are_gone() -> Result<()> {
    let cache = json!({"max_entries": 16, "max_bytes": 1 << 20, "shared": false});
    let mut host = host(Behaviour::Envoy, 2, json!({"cache": cache}))?;
    for (worker, tokens) in [(0, 40), (1, 3)] {
        for number in 0..tokens {
            let id = host.request(worker, &orders_of(&format!("token-{number}")))?;
            host.advance(Duration::from_millis(7));
            host.find_active()?;
            assert!(host.passes(id));
            host.respond(id, 200, &[])?;
        }
    }
    let waiting = host.request(1, &orders())?;
    host.advance(Duration::from_millis(50));
    host.tick()?;
    let entries = host.counter("phantom_token_cache_entries");
    assert!((3 + 8..=3 + 16).contains(&entries), "{entries} entries in both workers");
    assert_eq!(host.counter("phantom_token_cache_evicted"), 40 + 3 - entries);
    assert_eq!(host.counter("phantom_token_requests_pending"), 1);
    assert_eq!(host.counter("phantom_token_introspection_time_ms"), 7, "of the last one");
    assert_eq!(host.counter("phantom_token_config_accepted"), 3, "the host has a VM of its own");
    host.disconnect(waiting)?;
    assert!(host.reconfigure(&fixture::configuration(operated()), Replacement::RootContext)?);
    host.tick()?;
    assert_eq!(host.counter("phantom_token_cache_entries"), 0);
    assert_eq!(host.counter("phantom_token_requests_pending"), 0);
    assert!(!host.reconfigure(&json!({}), Replacement::RootContext)?);
    assert!(host.counter("phantom_token_config_rejected") > 0);
    assert!(host.violations().is_empty(), "{:?}", host.violations());
    Ok(())
}

/// If this failed, each request would cost host calls for its counters; or counts would be lost: when a host refuses them once, when a
/// configuration is replaced, where timers do not fire, or when a trap destroys the VM.
#[test]
fn r220_counters_are_reported_at_the_tick_and_none_is_lost() -> Result<()> {
    let counted = |host: &Host| {
        ["allowed_public", "denied.missing_credentials"]
            .map(|name| host.counter(&format!("phantom_token_{name}")))
    };
    let send = |host: &mut Host, times: usize| -> Result<()> {
        for path in ["/health", "/orders"].repeat(times) {
            host.request(0, &Request::get(path))?;
        }
        Ok(())
    };
    let mut host = self::host(Behaviour::Envoy, 1, json!({}))?;
    let tick = |host: &mut Host| {
        host.advance(TICK);
        host.tick()
    };
    send(&mut host, 3)?;
    assert_eq!(counted(&host), [0, 0]);
    tick(&mut host)?;
    assert_eq!(counted(&host), [3, 3]);
    send(&mut host, 2)?;
    host.refuse("proxy_increment_metric", Status::InternalFailure, 2);
    tick(&mut host)?;
    assert_eq!(counted(&host), [3, 3], "the host did not take them");
    tick(&mut host)?;
    assert_eq!(counted(&host), [5, 5]);
    send(&mut host, 1)?;
    for id in host.streams().collect::<Vec<_>>() {
        host.disconnect(id)?;
    }
    assert!(host.reconfigure(&fixture::configuration(operated()), Replacement::RootContext)?);
    assert_eq!(counted(&host), [6, 6], "the old configuration is gone");
    assert!(host.violations().is_empty(), "{:?}", host.violations());

    let configuration = fixture::configuration(operated());
    let without_timers = Setup { lacks: vec![Guarantee::HasTimers], ..Setup::new(configuration) };
    for mut host in [Host::start(without_timers)?, self::host(Behaviour::NgxWasm, 1, json!({}))?] {
        send(&mut host, 1)?;
        assert_eq!(counted(&host), [1, 1]);
    }
    Ok(())
}

/// If this failed, an operator could not see why a request was refused, or which lines are about one token; or the log would reveal the
/// token.
#[test]
fn r110_the_log_names_each_decision_and_the_token_by_a_tag() -> Result<()> {
    let debug = |log_key: &str| json!({"log_level": "debug", "log_key": log_key});
    let mut host = host(Behaviour::Envoy, 2, debug("a key of thirty-two bytes or more!"))?;
    for worker in [0, 1] {
        let first = host.request(worker, &orders())?;
        host.find_active()?;
        assert!(host.passes(first));
        host.request(worker, &Request::get("/admin").bearer(TOKEN))?;
    }
    host.request(0, &Request::get("/orders"))?;
    host.request(0, &Request::get("/health"))?;
    let decisions: Vec<String> =
        host.take_log().into_iter().filter(|line| line.contains("decision=")).collect();
    let tag = decisions[0].rsplit('=').next().unwrap_or_default().to_owned();
    assert_eq!(tag.len(), 8, "{decisions:?}");
    let forwarded = format!("debug: decision=allowed token={tag}");
    let refused = format!("debug: decision=denied reason=insufficient_scope token={tag}");
    let rest = ["debug: decision=denied reason=missing_credentials", "debug: decision=allowed_public"];
    let expected = [[forwarded.as_str(), refused.as_str()], [&forwarded, &refused], rest].concat();
    assert_eq!(decisions, expected);

    let mut other = self::host(Behaviour::Envoy, 1, debug("another key of thirty-two bytes or more"))?;
    let id = other.request(0, &orders())?;
    other.find_active()?;
    assert!(other.passes(id));
    assert!(!other.log().join("\n").contains(&tag), "the tag tells something without the key");
    Ok(())
}

/// If this failed, each request could write a line, and a client with many requests could fill the disk.
#[test]
fn r110_what_may_come_with_each_request_is_logged_now_and_then() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, json!({}))?;
    let refuse = |host: &mut Host, count: usize| -> Result<Vec<String>> {
        for number in 0..count {
            host.request(0, &orders_of(&format!("token-{number}")))?;
            host.answer(host.open_callouts()[0], Answer::response(401, "text/plain", ""))?;
        }
        Ok(host.take_log().into_iter().filter(|line| line.contains("the gateway's credentials")).collect())
    };
    assert_eq!(refuse(&mut host, 20)?.len(), 1);
    host.advance(Duration::from_secs(11));
    let lines = refuse(&mut host, 20)?;
    assert!(
        matches!(&lines[..], [line] if line.ends_with("(19 more since the last line like this)")),
        "{lines:?}"
    );
    Ok(())
}

/// If the level belonged to the VM, one configuration would silence another, or log its decisions although its operator wants none logged.
#[test]
fn r134_each_configuration_of_a_vm_logs_at_its_own_level() -> Result<()> {
    let at = |level: &str| json!({"log_level": level});
    for (before, after) in [("debug", "off"), ("off", "debug")] {
        let mut host = host(Behaviour::Envoy, 1, at(before))?;
        let old = host.request(0, &orders())?;
        assert!(host.reconfigure(
            &fixture::configuration(merged(&operated(), at(after))),
            Replacement::RootContext
        )?);
        host.take_log();
        let decisions =
            |host: &mut Host| host.take_log().iter().filter(|line| line.contains("decision=")).count();
        host.find_active()?;
        assert!(host.passes(old));
        assert_eq!(decisions(&mut host), usize::from(before == "debug"), "the old one, {before}");
        host.request(0, &Request::get("/health"))?;
        assert_eq!(decisions(&mut host), usize::from(after == "debug"), "the new one, {after}");
        assert!(host.violations().is_empty(), "{:?}", host.violations());
    }
    Ok(())
}

/// If setting the clock back suppressed log lines, the log would not show for hours that the gateway's credentials are refused.
#[test]
fn r134_a_clock_that_is_set_back_silences_nothing() -> Result<()> {
    let mut host = host(Behaviour::Envoy, 1, json!({}))?;
    let lines = |host: &mut Host, token: &str| -> Result<usize> {
        host.request(0, &orders_of(token))?;
        host.answer(host.open_callouts()[0], Answer::response(401, "text/plain", ""))?;
        Ok(host.take_log().iter().filter(|line| line.contains("the gateway's credentials")).count())
    };
    assert_eq!(lines(&mut host, "first")?, 1);
    assert_eq!(lines(&mut host, "second")?, 0);
    host.set_clock_back(Duration::from_secs(3600));
    assert_eq!(lines(&mut host, "third")?, 1);
    assert_eq!(lines(&mut host, "fourth")?, 0);
    Ok(())
}

/// If this failed, a trace would end at the gateway; or the server would see traces without opting in.
#[test]
fn r022_the_authorization_server_learns_the_trace_where_that_is_configured() -> Result<()> {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (configured, sent, expected) in [
        (true, &[good][..], Some(good)),
        (true, &["anything: else"], None),
        (true, &[good, good], None),
        (false, &[good], None),
    ] {
        let traced = json!({"introspection": {"forward_traceparent": configured}});
        let mut host = host(Behaviour::Envoy, 1, traced)?;
        let request = sent.iter().fold(orders(), |request, value| request.header("traceparent", value));
        host.request(0, &request)?;
        let callout = host.callout(host.open_callouts()[0]);
        let sent_on =
            callout.headers.get("traceparent").map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(sent_on.as_deref(), expected, "{configured} {sent:?}");
    }
    Ok(())
}

/// If this failed, a rule that only reports would let the client's credentials through, or keep quiet about what it lets in.
#[test]
fn r074_a_shadow_denied_request_continues_without_credentials_and_is_counted() -> Result<()> {
    for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
        let mut host = host(behaviour, 1, json!({}))?;
        let waiting = host.request(0, &Request::get("/old").bearer(TOKEN))?;
        host.answer(host.open_callouts()[0], Answer::response(204, "text/plain", ""))?;
        let without = host.request(0, &Request::get("/old"))?;
        for id in [waiting, without] {
            let stream = host.stream(id);
            let State::Forwarded { headers } = stream.state() else { panic!("{:?}", stream.state()) };
            assert!(!headers.has_value("authorization"), "{headers:?}");
        }
        host.advance(TICK);
        host.tick()?;
        for reason in ["inactive", "missing_credentials"] {
            assert_eq!(host.counter(&format!("phantom_token_shadow_denied.{reason}")), 1);
            assert_eq!(host.counter(&format!("phantom_token_denied.{reason}")), 0);
        }
        let expected = "warn: shadow denied: the rule is report_only: inactive";
        assert!(host.log().iter().any(|line| line == expected), "{:?}", host.log());
    }
    Ok(())
}

/// The interval of the filter's timer.
const TICK: Duration = Duration::from_millis(50);

/// Starts a host with these edits of the configuration of [`operated`].
fn host(behaviour: Behaviour, workers: usize, edits: Value) -> Result<Host> {
    fixture::host(behaviour, workers, merged(&operated(), edits))
}

fn operated() -> Value {
    json!({
        "introspection": {"retries": 0},
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/orders"},
            {"path": "/admin", "scopes": ["admin"]},
            {"path": "/old", "scopes": ["admin"], "report_only": true},
        ],
    })
}
