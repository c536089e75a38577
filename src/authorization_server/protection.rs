//! Protects one server from the gateway: the limits of its introspections, and its circuit breaker. All workers of a process can share a
//! protection: then a limit applies to the process, and all workers know as soon as one finds that the server is down.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::callout::NotSent;
use crate::server::circuit_breaker::{CircuitBreaker, CircuitChange, CircuitSettings};
use crate::server::query::{About, QueryKey};
use crate::server::rate_limiter::{Limiter, Limits, Precedence};
use crate::server_id::ServerId;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token_key::TokenKey;

/// The limits and the circuit breaker of one server.
pub(crate) struct Protection {
    state: Mutex<State>,
    /// Whether the circuit is open or half open: a copy that is read without the lock.
    is_circuit_open: AtomicBool,
    /// Whether concurrent introspections of one token on several workers share a response.
    shares_answers: bool,
}

struct State {
    limiter: Limiter,
    circuit: CircuitBreaker,
    open: usize,
    /// The tokens of the open introspections, if workers share responses.
    tokens: BTreeSet<TokenKey>,
}

/// The protections of all servers of one configuration.
#[derive(Clone)]
pub struct Protections(Vec<Option<Arc<Protection>>>);

/// One of the introspections that a server may have open at a time; freed on drop.
pub struct Permit {
    protection: Arc<Protection>,
    token: TokenKey,
}

impl Protection {
    pub(crate) fn new(limits: Limits, circuit: CircuitSettings, shares_answers: bool) -> Self {
        let state = State {
            limiter: Limiter::new(limits),
            circuit: CircuitBreaker::new(circuit),
            open: 0,
            tokens: BTreeSet::new(),
        };
        Self { state: Mutex::new(state), is_circuit_open: AtomicBool::new(false), shares_answers }
    }

    /// Reserves a place for an introspection, if one may be sent. Returns `None` if the introspection shares the response to another
    /// worker's and so needs no place. `is_due` is called last, since it may claim a refresh.
    ///
    /// # Errors
    /// Why it may not be sent.
    pub(crate) fn admit(
        self: &Arc<Self>,
        token: TokenKey,
        precedence: Precedence,
        timeout: Duration,
        now: Timestamp,
        is_due: impl FnOnce() -> bool,
    ) -> Result<Option<Permit>, NotSent> {
        let mut state = self.state();
        if self.shares_answers && state.tokens.contains(&token) {
            return Ok(None);
        }
        let State { limiter, circuit, open, .. } = &mut *state;
        if let Some(pause) = circuit.pause(&token, now) {
            return Err(NotSent::CircuitOpen(pause));
        }
        if !limiter.admits(precedence, *open, now) {
            return Err(NotSent::LimitReached);
        }
        if !is_due() {
            return Err(NotSent::Claimed);
        }
        circuit.note_sent(token, now, timeout);
        Ok(Some(self.permit(&mut state, token)))
    }

    /// Records the end of an introspection. Returns the change of the circuit breaker, if there is one.
    pub(crate) fn note_end(
        &self,
        token: TokenKey,
        has_failed: bool,
        now: Timestamp,
    ) -> Option<CircuitChange> {
        let mut state = self.state();
        let change = state.circuit.note_end(token, has_failed, now);
        self.is_circuit_open.store(!state.circuit.is_closed(), Ordering::Relaxed);
        change
    }

    pub(crate) fn is_circuit_open(&self) -> bool {
        self.is_circuit_open.load(Ordering::Relaxed)
    }

    /// Whether the introspection of this token is the probe of the half-open circuit breaker.
    pub(crate) fn is_probing(&self, token: &TokenKey) -> bool {
        self.state().circuit.is_probing(token)
    }

    fn permit(self: &Arc<Self>, state: &mut State, token: TokenKey) -> Permit {
        state.limiter.take();
        state.open = state.open.saturating_add(1);
        if self.shares_answers {
            state.tokens.insert(token);
        }
        Permit { protection: Arc::clone(self), token }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Protections {
    /// Creates protections for the engines of a process to [share](crate::Engine::sharing).
    pub fn new(settings: &Settings) -> Self {
        Self::with(settings, settings.single_flight)
    }

    /// Creates the protections of a single engine.
    pub(crate) fn of_engine(settings: &Settings) -> Self {
        Self::with(settings, false)
    }

    fn with(settings: &Settings, shares_answers: bool) -> Self {
        let servers = settings.servers.iter().map(|server| {
            let introspection = server.introspection.as_ref()?;
            Some(Arc::new(Protection::new(introspection.limits, introspection.circuit, shares_answers)))
        });
        Self(servers.collect())
    }

    /// Returns the protection of one server. Returns `None` if the server is not introspected.
    pub(crate) fn of(&self, ServerId(index): ServerId) -> Option<Arc<Protection>> {
        self.0.get(index).cloned().flatten()
    }

    /// Reserves a place for an introspection that was meant to share another worker's response, but found that call already complete. The
    /// place counts against the limits, but is granted regardless of them. Returns `None` for the query of a document.
    pub fn permit(&self, key: QueryKey) -> Option<Permit> {
        let About::Token(token) = key.about else { return None };
        let protection = self.0.get(key.server.0)?.as_ref()?;
        Some(protection.permit(&mut protection.state(), token))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.protection.state();
        state.open = state.open.saturating_sub(1);
        if self.protection.shares_answers {
            state.tokens.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests;
