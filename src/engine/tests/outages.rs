//! Scenarios with an authorization server that is down.

use std::time::Duration;

use serde_json::json;

use super::{Reply, Worker, bearer};
use crate::host::NoSharedData;
use crate::metrics::Counter;
use crate::refusal::ProtectionSpace;
use crate::testing::{self, test};

impl Worker<'_> {
    /// Returns the reply to a request that is refused at this second.
    fn refusal_of(&mut self, seconds: u64, token: &str) -> Reply {
        let authorization = bearer(token);
        let head = crate::RequestHead {
            method: b"GET",
            path: b"/orders",
            authorization: crate::Presented::Once(authorization.as_bytes()),
            ..crate::RequestHead::default()
        };
        self.refusal(seconds, &head)
    }
}

fn retry_after_of(reply: &Reply) -> Option<&str> {
    reply.headers.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| value.as_str())
}

/// If a server that is down were queried about every token, each request would wait for its timeout, and the recovering server would
/// receive all of them at once.
#[test]
fn r024_r111_the_circuit_breaker_opens_and_then_probes() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    worker.answer_status("503");
    for attempt in 1..=5 {
        assert_eq!(worker.get(0, &format!("token-{attempt}")), "unavailable");
    }
    assert_eq!((worker.introspections(), worker.counted.of(Counter::CircuitBreakerOpened)), (5, 1));
    let reply = worker.refusal_of(2, "another");
    assert_eq!((reply.status, retry_after_of(&reply)), (503, Some("3")), "{reply:?}");
    assert_eq!(worker.get(2, "another"), "circuit_open");
    assert_eq!(worker.introspections(), 5, "it is left alone");
    assert_eq!(worker.counted.of(Counter::IntrospectionCircuitOpen), 2);

    assert_eq!(worker.get(5, "trial"), "unavailable");
    assert_eq!(worker.get(5, "another"), "circuit_open", "one tries, and fails");
    worker.answer_with(testing::jwt(json!({})));
    assert_eq!(worker.get(10, "trial"), "circuit_open", "it has failed: others come first");
    assert!(worker.get(10, "another").starts_with("Bearer"));
    assert!(worker.get(10, "trial").starts_with("Bearer"));
    assert_eq!(worker.introspections(), 8);
}

/// A server that refuses a request is healthy. If refusals opened the circuit, clients with invalid tokens could lock others out.
#[test]
fn r111_no_answer_below_500_opens_the_circuit() {
    for status in ["204", "400", "401", "403", "404", "429", "302", "200"] {
        let mut worker = Worker::new(json!({}), &NoSharedData);
        worker.answer_status(status);
        for attempt in 0..20 {
            worker.get(0, &format!("token-{attempt}"));
        }
        assert_eq!(worker.introspections(), 20, "{status}");
    }
}

/// If a cached token needed the server, an outage would hit all clients at once.
#[test]
fn a_known_token_passes_while_the_server_is_down() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    assert!(worker.get(0, "known").starts_with("Bearer"));
    worker.answer_status("500");
    for attempt in 0..10 {
        worker.get(1, &format!("token-{attempt}"));
    }
    assert!(worker.get(2, "known").starts_with("Bearer"));
}

#[test]
fn the_circuit_can_be_turned_off() {
    let circuit = json!({"introspection": {"circuit_breaker": {"failures": 0}}});
    let mut worker = Worker::new(circuit, &NoSharedData);
    worker.answer_status("500");
    for attempt in 0..50 {
        assert_eq!(worker.get(0, &format!("token-{attempt}")), "unavailable");
    }
    assert_eq!(worker.introspections(), 50);
}

/// A server knows best when it will be available again; but a server that says "never" must not turn clients away permanently.
#[test]
fn r024_the_servers_retry_after_is_passed_on() {
    for (status, written, expected) in [
        ("503", "17", "17"),
        ("429", " 2 ", "2"),
        ("503", "0", "1"),
        ("503", "999999999", "300"),
        ("503", "99999999999999999999999", "5"),
        ("503", "-1", "5"),
        ("503", "1\r\nx: y", "5"),
    ] {
        let mut worker = Worker::new(json!({}), &NoSharedData);
        worker.answer = (status.to_owned(), String::new(), vec![("retry-after", written.to_owned())]);
        assert_eq!(retry_after_of(&worker.refusal_of(0, "opaque")), Some(expected), "{written:?}");
    }
}

/// RFC 9110 §10.2.3 lets a server name a date (Cloudflare and the Servlet API's `setDateHeader` do), in any form of §5.6.7, by its own
/// clock. If dates were not parsed, clients would retry after five seconds, whatever the server asked for.
#[test]
fn r190_a_date_in_retry_after_is_passed_on_in_seconds() {
    for (retry_after, date, expected) in [
        ("Thu, 01 Jan 2026 00:00:17 GMT", None, "17"),
        ("Thursday, 01-Jan-26 00:00:17 GMT", None, "17"),
        ("Thu Jan  1 00:00:17 2026", None, "17"),
        (" Thu, 01 Jan 2026 00:00:17 GMT ", None, "17"),
        // The server's clock is an hour behind, or ahead.
        ("Wed, 31 Dec 2025 23:00:17 GMT", Some("Wed, 31 Dec 2025 23:00:00 GMT"), "17"),
        ("Thu, 01 Jan 2026 01:00:17 GMT", Some("Thu, 01 Jan 2026 01:00:00 GMT"), "17"),
        ("Thu, 01 Jan 2026 00:00:17 GMT", Some("yesterday"), "17"),
        // The date has passed: at once, which is one second.
        ("Thu, 01 Jan 1970 00:00:00 GMT", None, "1"),
        ("Fri, 02 Jan 2026 00:00:00 GMT", None, "300"),
        ("Thu, 32 Jan 2026 00:00:17 GMT", None, "5"),
        ("Thu, 01 Jan 2026 00:00:17 CET", None, "5"),
        ("soon", None, "5"),
        ("", None, "5"),
    ] {
        let mut worker = Worker::new(json!({}), &NoSharedData);
        let fields = [("retry-after", Some(retry_after)), ("date", date)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
        worker.answer = ("429".to_owned(), String::new(), fields.collect());
        assert_eq!(
            retry_after_of(&worker.refusal_of(0, "opaque")),
            Some(expected),
            "{retry_after:?}, {date:?}"
        );
    }
}

/// If anything but seconds were passed on, a server could send arbitrary text to clients.
#[test]
fn retry_after_is_in_whole_seconds_and_never_zero() {
    for (pause, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (400_000, "300")] {
        let retry_after = Some(Duration::from_millis(pause));
        let rejection = crate::refusal::Rejection { retry_after, ..crate::Reason::CircuitOpen.into() };
        assert_eq!(retry_after_of(&rejection.reply(&ProtectionSpace::default())), Some(seconds));
    }
}
