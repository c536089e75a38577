use serde_json::json;

use super::*;
use crate::authenticator::{Authenticator, Step};
use crate::host::{Host, NoMetrics, NoRandomness, NoSharedData};
use crate::http::request_head::{Presented, RequestHead};
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
    let (flight, _) = in_flight.land(CalloutId(id), at(0))?;
    Some(flight.waiting.into_iter().map(|waiting| waiting.stream).collect())
}

#[test]
fn r023_requests_with_one_token_wait_for_one_callout() {
    let mut in_flight = InFlight::default();
    assert!(!join(&mut in_flight, 9, "a"), "nobody asked yet");
    depart(&mut in_flight, 1, 10, "a");
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
    assert!(in_flight.strand(CalloutId(1)).is_some());
    assert_eq!(land(&mut in_flight, 1), None, "the host drops this answer");
    assert!(!join(&mut in_flight, 12, "a"), "nobody waits for an answer that never comes");
    for flight in in_flight.take_stranded(|_| false) {
        in_flight.depart(CalloutId(2), flight, at(0));
    }
    assert!(join(&mut in_flight, 13, "a"));
    assert_eq!(land(&mut in_flight, 2), Some(vec![10, 11, 13]));
    assert!(in_flight.take_stranded(|_| false).is_empty());
}

#[test]
fn r023_nobody_asks_again_for_one_who_was_alone() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    assert!(in_flight.strand(CalloutId(1)).is_some());
    in_flight.leave(|stream| *stream == 10);
    assert!(in_flight.strand(CalloutId(1)).is_none());
    assert!(in_flight.take_stranded(|_| false).is_empty());
}

/// A host does not call a question back when its client leaves. If it were not counted any more, clients that come and go could
/// have as many asked as they like.
#[test]
fn r111_a_question_counts_as_open_until_its_answer_is_due() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    depart(&mut in_flight, 2, 20, "b");
    assert_eq!(in_flight.load(&ask("a").0.subject(), at(0)).open, 2);
    in_flight.strand(CalloutId(1));
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
                in_flight.strand(CalloutId(id));
                in_flight.leave(|stream| *stream == id);
                assert!(in_flight.take_stranded(|_| false).is_empty());
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
    in_flight.strand(CalloutId(1));
    in_flight.leave(|stream| *stream == 10 || *stream == 12);
    assert!(in_flight.take_stranded(|_| false).is_empty(), "nobody is left to ask for");
}

/// The same token is refreshed once, and a host that never calls back fills no memory.
#[test]
fn r057_refreshes_that_are_not_sent_are_bounded() {
    let mut in_flight = InFlight::<u32>::default();
    for _ in 0..3 {
        in_flight.refresh(ask("a").0, at(0));
    }
    for token in 0..1000 {
        in_flight.refresh(ask(&format!("token-{token}")).0, at(0));
    }
    assert_eq!(in_flight.take_refreshes().len(), MAX_REFRESHES);
    assert!(in_flight.take_refreshes().is_empty());
}

/// If this failed, a token whose entry ended while its refresh was queued would be introspected twice at one time.
#[test]
fn r023_a_token_that_is_being_introspected_is_not_refreshed_beside() {
    let mut in_flight = InFlight::default();
    in_flight.refresh(ask("a").0, at(0));
    in_flight.refresh(ask("b").0, at(0));
    depart(&mut in_flight, 1, 10, "a");
    let refreshes = in_flight.take_refreshes();
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].0.subject(), ask("b").0.subject());
}

/// If a refresh that there was no room for were lost, a flood would decide by chance whose token is refreshed. If it were kept for
/// good, tokens that nobody uses any more would be asked about.
#[test]
fn r114_a_refresh_that_finds_no_room_is_tried_again_until_its_time_is_over() {
    let mut in_flight = InFlight::<u32>::default();
    in_flight.refresh(ask("a").0, at(0));
    for now in [at(0), at(1), at(2)] {
        let refreshes = in_flight.take_refreshes();
        assert_eq!(refreshes.len(), 1);
        refreshes.into_iter().for_each(|(question, since)| in_flight.put_back(question, since, now));
    }
    assert!(in_flight.take_refreshes().is_empty());
}

/// If a client that leaves cost the whole time-out where the server answers at once, a few that come and go would shut everybody out.
#[test]
fn r113_who_has_left_costs_what_the_server_needs() {
    let mut in_flight = InFlight::default();
    let open = |in_flight: &mut InFlight<u32>, now| in_flight.load(&ask("a").0.subject(), now).open;
    depart(&mut in_flight, 1, 10, "a");
    in_flight.land(CalloutId(1), after(100));
    depart(&mut in_flight, 2, 10, "a");
    in_flight.strand(CalloutId(2));
    assert_eq!(open(&mut in_flight, after(150)), 1);
    assert_eq!(open(&mut in_flight, after(200)), 0);
}

/// If a clock that goes back counted, questions of clients that left would count as open for as long as it was wrong.
#[test]
fn r113_a_clock_that_goes_back_frees_the_places_of_those_who_left() {
    let mut in_flight = InFlight::default();
    depart(&mut in_flight, 1, 10, "a");
    in_flight.strand(CalloutId(1));
    let earlier = Timestamp::from_millis(at(0).as_millis() - 3_600_000);
    assert_eq!(in_flight.load(&ask("a").0.subject(), earlier).open, 0);
}

fn after(milliseconds: u64) -> Timestamp {
    at(0).plus(Duration::from_millis(milliseconds))
}
