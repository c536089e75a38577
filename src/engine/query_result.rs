//! What a query to an authorization server came to.

use std::rc::Rc;

use crate::authorization_server::{TokenError, UnverifiedToken};
use crate::refusal::Reason;
use crate::server::circuit_breaker::CircuitChange;
use crate::token_key::TokenKey;

/// What an answer came to, for every request that waited for it.
pub(super) enum QueryResult {
    /// An introspection.
    Token(IntrospectionResult),
    /// A document of the server: it was taken, or is of no use.
    Document(Result<(), Reason>),
}

/// What an introspection came to.
pub(super) struct IntrospectionResult {
    pub(super) token: TokenKey,
    pub(super) unverified_token: Result<Rc<UnverifiedToken>, TokenError>,
    /// What changed for the next queries to this server.
    pub(super) circuit: Option<CircuitChange>,
}

impl IntrospectionResult {
    /// Why nothing speaks for the token, if nothing does.
    pub(super) fn refusal(&self) -> Option<Reason> {
        self.unverified_token.as_ref().err().map(|none| none.reason)
    }
}
