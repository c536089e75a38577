use super::*;
use crate::testing::{at, test};

/// If the attempts with each key of a set did not count, a flood could cost several times what the operator allowed.
#[test]
fn r121_every_verification_that_fails_counts_and_none_that_succeeds() {
    let mut budget = VerificationBudget::new(10);
    for _ in 0..2 {
        assert!(!budget.is_spent(at(0)));
        budget.spend(4);
    }
    assert!(!budget.is_spent(at(0)), "two are left");
    budget.spend(4);
    assert!(budget.is_spent(at(0)));
    assert!(budget.is_spent(Timestamp::from_millis(at(0).as_millis() + 200)), "a debt of two is paid first");
    assert!(!budget.is_spent(Timestamp::from_millis(at(0).as_millis() + 300)));
    assert!((0..1000).all(|_| !budget.is_spent(at(1))));
}

/// If an hour of rest were saved up, the flood after it would be unlimited.
#[test]
fn r121_rest_saves_up_for_one_second_and_a_clock_that_goes_back_for_none() {
    let mut budget = VerificationBudget::new(10);
    assert!(!budget.is_spent(at(0)));
    assert!(!budget.is_spent(at(3600)));
    budget.spend(10);
    assert!(budget.is_spent(at(3600)));
    assert!(budget.is_spent(at(0)));
    assert!(!budget.is_spent(at(1)));
}
