use serde_json::json;

use super::*;
use std::sync::Arc;

use crate::authorization_server::Protections;
use crate::engine::authenticator::Authenticator;
use crate::engine::decision::Step;
use crate::host::{Host, NoMetrics, NoRandomness, NoSharedData};
use crate::http::request_head::{Presented, RequestHead};
use crate::testing::{at, settings, test};

fn ask(token: &str) -> (Query, Pending) {
    let settings = settings(json!({}));
    let protections = Protections::new(&settings);
    let mut authenticator = Authenticator::new(Arc::new(settings), &protections);
    let value = format!("Bearer {token}");
    let authorization = Presented::Once(value.as_bytes());
    let head = RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() };
    let host =
        Host { now: at(0), shared_data: &NoSharedData, metrics: &NoMetrics, randomness: &NoRandomness };
    match authenticator.authenticate(&head, host) {
        Step::Ask(query, pending) => (query, pending),
        Step::Settled(_) | Step::Refresh(..) => panic!("nothing is cached"),
    }
}

fn waiting(stream: u64, pending: Pending) -> Waiting {
    Waiting { stream: StreamId(stream), pending }
}

/// Starts an introspection of `token`, sent in the name of `stream`.
fn start(in_flight: &mut InFlight, stream: u64, token: &str) -> CallId {
    let (query, pending) = ask(token);
    let sender = Some(StreamId(stream));
    in_flight.start(Flight { query, waiting: vec![waiting(stream, pending)], sender }, None, at(0))
}

fn join(in_flight: &mut InFlight, stream: u64, token: &str) -> bool {
    let (query, pending) = ask(token);
    let others = in_flight.joinable(&query.key(), true);
    others.map(|others| others.push(waiting(stream, pending))).is_some()
}

fn complete(in_flight: &mut InFlight, call: CallId) -> Option<Vec<u64>> {
    let (flight, _) = in_flight.complete(call, at(0))?;
    Some(flight.waiting.into_iter().map(|waiting| waiting.stream.0).collect())
}

fn open(in_flight: &mut InFlight, now: Timestamp) -> usize {
    in_flight.free_abandoned(now);
    in_flight.flights.len() + in_flight.abandoned.len()
}

#[test]
fn r023_requests_with_one_token_wait_for_one_callout() {
    let mut in_flight = InFlight::default();
    assert!(!join(&mut in_flight, 9, "a"), "none is in flight");
    let call = start(&mut in_flight, 10, "a");
    assert!(join(&mut in_flight, 11, "a"));
    assert!(!join(&mut in_flight, 12, "b"), "another token");
    assert_eq!(complete(&mut in_flight, call), Some(vec![10, 11]));
    assert_eq!(complete(&mut in_flight, call), None, "no request is settled twice");
    assert!(!join(&mut in_flight, 13, "a"), "it is complete");
}

/// If the streams that joined a call were forgotten with the one that started it, they would hang forever.
#[test]
fn r023_followers_survive_the_cancelled_leader() {
    let mut in_flight = InFlight::default();
    let call = start(&mut in_flight, 10, "a");
    join(&mut in_flight, 11, "a");
    assert_eq!(in_flight.orphan(StreamId(10)).len(), 1);
    assert_eq!(complete(&mut in_flight, call), None, "the host drops this response");
    assert!(!join(&mut in_flight, 12, "a"), "no request waits for a response that never comes");
    let calls: Vec<CallId> = in_flight
        .take_orphans(|_| false)
        .into_iter()
        .map(|flight| in_flight.start(Flight { sender: None, ..flight }, None, at(0)))
        .collect();
    assert!(join(&mut in_flight, 13, "a"));
    assert_eq!(complete(&mut in_flight, calls[0]), Some(vec![10, 11, 13]));
    assert!(in_flight.take_orphans(|_| false).is_empty());
}

#[test]
fn r023_a_cancelled_stream_without_followers_is_not_retried() {
    let mut in_flight = InFlight::default();
    start(&mut in_flight, 10, "a");
    assert_eq!(in_flight.orphan(StreamId(10)).len(), 1);
    in_flight.leave(StreamId(10));
    assert!(in_flight.orphan(StreamId(10)).is_empty());
    assert!(in_flight.take_orphans(|_| false).is_empty());
}

/// A host does not cancel a call when its client leaves. If the call no longer counted, clients that come and go could cause any number of
/// calls.
#[test]
fn r111_a_query_counts_as_open_until_its_response_is_due() {
    let mut in_flight = InFlight::default();
    start(&mut in_flight, 10, "a");
    let second = start(&mut in_flight, 20, "b");
    assert_eq!(open(&mut in_flight, at(0)), 2);
    in_flight.orphan(StreamId(10));
    complete(&mut in_flight, second);
    assert_eq!(open(&mut in_flight, at(1)), 1);
    assert_eq!(open(&mut in_flight, at(2)), 0, "its time is over");
}

/// If a token remained after its flight is complete, every token ever presented would take memory.
#[test]
fn r057_what_has_landed_leaves_nothing_behind() {
    let mut in_flight = InFlight::default();
    let tokens = ["a", "b", "c", "d", "e"].into_iter().cycle();
    let calls: Vec<(u64, CallId)> =
        (0..50).zip(tokens).map(|(stream, token)| (stream, start(&mut in_flight, stream, token))).collect();
    for (stream, call) in calls {
        if stream % 3 == 0 {
            in_flight.leave(StreamId(stream));
            in_flight.orphan(StreamId(stream));
            assert!(in_flight.take_orphans(|_| false).is_empty());
        } else {
            assert_eq!(complete(&mut in_flight, call), Some(vec![stream]));
        }
    }
    assert_eq!(open(&mut in_flight, at(2)), 0);
    assert_eq!((in_flight.flights.len(), in_flight.joinable.len(), in_flight.orphans.len()), (0, 0, 0));
}

/// On a host that cannot settle one stream from another's callback, each request sends its own call.
#[test]
fn callouts_for_one_token_can_be_in_flight_together() {
    let mut in_flight = InFlight::default();
    let first = start(&mut in_flight, 10, "a");
    let second = start(&mut in_flight, 20, "a");
    assert_eq!(complete(&mut in_flight, first), Some(vec![10]));
    assert!(join(&mut in_flight, 21, "a"), "the second is still in flight");
    assert_eq!(complete(&mut in_flight, second), Some(vec![20, 21]));
}

/// If streams that are gone still counted as waiting, clients that come and go could shut others out.
#[test]
fn r057_cancelled_streams_do_not_count_as_waiting() {
    let mut in_flight = InFlight::default();
    start(&mut in_flight, 10, "a");
    join(&mut in_flight, 11, "a");
    join(&mut in_flight, 12, "a");
    in_flight.leave(StreamId(11));
    assert_eq!((open(&mut in_flight, at(0)), in_flight.waiting_like(&ask("a").0.key())), (1, 2));
    in_flight.orphan(StreamId(10));
    in_flight.leave(StreamId(10));
    in_flight.leave(StreamId(12));
    assert!(in_flight.take_orphans(|_| false).is_empty(), "no request is left that needs it");
}

/// A token is refreshed once, and a host that never calls back does not fill the memory.
#[test]
fn r057_refreshes_that_are_not_sent_are_bounded() {
    let mut in_flight = InFlight::default();
    for _ in 0..3 {
        in_flight.refresh(ask("a").0, at(0));
    }
    for token in 0..1000 {
        in_flight.refresh(ask(&format!("token-{token}")).0, at(0));
    }
    assert_eq!(in_flight.take_refreshes().len(), MAX_REFRESHES);
    assert!(in_flight.take_refreshes().is_empty());
}

/// If this failed, a token whose entry expired while its refresh was queued would be introspected twice at the same time.
#[test]
fn r023_a_token_that_is_being_introspected_is_not_refreshed_beside() {
    let mut in_flight = InFlight::default();
    in_flight.refresh(ask("a").0, at(0));
    in_flight.refresh(ask("b").0, at(0));
    start(&mut in_flight, 10, "a");
    let refreshes = in_flight.take_refreshes();
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].0.key(), ask("b").0.key());
}

/// If a refresh that the limits do not allow were lost, a flood would decide at random which tokens are refreshed. If it were kept forever,
/// tokens no longer in use would be introspected.
#[test]
fn r114_a_refresh_that_finds_no_room_is_tried_again_until_its_time_is_over() {
    let mut in_flight = InFlight::default();
    in_flight.refresh(ask("a").0, at(0));
    for now in [at(0), at(1), at(2)] {
        let refreshes = in_flight.take_refreshes();
        assert_eq!(refreshes.len(), 1);
        refreshes.into_iter().for_each(|(query, since)| in_flight.put_back(query, since, now));
    }
    assert!(in_flight.take_refreshes().is_empty());
}

/// If a disconnected client occupied a place for the whole timeout although the server responds at once, a few of them could shut all
/// others out.
#[test]
fn r113_a_cancelled_stream_counts_as_long_as_the_server_needs() {
    let mut in_flight = InFlight::default();
    let call = start(&mut in_flight, 10, "a");
    in_flight.complete(call, after(100));
    start(&mut in_flight, 10, "a");
    in_flight.orphan(StreamId(10));
    assert_eq!(open(&mut in_flight, after(150)), 1);
    assert_eq!(open(&mut in_flight, after(200)), 0);
}

/// If this failed, calls of clients that left would count as open for as long as a clock that was set back is wrong.
#[test]
fn r113_a_clock_set_back_frees_the_slots_of_cancelled_streams() {
    let mut in_flight = InFlight::default();
    start(&mut in_flight, 10, "a");
    in_flight.orphan(StreamId(10));
    let earlier = Timestamp::from_millis(at(0).as_millis() - 3_600_000);
    assert_eq!(open(&mut in_flight, earlier), 0);
}

fn after(milliseconds: u64) -> Timestamp {
    at(0).plus(Duration::from_millis(milliseconds))
}
