//! An authorization server that fails again and again is left alone for a while: asking it more would keep it down, and keep
//! requests waiting for nothing. Then one question at a time tries whether it serves again.
//!
//! Only a server that does not serve counts as failing: no answer, or a status of 500 and above. What it refuses (4xx), it
//! refuses in good health.

use std::time::Duration;

use crate::time::Timestamp;

/// When a server is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitSettings {
    /// After how many failures in a row; none for never.
    pub failures: usize,
    /// How long.
    pub open_for: Duration,
}

/// What changed for the questions to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// It is left alone from now on.
    Opened,
    /// It serves again.
    Closed,
}

/// The state of one worker's questions to one server.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    settings: CircuitSettings,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// All questions are asked. The last so many failed.
    Closed { failures: usize },
    /// None is asked.
    Open { since: Timestamp },
    /// One was asked. Its answer may be lost with the client that it was asked for: then another tries.
    HalfOpen { since: Timestamp, timeout: Duration },
}

impl CircuitBreaker {
    /// Starts with trust.
    pub(crate) fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// Whether all questions are asked.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// How long nobody may ask; none, if somebody may now.
    pub(crate) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let (since, pause) = match self.state {
            State::Closed { .. } => return None,
            State::Open { since } => (since, self.settings.open_for),
            State::HalfOpen { since, timeout } => (since, timeout),
        };
        // A clock that goes back must not make the pause longer.
        (since <= now && now < since.plus(pause)).then(|| since.plus(pause).since(now))
    }

    /// A question is asked now, and its answer is due after `timeout`.
    pub(crate) fn note_question(&mut self, now: Timestamp, timeout: Duration) {
        if !self.is_closed() {
            self.state = State::HalfOpen { since: now, timeout };
        }
    }

    /// A question came to an end.
    pub(crate) fn note_end(&mut self, has_failed: bool, now: Timestamp) -> Option<CircuitChange> {
        let opened = State::Open { since: now };
        let (state, change) = match (self.state, has_failed) {
            (State::Closed { .. }, false) => (State::Closed { failures: 0 }, None),
            (State::Open { .. } | State::HalfOpen { .. }, false) => {
                (State::Closed { failures: 0 }, Some(CircuitChange::Closed))
            }
            (State::Closed { failures }, true) => match failures.saturating_add(1) {
                failures if failures == self.settings.failures => (opened, Some(CircuitChange::Opened)),
                failures => (State::Closed { failures }, None),
            },
            (State::HalfOpen { .. }, true) => (opened, None),
            (open @ State::Open { .. }, true) => (open, None),
        };
        self.state = state;
        change
    }
}

#[cfg(test)]
mod tests;
