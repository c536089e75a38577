use super::*;
use crate::testing::{at, test};

fn after(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(at(0).as_millis() + milliseconds)
}

#[test]
fn r111_no_more_is_asked_than_the_server_can_bear() {
    let mut limiter = Limiter::new(Limits { concurrent: 3, per_second: 10, waiting: 100 });
    assert!(limiter.admit(2, after(0)));
    assert!(!limiter.admit(3, after(0)), "three are open");
    let admitted = (0..50).filter(|_| limiter.admit(0, after(0))).count();
    assert_eq!(admitted, 9, "ten at once, and no more");
    assert!(!limiter.admit(0, after(99)));
    assert!(limiter.admit(0, after(100)));
    assert!(!limiter.admit(0, after(150)));
    assert!(!limiter.admit(0, after(140)), "a clock that goes back fills nothing");
    assert!(limiter.admit(0, after(200)));
    while limiter.admit(0, after(200)) {}
    let earlier = Timestamp::from_millis(at(0).as_millis() - 3_600_000);
    assert!(!limiter.admit(0, earlier), "nor an hour back");
    assert!(limiter.admit(0, earlier.plus(std::time::Duration::from_millis(100))), "but then it fills again");
    let after_a_rest = (0..50).filter(|_| limiter.admit(0, after(60_000))).count();
    assert_eq!(after_a_rest, 10);
}
