//! What an active access token stands for, prepared once so that a cached request has nothing left to build.

use crate::claims::Claims;
use crate::time::Timestamp;

/// The answer of the authorization server about one active token: the finished value of the `Authorization` field and what
/// rules ask about.
#[derive(Debug)]
pub struct Grant {
    authorization: String,
    claims: Claims,
    fresh_until: Timestamp,
}

impl Grant {
    /// Prepares the grant of a JWT with these claims. What is not kept is not fresh at any time.
    pub(crate) fn new(jwt: &str, claims: Claims, fresh_until: Option<Timestamp>) -> Self {
        let fresh_until = fresh_until.unwrap_or(Timestamp::from_millis(0));
        Self { authorization: format!("{SCHEME}{jwt}"), claims, fresh_until }
    }

    /// `Bearer` and the JWT: what the services behind the gateway receive.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    pub(crate) fn jwt(&self) -> &str {
        self.authorization.strip_prefix(SCHEME).unwrap_or_default()
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(crate) fn fresh_until(&self) -> Timestamp {
        self.fresh_until
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
