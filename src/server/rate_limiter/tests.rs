use super::*;
use crate::testing::{at, test};

fn after(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(at(0).as_millis() + milliseconds)
}

fn admit(limiter: &mut Limiter, open: usize, now: Timestamp) -> bool {
    admit_with(limiter, Precedence::Unknown, open, now)
}

fn admit_with(limiter: &mut Limiter, precedence: Precedence, open: usize, now: Timestamp) -> bool {
    let is_admitted = limiter.admits(precedence, open, now);
    if is_admitted {
        limiter.take();
    }
    is_admitted
}

#[test]
fn r111_the_query_rate_is_limited() {
    let mut limiter = Limiter::new(Limits { concurrent: 3, per_second: 7, waiting: 100 });
    assert!(admit(&mut limiter, 2, after(0)));
    assert!(!admit(&mut limiter, 3, after(0)), "three are open");
    let admitted = (0..50).filter(|_| admit(&mut limiter, 0, after(0))).count();
    assert_eq!(admitted, 6, "seven at once, and no more");
    assert!(!admit(&mut limiter, 0, after(142)));
    assert!(admit(&mut limiter, 0, after(143)));
    assert!(!admit(&mut limiter, 0, after(214)));
    assert!(!admit(&mut limiter, 0, after(200)), "a clock that goes back fills nothing");
    assert!(admit(&mut limiter, 0, after(286)));
    while admit(&mut limiter, 0, after(286)) {}
    let earlier = Timestamp::from_millis(at(0).as_millis() - 3_600_000);
    assert!(!admit(&mut limiter, 0, earlier), "nor an hour back");
    assert!(
        admit(&mut limiter, 0, earlier.plus(std::time::Duration::from_millis(143))),
        "but then it fills again"
    );
    let after_a_rest = (0..50).filter(|_| admit(&mut limiter, 0, after(60_000))).count();
    assert_eq!(after_a_rest, 7);
}

/// If a flood of random tokens could use the whole limit, tokens in use could not be refreshed, and their clients would be
/// refused.
#[test]
fn r114_known_tokens_have_a_part_of_both_limits_to_themselves() {
    let mut limiter = Limiter::new(Limits { concurrent: 16, per_second: 24, waiting: 100 });
    assert!(!admit(&mut limiter, 14, after(0)));
    assert!(admit_with(&mut limiter, Precedence::Known, 15, after(0)));
    assert!(!admit_with(&mut limiter, Precedence::Known, 16, after(0)), "the limit is the limit");
    let unknown = (0..50).filter(|_| admit(&mut limiter, 0, after(0))).count();
    let known = (0..50).filter(|_| admit_with(&mut limiter, Precedence::Known, 0, after(0))).count();
    assert_eq!((unknown, known), (20, 3));
    // The reserve that known tokens have used refills first.
    assert!(!admit(&mut limiter, 0, after(160)));
    assert!(admit_with(&mut limiter, Precedence::Known, 0, after(160)));
    assert!(!admit(&mut limiter, 0, after(200)));
}
