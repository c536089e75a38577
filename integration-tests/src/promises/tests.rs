//! A check that finds nothing may be unable to find anything, so each promise is tested both kept and broken.

use super::*;
use crate::load_token::LoadToken;

#[test]
fn what_is_promised_during_a_fault_is_not_complained_about() {
    for (token, observed, arrivals) in [
        (known(), answer(200), 1),
        (cold(), answer(502), 0),
        (cold(), answer(503), 0),
        (cold(), answer(504), 0),
        (unknown(), answer(503), 0),
        (None, answer(401), 0),
    ] {
        assert_eq!(found(token, observed, arrivals), None, "{token:?} {observed:?}");
    }
}

#[test]
fn each_promise_that_is_broken_during_a_fault_is_found() {
    let Observed::Answer { status, is_challenge, says_when, is_own } = answer(503) else { panic!() };
    let of_another = Observed::Answer { status: 200, is_challenge, says_when, is_own };
    let challenging = Observed::Answer { status, is_challenge: true, says_when, is_own };
    let unsaid = Observed::Answer { status, is_challenge, says_when: false, is_own };
    let plain_401 = Observed::Answer { status: 401, is_challenge: false, says_when: false, is_own: false };
    for (token, observed, arrivals, expected) in [
        (known(), Observed::Silence, 0, "a request was forgotten"),
        (known(), Observed::Cut, 0, "a connection was closed"),
        (None, answer(200), 1, "a request without a good token was served"),
        (unknown(), answer(503), 1, "a request without a good token arrived at the API"),
        (known(), of_another, 1, "a request got the answer to another"),
        (known(), answer(200), 2, "a request did not arrive once"),
        (cold(), answer(503), 1, "a refused request arrived at the API"),
        (cold(), answer(200), 1, "a token was accepted that nobody can have been asked about"),
        (unknown(), answer(401), 0, "a token was called a bad one that nobody can have been asked about"),
        (cold(), answer(401), 0, "a good token was refused as the client's fault"),
        (None, plain_401, 0, "a 401 without a challenge"),
        (known(), answer(503), 0, "a request failed that needs no authorization server"),
        (cold(), challenging, 0, "a failure of the server was reported as the client's"),
        (cold(), unsaid, 0, "a 503 without Retry-After"),
        (cold(), answer(500), 0, "a status that nobody expects"),
    ] {
        let found = found(token, observed, arrivals).unwrap_or_default();
        assert!(found.starts_with(&format!("{expected}: ")), "{expected}: {found}");
    }
}

#[test]
fn a_failure_while_nothing_fails_is_found() {
    let calm = found_at(0, Harm::Total, cold(), answer(503), 0).unwrap_or_default();
    assert!(calm.starts_with("a request failed while all was well: "), "{calm}");
    let harmless = found_at(1500, Harm::None, cold(), answer(503), 0).unwrap_or_default();
    assert!(harmless.starts_with("a request failed by what is to harm nobody: "), "{harmless}");
}

#[test]
fn an_unsent_request_and_an_unnoticed_fault_are_found() {
    let zero = Instant::now();
    let times = Times { begin: zero, end: zero, certain: None, well: zero };
    let account = Account { arrivals: [(9, 1)].into(), complaints: vec!["it complains".to_owned()] };
    assert_eq!(
        broken(&[], times, Expected { harm: Harm::Partial, cuts: false }, &account),
        [
            "it complains",
            "the API received the request 9, which nobody sent",
            "nobody noticed the fault, so that it proves nothing",
        ]
    );
}

#[test]
fn the_recovery_ends_with_the_first_success_after_the_last_refusal() {
    let zero = Instant::now();
    let times = Times { begin: zero, end: zero, certain: None, well: zero + Duration::from_secs(3) };
    let at = |millis, status| observation(zero + Duration::from_millis(millis), cold(), answer(status));
    let quick = [at(5, 200), at(10, 200)];
    assert_eq!(times.recovery(&quick), Duration::from_millis(6));
    let slow = [at(5, 200), at(800, 503), at(900, 200), at(950, 200)];
    assert_eq!(times.recovery(&slow), Duration::from_millis(901));
}

/// Returns what is found if one request is observed like this in the middle of a fault that affects all requests that need the server.
fn found(token: Option<LoadToken>, observed: Observed, arrivals: u32) -> Option<String> {
    found_at(1500, Harm::Total, token, observed, arrivals)
}

/// The fault lasts from the first second to the second, and all clients are served again at the third. Unless it is harmless, at least one
/// client notices it.
fn found_at(
    sent: u64,
    harm: Harm,
    token: Option<LoadToken>,
    observed: Observed,
    arrivals: u32,
) -> Option<String> {
    let zero = Instant::now();
    let at = |millis| zero + Duration::from_millis(millis);
    let times = Times { begin: at(1000), end: at(2000), certain: Some((at(1001), at(1999))), well: at(3000) };
    let one = observation(at(sent), token, observed);
    let other = Observation { request: 8, ..observation(at(1100), cold(), answer(504)) };
    let observations = if harm == Harm::None { vec![one] } else { vec![one, other] };
    let arrivals = [(one.request, arrivals)].into_iter().filter(|(_, arrivals)| *arrivals > 0).collect();
    let account = Account { arrivals, complaints: Vec::new() };
    let broken = broken(&observations, times, Expected { harm, cuts: false }, &account);
    assert!(broken.len() <= 1, "{broken:?}");
    broken.into_iter().next()
}

fn observation(sent: Instant, token: Option<LoadToken>, observed: Observed) -> Observation {
    Observation { client: 0, request: 7, token, sent, seen: sent + Duration::from_millis(1), observed }
}

fn answer(status: u16) -> Observed {
    let (is_challenge, says_when) = (status == 401, status == 503);
    Observed::Answer { status, is_challenge, says_when, is_own: status == 200 }
}

fn known() -> Option<LoadToken> {
    Some(LoadToken::known(0))
}

fn cold() -> Option<LoadToken> {
    Some(LoadToken::fresh(TokenKind::Cold))
}

fn unknown() -> Option<LoadToken> {
    Some(LoadToken::fresh(TokenKind::Unknown))
}
