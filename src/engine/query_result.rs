//! The result of a query to an authorization server.

use std::rc::Rc;

use crate::authorization_server::UnverifiedToken;
use crate::jwt::UnusableKey;
use crate::refusal::{Reason, TokenError};
use crate::server::circuit_breaker::CircuitChange;
use crate::server::query::{About, QueryKey};
use crate::token_key::TokenKey;

/// The result of a query, for every request that waited for it.
pub(super) enum QueryResult {
    /// An introspection.
    Token(IntrospectionResult),
    /// A fetch of metadata or keys, and the keys that are left out, if they differ from those before.
    Document(Result<(), Reason>, Vec<UnusableKey>),
}

/// The result of an introspection.
pub(super) struct IntrospectionResult {
    pub(super) token: TokenKey,
    pub(super) unverified_token: Result<Rc<UnverifiedToken>, TokenError>,
    /// A change of the circuit breaker.
    pub(super) circuit: Option<CircuitChange>,
}

impl QueryResult {
    /// Creates the result of a query that failed.
    pub(super) fn failed(key: QueryKey, error: TokenError) -> Self {
        match key.about {
            About::Token(token) => {
                Self::Token(IntrospectionResult { token, unverified_token: Err(error), circuit: None })
            }
            About::Metadata | About::Keys => Self::Document(Err(error.reason), Vec::new()),
        }
    }
}

impl IntrospectionResult {
    /// Returns why the token is not accepted, if it is not.
    pub(super) fn refusal(&self) -> Option<TokenError> {
        self.unverified_token.as_ref().err().copied()
    }
}
