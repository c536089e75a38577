//! The promises to clients during failures, and whether they were kept, according to what clients saw and what the API received.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Harm;
use crate::load::{Observation, Observed};
use crate::load_token::TokenKind;
use crate::recording_api::Account;

/// What clients may see during a failure.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The effect on requests that need the authorization server.
    pub harm: Harm,
    /// Whether connections may be closed or refused, as when the gateway itself restarts.
    pub cuts: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// The time in which a fault of the server was certainly present: its beginning and end take a while.
    pub(crate) certain: Option<(Instant, Instant)>,
    /// When all clients were served again.
    pub(crate) well: Instant,
}

impl Times {
    /// Whether the fault may have affected a request.
    pub(crate) fn is_disturbed(self, one: &Observation) -> bool {
        one.seen >= self.begin && one.sent <= self.well
    }

    /// The time from the end of the fault until cold tokens were served again and no longer refused.
    pub(crate) fn recovery(self, observations: &[Observation]) -> Duration {
        let late = || observations.iter().filter(|one| one.sent >= self.end && one.is_cold());
        let last_refusal = late().filter(|one| !one.is_served()).map(|one| one.seen).max();
        let from = last_refusal.unwrap_or(self.end);
        let served = late().filter(|one| one.is_served() && one.seen >= from).map(|one| one.seen);
        served.min().unwrap_or(self.well) - self.end
    }
}

/// The broken promises, in sentences without secrets.
pub(crate) fn broken(
    observations: &[Observation],
    times: Times,
    expected: Expected,
    account: &Account,
) -> Vec<String> {
    let mut broken = account.complaints.clone();
    for one in observations {
        let arrivals = account.arrivals.get(&one.request).copied().unwrap_or_default();
        let wrong = wrong_observation(one, times, expected).or_else(|| wrong_arrivals(one, arrivals));
        broken.extend(wrong.map(|wrong| {
            let (name, waited) = (credentials_of(one), one.seen - one.sent);
            let offset = match one.sent.checked_duration_since(times.begin) {
                Some(after) => format!("{after:?} after the fault began"),
                None => format!("{:?} before the fault began", times.begin - one.sent),
            };
            format!("{wrong}: {name}, sent {offset}, {:?} after {waited:?}", one.observed)
        }));
    }
    let sent: HashMap<u64, &Observation> = observations.iter().map(|one| (one.request, one)).collect();
    let strangers = account.arrivals.keys().filter(|number| !sent.contains_key(number));
    broken
        .extend(strangers.map(|number| format!("the API received the request {number}, which nobody sent")));
    let is_refusal = |one: &&Observation| one.is_cold() && !one.is_served() && times.is_disturbed(one);
    let refusals = observations.iter().filter(is_refusal).count();
    if refusals == 0 && matches!(expected.harm, Harm::Partial | Harm::Total) {
        broken.push("nobody noticed the fault, so that it proves nothing".to_owned());
    }
    broken
}

/// Returns what is wrong with what a client saw. `None` if nothing is.
fn wrong_observation(one: &Observation, times: Times, expected: Expected) -> Option<&'static str> {
    let is_disturbed = times.is_disturbed(one);
    let (status, is_challenge, says_when, is_own) = match one.observed {
        Observed::Silence => return Some("a request was forgotten"),
        Observed::Cut if expected.cuts && is_disturbed => return None,
        Observed::Cut => return Some("a connection was closed"),
        Observed::Answer { status, is_challenge, says_when, is_own } => {
            (status, is_challenge, says_when, is_own)
        }
    };
    let kind = one.token.map(|token| token.kind());
    let needs_server = matches!(kind, Some(TokenKind::Cold | TokenKind::Unknown));
    let is_good = one.token.is_some_and(|token| token.is_active());
    let during_fault = times.certain.is_some_and(|(from, to)| one.sent >= from && one.seen <= to);
    match status {
        200 if !is_good => Some("a request without a good token was served"),
        200 if !is_own => Some("a request got the answer to another"),
        200 if needs_server && during_fault && expected.harm == Harm::Total => {
            Some("a token was accepted that nobody can have been asked about")
        }
        200 => None,
        401 if is_good => Some("a good token was refused as the client's fault"),
        401 if needs_server && during_fault && expected.harm == Harm::Total => {
            Some("a token was called a bad one that nobody can have been asked about")
        }
        401 if !is_challenge => Some("a 401 without a challenge"),
        401 => None,
        502..=504 if !needs_server => Some("a request failed that needs no authorization server"),
        502..=504 if !is_disturbed => Some("a request failed while all was well"),
        502..=504 if expected.harm == Harm::None => Some("a request failed by what is to harm nobody"),
        502..=504 if is_challenge => Some("a failure of the server was reported as the client's"),
        503 if !says_when => Some("a 503 without Retry-After"),
        502..=504 => None,
        _ => Some("a status that nobody expects"),
    }
}

/// Returns what is wrong with how often a request arrived at the API. `None` if nothing is.
fn wrong_arrivals(one: &Observation, arrivals: u32) -> Option<&'static str> {
    let may_arrive = one.token.is_some_and(|token| token.is_active());
    match one.observed {
        _ if arrivals > 0 && !may_arrive => Some("a request without a good token arrived at the API"),
        Observed::Answer { status: 200, .. } if arrivals != 1 => Some("a request did not arrive once"),
        Observed::Answer { status, .. } if status != 200 && arrivals > 0 => {
            Some("a refused request arrived at the API")
        }
        _ if arrivals > 1 => Some("a request arrived more than once"),
        _ => None,
    }
}

/// The name of the credentials that a request presented.
pub(crate) fn credentials_of(one: &Observation) -> &'static str {
    one.token.map_or("none", |token| token.kind().name())
}

#[cfg(test)]
mod tests;
