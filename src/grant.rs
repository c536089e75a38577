//! What an active access token stands for, prepared once so that a cached request has nothing left to build.

use crate::claims::Claims;
use crate::jwt::PhantomToken;
use crate::time::{Timestamp, Validity};

/// The answer of the authorization server about one active token: the finished value of the `Authorization` field and what
/// rules ask about.
#[derive(Debug)]
pub struct Grant {
    authorization: String,
    claims: Claims,
    validity: Validity,
    fresh_until: Timestamp,
}

impl Grant {
    /// Prepares the grant of a phantom token. The token that it stands for may have dates of its own, `validity`. It is
    /// not fresh: what is not kept is not used again.
    pub(crate) fn new(phantom_token: PhantomToken, validity: Validity) -> Self {
        Self {
            authorization: format!("{SCHEME}{}", phantom_token.text()),
            validity: validity.intersect(phantom_token.validity()),
            claims: phantom_token.into_claims(),
            fresh_until: Timestamp::from_millis(0),
        }
    }

    /// `Bearer` and the JWT: what the services behind the gateway receive.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    pub(crate) fn phantom_token(&self) -> &str {
        self.authorization.strip_prefix(SCHEME).unwrap_or_default()
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }

    pub(crate) fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    pub(crate) fn set_fresh_until(&mut self, moment: Timestamp) {
        self.fresh_until = moment;
    }

    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// How many bytes of memory it takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(self.authorization.len()).saturating_add(self.claims.weight())
    }
}

const SCHEME: &str = "Bearer ";
