use serde_json::json;

use super::*;
use crate::authenticator::{Authenticator, Host, Step};
use crate::cache::NoSharedData;
use crate::metrics::NoMetrics;
use crate::request::{AuthorizationField, RequestHead};
use crate::testing::{at, settings, test};

fn ask(token: &str) -> (Callout, Pending) {
    let mut authenticator = Authenticator::new(settings(json!({})));
    let value = format!("Bearer {token}");
    let authorization = AuthorizationField::Once(value.as_bytes());
    let head = RequestHead { method: b"GET", authority: b"", path: b"/", authorization };
    let host = Host { now: at(0), shared_data: &NoSharedData, metrics: &NoMetrics };
    match authenticator.authenticate(&head, host) {
        Step::Introspect(callout, pending) => (callout, pending),
        Step::Settled(_) => panic!("nothing is cached"),
    }
}

/// `stream` asks about `token` by the callout `id`.
fn depart(in_flight: &mut InFlight<u32>, id: u32, stream: u32, token: &str) {
    let (callout, pending) = ask(token);
    let token = pending.token();
    let flight = Flight { callout, token, owner: Some(stream), waiting: vec![Waiting { stream, pending }] };
    in_flight.depart(CalloutId(id), flight);
}

fn join(in_flight: &mut InFlight<u32>, stream: u32, token: &str) -> bool {
    in_flight.join(Waiting { stream, pending: ask(token).1 }).is_ok()
}

fn land(in_flight: &mut InFlight<u32>, id: u32) -> Option<Vec<u32>> {
    let (_, waiting) = in_flight.land(CalloutId(id))?;
    Some(waiting.into_iter().map(|waiting| waiting.stream).collect())
}

#[test]
fn r023_requests_with_one_token_wait_for_one_callout() {
    let mut in_flight = InFlight::default();
    assert!(!join(&mut in_flight, 9, "a"), "nobody asked yet");
    depart(&mut in_flight, 1, 10, "a");
    assert_eq!(in_flight.companion(&ask("a").1.token()), Some(&10));
    assert!(join(&mut in_flight, 11, "a"));
    assert!(!join(&mut in_flight, 12, "b"), "another token");
    assert_eq!(land(&mut in_flight, 1), Some(vec![10, 11]));
    assert_eq!(land(&mut in_flight, 1), None, "nobody is answered twice");
    assert!(!join(&mut in_flight, 13, "a"), "it has landed");
}

/// If the streams that wait along were forgotten with the one that asked, they would hang forever.
#[test]
fn r023_those_who_wait_along_are_not_lost_with_the_one_that_asked() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    join(&mut in_flight, 11, "a");
    join(&mut in_flight, 12, "a");
    assert!(!in_flight.leave(&12), "one who waited along");
    assert!(in_flight.leave(&10), "the one that asked");
    assert_eq!(land(&mut in_flight, 1), None, "the host drops this answer");
    let stranded = in_flight.take_stranded();
    assert_eq!(stranded.iter().map(|flight| flight.waiting.len()).collect::<Vec<_>>(), [1]);
    for flight in stranded {
        in_flight.depart(CalloutId(2), Flight { owner: None, ..flight });
    }
    assert!(join(&mut in_flight, 13, "a"));
    assert_eq!(land(&mut in_flight, 2), Some(vec![11, 13]));
}

#[test]
fn r023_nobody_asks_again_for_streams_that_are_gone() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    assert!(!in_flight.leave(&10), "nobody else waits");
    depart(&mut in_flight, 2, 20, "a");
    join(&mut in_flight, 21, "a");
    assert!(in_flight.leave(&20));
    assert!(!in_flight.leave(&21), "gone before it was asked again");
    assert!(in_flight.take_stranded().is_empty());
}

/// Where a host cannot settle one stream from another's callback, each asks for itself.
#[test]
fn callouts_for_one_token_can_be_in_flight_together() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    depart(&mut in_flight, 2, 20, "a");
    assert_eq!(land(&mut in_flight, 1), Some(vec![10]));
    assert!(join(&mut in_flight, 21, "a"), "the second is still in flight");
    assert_eq!(land(&mut in_flight, 2), Some(vec![20, 21]));
}
