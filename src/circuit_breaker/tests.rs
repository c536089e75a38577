use super::*;
use crate::testing::{at, test};

const TIMEOUT: Duration = Duration::from_secs(2);

fn breaker(failures: usize) -> CircuitBreaker {
    CircuitBreaker::new(CircuitSettings { failures, open_for: Duration::from_secs(5) })
}

fn opened() -> CircuitBreaker {
    let mut breaker = breaker(3);
    let changes: Vec<_> = (0..3).map(|_| breaker.note_end(true, at(0))).collect();
    assert_eq!(changes, [None, None, Some(CircuitChange::Opened)]);
    breaker
}

/// If a failure now and then opened it, a healthy server would be left alone.
#[test]
fn r111_failures_in_a_row_open_it_and_others_do_not() {
    let mut breaker = breaker(3);
    for _ in 0..10 {
        assert_eq!(breaker.note_end(true, at(0)), None);
        assert_eq!(breaker.note_end(true, at(0)), None);
        assert_eq!(breaker.note_end(false, at(0)), None);
    }
    assert_eq!(breaker.pause(at(0)), None);
    assert_eq!(opened().pause(at(0)), Some(Duration::from_secs(5)));
    assert_eq!(opened().pause(at(4)), Some(Duration::from_secs(1)));
}

/// If all asked at once when the pause is over, a server that just comes back would be taken down again.
#[test]
fn r111_after_the_pause_one_question_tries() {
    let mut breaker = opened();
    assert_eq!(breaker.pause(at(5)), None);
    breaker.note_question(at(5), TIMEOUT);
    assert_eq!(breaker.pause(at(5)), Some(TIMEOUT), "one is enough");
    assert_eq!(breaker.note_end(true, at(6)), None);
    assert_eq!(breaker.pause(at(6)), Some(Duration::from_secs(5)), "it still fails");
    breaker.note_question(at(11), TIMEOUT);
    assert_eq!(breaker.note_end(false, at(12)), Some(CircuitChange::Closed));
    assert_eq!(breaker.pause(at(12)), None);
}

/// If the answer of the one that tries were waited for forever, a client that goes away would keep the server out of use.
#[test]
fn r111_a_trial_whose_answer_is_lost_is_repeated() {
    let mut breaker = opened();
    breaker.note_question(at(5), TIMEOUT);
    assert_eq!(breaker.pause(at(7)), None);
}

/// Answers to what was asked before it opened come late.
#[test]
fn late_answers_count_as_what_they_are() {
    let mut breaker = opened();
    assert_eq!(breaker.note_end(true, at(1)), None);
    assert_eq!(breaker.pause(at(1)), Some(Duration::from_secs(4)), "a failure more says nothing new");
    assert_eq!(breaker.note_end(false, at(2)), Some(CircuitChange::Closed));
}

/// If a clock that is set back counted, the server would be left alone for as long as it was wrong.
#[test]
fn a_clock_that_goes_back_ends_the_pause() {
    let mut breaker = breaker(1);
    breaker.note_end(true, at(3600));
    assert!(breaker.pause(at(3600)).is_some());
    assert_eq!(breaker.pause(at(0)), None);
}

#[test]
fn none_opens_it_where_it_is_turned_off() {
    let mut breaker = breaker(0);
    for _ in 0..1000 {
        assert_eq!(breaker.note_end(true, at(0)), None);
    }
    assert_eq!(breaker.pause(at(0)), None);
}
