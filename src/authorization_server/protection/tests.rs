use super::*;
use crate::testing::{at, test};

const LIMITS: Limits = Limits { concurrent: 2, per_second: 1000, waiting: 100 };

/// The protection of one server, which two workers share.
fn shared(limits: Limits) -> Arc<Protection> {
    let circuit = CircuitSettings { failures: 2, open_for: Duration::from_secs(5) };
    Arc::new(Protection::new(limits, circuit, true))
}

fn token(number: u8) -> TokenKey {
    TokenKey::from_bytes([number; 32])
}

fn admit(protection: &Arc<Protection>, number: u8, seconds: u64) -> Result<Option<Permit>, NotSent> {
    protection.admit(token(number), Precedence::Known, Duration::from_secs(2), at(seconds), || true)
}

/// If each worker counted only its own introspections, sixteen workers would send a server sixteen times what its operator has allowed.
#[test]
fn r260_open_introspections_of_all_workers_count_and_free_their_place_at_their_end() {
    let protection = shared(LIMITS);
    let first = admit(&protection, 1, 0).expect("there is room");
    let _second = admit(&protection, 2, 0).expect("there is room");
    assert_eq!(admit(&protection, 3, 0).err(), Some(NotSent::LimitReached));
    drop(first);
    let _third = admit(&protection, 3, 0).expect("the place of the first");
    assert_eq!(admit(&protection, 4, 0).err(), Some(NotSent::LimitReached));
}

/// If sharing another worker's response took a place, workers would refuse tokens that cost the server nothing; if it counted against the
/// rate, a token in use would exhaust it.
#[test]
fn r260_an_introspection_that_another_worker_has_in_flight_needs_no_place() {
    let protection = shared(Limits { concurrent: 1, per_second: 2, ..LIMITS });
    let first = admit(&protection, 1, 0).expect("there is room");
    assert!(first.is_some());
    for _ in 0..10 {
        assert!(admit(&protection, 1, 0).is_ok_and(|permit| permit.is_none()), "it is in flight");
    }
    drop(first);
    assert!(admit(&protection, 1, 0).is_ok_and(|permit| permit.is_some()), "it has ended");
    assert_eq!(admit(&protection, 2, 0).err(), Some(NotSent::LimitReached), "two in this second");
}

/// If calls that exceed the limits did not count, they would go unnoticed for as long as they take.
#[test]
fn r260_a_call_whose_shared_answer_has_just_ended_counts() {
    let protection = shared(Limits { concurrent: 1, ..LIMITS });
    let protections = Protections(vec![Some(Arc::clone(&protection))]);
    let key = QueryKey { server: ServerId(0), about: About::Token(token(1)) };
    let permit = protections.permit(key).expect("it is about a token");
    assert_eq!(admit(&protection, 2, 0).err(), Some(NotSent::LimitReached));
    drop(permit);
    assert!(admit(&protection, 2, 0).is_ok());
    assert!(protections.permit(QueryKey { about: About::Keys, ..key }).is_none());
}

/// If each worker had to find out for itself that a server is down, its clients would wait for as many timeouts as there are workers.
#[test]
fn r260_what_one_worker_has_seen_fail_is_open_for_all() {
    let protection = shared(LIMITS);
    for number in 1..=2 {
        assert!(admit(&protection, number, 0).is_ok());
        protection.note_end(token(number), true, at(1));
    }
    assert!(protection.is_circuit_open());
    assert_eq!(admit(&protection, 3, 1).err(), Some(NotSent::CircuitOpen(Duration::from_secs(5))));
}

/// An idle worker reads a response late. If an old success closed the circuit, the server would be asked again while it is down.
#[test]
fn r260_an_answer_from_before_the_failures_closes_nothing() {
    let protection = shared(LIMITS);
    for number in 1..=2 {
        protection.note_end(token(number), true, at(10));
    }
    assert_eq!(protection.note_end(token(3), false, at(9)), None);
    assert!(protection.is_circuit_open());
    assert!(admit(&protection, 4, 16).is_ok(), "it probes");
    protection.note_end(token(3), true, at(15));
    assert_eq!(admit(&protection, 5, 17).err(), Some(NotSent::CircuitOpen(Duration::from_secs(1))), "still");
    protection.note_end(token(4), false, at(17));
    assert!(!protection.is_circuit_open());
}
