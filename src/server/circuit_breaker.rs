//! A circuit breaker for one authorization server. After failures in a row it opens: no introspection is sent for a while, so
//! that the server can recover and requests do not wait in vain. Then it is half open: one introspection at a time probes the
//! server.
//!
//! Only these are failures: no response, or a status of 500 and above. A refusal (4xx) comes from a healthy server. Each token
//! counts once, since a server may fail because of what one client sends.

use std::time::Duration;

use crate::fields::{Bounded, BoundedDuration, MINUTE, section};
use crate::time::Timestamp;
use crate::token_key::TokenKey;

section! {
    /// When the circuit breaker opens, for each worker; in the native module, for the process.
    #[derive(Copy, PartialEq, Eq)]
    pub struct CircuitSettings {
        /// Number of consecutive tokens whose introspection failed (no response, or a status of 500 or above; never one below)
        /// before the circuit breaker opens; `0` for never. Cached tokens still pass, others are a 503 with `Retry-After`.
        failures: Bounded<0, 10_000> = 5,
        /// How long it stays open; then one introspection at a time probes the server.
        open_for: BoundedDuration<100, { 5 * MINUTE }> = "5s",
    }
}

/// A change of the state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// It opened.
    Opened,
    /// It closed.
    Closed,
}

/// The circuit breaker of one server.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    settings: CircuitSettings,
    state: State,
    /// The tokens whose introspection failed since the last success, the latest last; at most as many as it takes to open.
    failed: Vec<TokenKey>,
    /// When an introspection last succeeded.
    served_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Introspections are sent.
    Closed,
    /// No introspections are sent.
    Open { since: Timestamp },
    /// One introspection was sent, about this token. If its response is lost, another may probe after the timeout.
    HalfOpen { since: Timestamp, timeout: Duration, probe: TokenKey },
}

impl CircuitBreaker {
    /// Starts closed.
    pub(crate) fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed, failed: Vec::new(), served_at: None }
    }

    /// Whether introspections are sent.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// How long a token must not be introspected; `None` if it may be now. A token that has failed waits a quarter longer, so that others
    /// probe first: the failure may be due to the token. The probe itself may be sent again.
    pub(crate) fn pause(&self, token: &TokenKey, now: Timestamp) -> Option<Duration> {
        let (since, pause) = match self.state {
            State::Closed => return None,
            State::Open { since } if self.failed.contains(token) => {
                (since, self.settings.open_for.mul_f64(1.25))
            }
            State::Open { since } => (since, self.settings.open_for),
            State::HalfOpen { probe, .. } if probe == *token => return None,
            State::HalfOpen { since, timeout, .. } => (since, timeout),
        };
        // A clock that goes back must not make the pause longer.
        (since <= now && now < since.plus(pause)).then(|| since.plus(pause).since(now))
    }

    /// Whether the introspection of this token probes whether the server has recovered.
    pub(crate) fn is_probing(&self, token: &TokenKey) -> bool {
        matches!(&self.state, State::HalfOpen { probe, .. } if probe == token)
    }

    /// Records that an introspection is sent now, and that its response is due after `timeout`.
    pub(crate) fn note_sent(&mut self, token: TokenKey, now: Timestamp, timeout: Duration) {
        // If the clock went back, an earlier success says nothing about what follows.
        self.served_at = self.served_at.filter(|served_at| *served_at <= now);
        if !self.is_closed() {
            self.state = State::HalfOpen { since: now, timeout, probe: token };
        }
    }

    /// Records the end of an introspection. It does not count if the circuit opened or a probe was sent after `now`, since another worker
    /// may report it late. Nor does a failure from before the last success.
    pub(crate) fn note_end(
        &mut self,
        token: TokenKey,
        has_failed: bool,
        now: Timestamp,
    ) -> Option<CircuitChange> {
        if let State::Open { since } | State::HalfOpen { since, .. } = self.state
            && now < since
        {
            return None;
        }
        if !has_failed {
            self.served_at = Some(now);
            self.failed.clear();
            let was_closed = self.is_closed();
            self.state = State::Closed;
            return (!was_closed).then_some(CircuitChange::Closed);
        }
        if self.served_at.is_some_and(|served_at| now < served_at) {
            return None;
        }
        let CircuitSettings { failures, .. } = self.settings;
        self.failed.retain(|failed| *failed != token);
        self.failed.push(token);
        if self.failed.len() > failures {
            self.failed.remove(0);
        }
        match self.state {
            State::Closed if failures > 0 && self.failed.len() == failures => {
                self.state = State::Open { since: now };
                Some(CircuitChange::Opened)
            }
            State::HalfOpen { .. } => {
                self.state = State::Open { since: now };
                None
            }
            State::Closed | State::Open { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
