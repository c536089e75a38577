use super::*;
use crate::testing::{at, test};

const TIMEOUT: Duration = Duration::from_secs(2);

fn breaker(failures: usize) -> CircuitBreaker {
    CircuitBreaker::new(CircuitSettings { failures, open_for: Duration::from_secs(5) })
}

fn token(number: u8) -> TokenKey {
    TokenKey::from_bytes([number; 32])
}

/// Tokens 1 to 3 failed, at the beginning.
fn opened() -> CircuitBreaker {
    let mut breaker = breaker(3);
    let changes: Vec<_> = (1..=3).map(|number| breaker.note_end(token(number), true, at(0))).collect();
    assert_eq!(changes, [None, None, Some(CircuitChange::Opened)]);
    breaker
}

/// If occasional failures opened the circuit, a healthy server would not be used.
#[test]
fn r111_failures_in_a_row_open_it_and_others_do_not() {
    let mut breaker = breaker(3);
    for _ in 0..10 {
        assert_eq!(breaker.note_end(token(1), true, at(0)), None);
        assert_eq!(breaker.note_end(token(2), true, at(0)), None);
        assert_eq!(breaker.note_end(token(3), false, at(0)), None);
    }
    assert_eq!(breaker.pause(&token(4), at(0)), None);
    assert_eq!(opened().pause(&token(4), at(0)), Some(Duration::from_secs(5)));
    assert_eq!(opened().pause(&token(4), at(4)), Some(Duration::from_secs(1)));
}

/// If all introspections were sent at once after the pause, a recovering server would be taken down again.
#[test]
fn r111_after_the_pause_one_query_probes() {
    let mut breaker = opened();
    assert_eq!(breaker.pause(&token(4), at(5)), None);
    breaker.note_sent(token(4), at(5), TIMEOUT);
    assert_eq!(breaker.pause(&token(5), at(5)), Some(TIMEOUT), "one is enough");
    assert_eq!(breaker.note_end(token(4), true, at(6)), None);
    assert_eq!(breaker.pause(&token(5), at(6)), Some(Duration::from_secs(5)), "it still fails");
    breaker.note_sent(token(5), at(11), TIMEOUT);
    assert_eq!(breaker.note_end(token(5), false, at(12)), Some(CircuitChange::Closed));
    assert_eq!(breaker.pause(&token(1), at(12)), None);
}

/// If the response to the probe were awaited forever, a client that disconnects would keep the server out of use. If the probe could not be
/// sent again, each client that disconnects would cost a timeout.
#[test]
fn r111_r113_a_probe_whose_response_is_lost_is_repeated() {
    let mut breaker = opened();
    breaker.note_sent(token(4), at(5), TIMEOUT);
    assert!(breaker.is_probing(&token(4)) && !breaker.is_probing(&token(5)));
    assert_eq!(breaker.pause(&token(4), at(5)), None, "the probe itself");
    assert_eq!(breaker.pause(&token(5), at(7)), None);
}

/// If one token could fail more than once in a row, a client whose token makes the server respond with 500 would open the
/// circuit breaker for all.
#[test]
fn r115_a_token_fails_once_in_a_row() {
    let mut breaker = breaker(3);
    for _ in 0..100 {
        assert_eq!(breaker.note_end(token(1), true, at(0)), None);
    }
    assert_eq!(breaker.note_end(token(2), true, at(0)), None);
    assert_eq!(breaker.pause(&token(1), at(0)), None);
    assert_eq!(breaker.note_end(token(3), true, at(0)), Some(CircuitChange::Opened));
}

/// If a token that has failed could always be the probe, its client would hold the circuit open although the server has recovered.
#[test]
fn r115_a_token_that_has_failed_lets_others_probe_first() {
    let mut breaker = opened();
    assert_eq!(breaker.pause(&token(1), at(5)), Some(Duration::from_millis(1250)));
    assert_eq!(breaker.pause(&token(4), at(5)), None);
    assert_eq!(breaker.pause(&token(1), at(7)), None, "if there are no others, it has to do");
    breaker.note_sent(token(4), at(5), TIMEOUT);
    breaker.note_end(token(4), true, at(6));
    assert_eq!(breaker.pause(&token(4), at(11)), Some(Duration::from_millis(1250)), "it is one of them now");
    assert_eq!(breaker.pause(&token(1), at(11)), None, "the oldest failure is forgotten");
}

/// Responses to introspections that were sent before the circuit opened arrive late.
#[test]
fn late_answers_count_as_what_they_are() {
    let mut breaker = opened();
    assert_eq!(breaker.note_end(token(4), true, at(1)), None);
    assert_eq!(
        breaker.pause(&token(5), at(1)),
        Some(Duration::from_secs(4)),
        "a failure more says nothing new"
    );
    assert_eq!(breaker.note_end(token(5), false, at(2)), Some(CircuitChange::Closed));
}

/// An idle worker reads the responses of an outage long after its end. If they opened the circuit, a healthy server would not be used.
#[test]
fn r111_r260_failures_before_a_success_say_nothing() {
    let mut breaker = breaker(3);
    assert_eq!(breaker.note_end(token(9), false, at(10)), None);
    for number in 1..=3 {
        assert_eq!(breaker.note_end(token(number), true, at(5)), None);
    }
    assert!(breaker.is_closed());
    // A success by a clock that was ahead does not hide an outage.
    breaker.note_sent(token(4), at(6), TIMEOUT);
    for number in 1..=3 {
        breaker.note_end(token(number), true, at(7));
    }
    assert!(!breaker.is_closed());
}

/// If a clock that is set back counted, the server would not be used for as long as it was wrong.
#[test]
fn a_clock_that_goes_back_ends_the_pause() {
    let mut breaker = breaker(1);
    breaker.note_end(token(1), true, at(3600));
    assert!(breaker.pause(&token(2), at(3600)).is_some());
    assert_eq!(breaker.pause(&token(2), at(0)), None);
}

#[test]
fn none_opens_it_where_it_is_turned_off() {
    let mut breaker = breaker(0);
    for number in 0..100 {
        assert_eq!(breaker.note_end(token(number), true, at(0)), None);
    }
    assert_eq!(breaker.pause(&token(1), at(0)), None);
}
