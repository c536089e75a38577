//! What protects an authorization server from introspections: its rate limiter and its circuit breaker.

use crate::host::Host;
use crate::http::callout::{CallResult, NotSent};
use crate::metrics::Counter;
use crate::server::circuit_breaker::{CircuitBreaker, CircuitChange};
use crate::server::query::Query;
use crate::server::rate_limiter::Limiter;
use crate::settings::IntrospectionSettings;
use crate::token_key::TokenKey;

/// Both.
pub(super) struct Protection {
    limiter: Limiter,
    circuit: CircuitBreaker,
}

impl Protection {
    pub(super) fn new(settings: &IntrospectionSettings) -> Self {
        Self { limiter: Limiter::new(settings.limits), circuit: CircuitBreaker::new(settings.circuit) }
    }

    /// Whether a token may be introspected, while so many calls are open.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admits(
        &mut self,
        token: &TokenKey,
        query: &Query,
        open: usize,
        host: Host<'_>,
    ) -> Result<(), NotSent> {
        if let Some(pause) = self.circuit.pause(token, host.now) {
            return Err(NotSent::CircuitOpen(pause));
        }
        match self.limiter.admits(query.precedence(), open, host.now) {
            true => Ok(()),
            false => Err(NotSent::LimitReached),
        }
    }

    /// An introspection is sent.
    pub(super) fn note_sent(&mut self, token: TokenKey, query: &Query, host: Host<'_>) {
        self.limiter.take();
        self.circuit.note_sent(token, host.now, query.timeout());
    }

    /// An introspection ended.
    pub(super) fn note_end(
        &mut self,
        token: TokenKey,
        result: &CallResult<'_>,
        host: Host<'_>,
    ) -> Option<CircuitChange> {
        let change = self.circuit.note_end(token, result.has_failed(), host.now);
        if change == Some(CircuitChange::Opened) {
            host.metrics.increment(Counter::CircuitBreakerOpened);
        }
        change
    }

    /// Whether the circuit is open.
    pub(super) fn is_open(&self) -> bool {
        !self.circuit.is_closed()
    }

    /// Whether the introspection of this token probes a circuit that is half open.
    pub(super) fn is_probing(&self, token: &TokenKey) -> bool {
        self.circuit.is_probing(token)
    }
}
