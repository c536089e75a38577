use serde_json::json;

use super::*;
use crate::authenticator::{Authenticator, Host, Step};
use crate::cache::NoSharedData;
use crate::callout::NoRandomness;
use crate::metrics::NoMetrics;
use crate::request::{Presented, RequestHead};
use crate::testing::{at, settings, test};

fn ask(token: &str) -> (Question, Pending) {
    let mut authenticator = Authenticator::new(settings(json!({})));
    let value = format!("Bearer {token}");
    let authorization = Presented::Once(value.as_bytes());
    let head = RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() };
    let host =
        Host { now: at(0), shared_data: &NoSharedData, metrics: &NoMetrics, randomness: &NoRandomness };
    match authenticator.authenticate(&head, host) {
        Step::Ask(question, pending) => (question, pending),
        Step::Settled(_) | Step::Renew(..) => panic!("nothing is cached"),
    }
}

/// `stream` asks about `token` by the callout `id`.
fn depart(in_flight: &mut InFlight<u32>, id: u32, stream: u32, token: &str) {
    let (question, pending) = ask(token);
    let flight = Flight { question, waiting: vec![Waiting { stream, pending }] };
    in_flight.depart(CalloutId(id), flight, at(0));
}

fn join(in_flight: &mut InFlight<u32>, stream: u32, token: &str) -> bool {
    let (question, pending) = ask(token);
    in_flight.join(&question.subject(), Waiting { stream, pending }).is_ok()
}

fn land(in_flight: &mut InFlight<u32>, id: u32) -> Option<Vec<u32>> {
    let Departed { flight, .. } = in_flight.land(CalloutId(id))?;
    Some(flight.waiting.into_iter().map(|waiting| waiting.stream).collect())
}

#[test]
fn r023_requests_with_one_token_wait_for_one_callout() {
    let mut in_flight = InFlight::default();
    assert!(!join(&mut in_flight, 9, "a"), "nobody asked yet");
    depart(&mut in_flight, 1, 10, "a");
    assert_eq!(in_flight.anyone(), Some(&10));
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
    assert!(in_flight.strand(CalloutId(1), at(0)).is_some());
    assert_eq!(land(&mut in_flight, 1), None, "the host drops this answer");
    assert!(!join(&mut in_flight, 12, "a"), "nobody waits for an answer that never comes");
    for flight in in_flight.take_unasked() {
        in_flight.depart(CalloutId(2), flight, at(0));
    }
    assert!(join(&mut in_flight, 13, "a"));
    assert_eq!(land(&mut in_flight, 2), Some(vec![10, 11, 13]));
    assert!(in_flight.take_unasked().is_empty());
}

#[test]
fn r023_nobody_asks_again_for_one_who_was_alone() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    assert!(in_flight.strand(CalloutId(1), at(0)).is_some());
    in_flight.leave(|stream| *stream == 10);
    assert!(in_flight.strand(CalloutId(1), at(0)).is_none());
    assert!(in_flight.take_unasked().is_empty());
}

/// A host does not call a question back when its client leaves. If it were not counted any more, clients that come and go could
/// have as many asked as they like.
#[test]
fn r111_a_question_counts_as_open_until_its_answer_is_due() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    depart(&mut in_flight, 2, 20, "b");
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(0)).open, 2);
    in_flight.strand(CalloutId(1), at(0));
    land(&mut in_flight, 2);
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(1)).open, 1);
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(2)).open, 0, "its time is over");
}

/// If a token stayed behind when its flight has landed, every token that ever came would take memory.
#[test]
fn r057_what_has_landed_leaves_nothing_behind() {
    let mut in_flight = InFlight::default();
    for (id, token) in (0..50).zip(["a", "b", "c", "d", "e"].into_iter().cycle()) {
        depart(&mut in_flight, id, id, token);
    }
    for id in 0..50 {
        match id % 3 {
            0 => {
                in_flight.strand(CalloutId(id), at(0));
                in_flight.leave(|stream| *stream == id);
                assert!(in_flight.take_unasked().is_empty());
            }
            _ => assert_eq!(land(&mut in_flight, id), Some(vec![id])),
        }
    }
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(2)).open, 0);
    assert_eq!((in_flight.flights.len(), in_flight.joinable.len(), in_flight.stranded.len()), (0, 0, 0));
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

/// If those who left still counted as waiting, clients that come and go could shut others out.
#[test]
fn r057_who_has_left_does_not_wait() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    join(&mut in_flight, 11, "a");
    join(&mut in_flight, 12, "a");
    in_flight.leave(|stream| *stream == 11);
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(0)), Load { open: 1, waiting: 2 });
    in_flight.strand(CalloutId(1), at(0));
    in_flight.leave(|stream| *stream == 10 || *stream == 12);
    assert!(in_flight.take_unasked().is_empty(), "nobody is left to ask for");
}

/// The same token is renewed once, and a host that never calls back fills no memory.
#[test]
fn r057_renewals_that_are_not_asked_for_are_bounded() {
    let mut in_flight = InFlight::<u32>::default();
    for _ in 0..3 {
        in_flight.renew(ask("a").0);
    }
    for token in 0..1000 {
        in_flight.renew(ask(&format!("token-{token}")).0);
    }
    assert_eq!(in_flight.take_unasked().len(), MAX_RENEWALS);
    assert!(in_flight.take_unasked().is_empty());
}
