//! What an active access token stands for, prepared once so that a cached request has nothing left to build.

use std::rc::Rc;

use crate::claims::Claims;
use crate::forwarding::{AUTHORIZATION, Forwarding};
use crate::time::Timestamp;

/// The answer about one active token: the finished header fields for the services, and what rules ask about.
#[derive(Debug)]
pub struct Grant {
    jwt_value: Option<String>,
    fields: Vec<(String, String)>,
    filter_state: Vec<(String, String)>,
    claims: Claims,
    is_self_contained: bool,
    fresh_until: Timestamp,
    forwarding: Rc<Forwarding>,
}

impl Grant {
    /// Prepares the grant of a JWT, or of claims alone. What is not kept is not fresh at any time.
    pub(crate) fn new(
        jwt: Option<&str>,
        claims: Claims,
        is_self_contained: bool,
        forwarding: &Rc<Forwarding>,
        fresh_until: Option<Timestamp>,
    ) -> Self {
        Self {
            jwt_value: jwt.map(|jwt| format!("{}{jwt}", forwarding.jwt_prefix())),
            fields: forwarding.fields(&claims),
            filter_state: forwarding.filter_state(&claims),
            claims,
            is_self_contained,
            fresh_until: fresh_until.unwrap_or(Timestamp::from_millis(0)),
            forwarding: Rc::clone(forwarding),
        }
    }

    /// The header fields for the services, names and values. Each takes the place of all of its name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let jwt = self.jwt_value.as_deref().map(|value| (self.forwarding.jwt_field.as_str(), value));
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(jwt)
    }

    /// Whether one of the fields takes the place of the client's credentials.
    pub fn replaces_authorization(&self) -> bool {
        self.jwt_value.is_some() && self.forwarding.jwt_field == AUTHORIZATION
    }

    /// What the host is to keep for its access log and its other filters, names and values.
    pub fn filter_state(&self) -> &[(String, String)] {
        &self.filter_state
    }

    /// The JWT that services receive.
    pub(crate) fn jwt(&self) -> Option<&str> {
        self.jwt_value.as_deref()?.strip_prefix(self.forwarding.jwt_prefix())
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the token itself is the JWT that services receive: its issuer's keys verified it, and no server was asked.
    pub(crate) fn is_self_contained(&self) -> bool {
        self.is_self_contained
    }

    pub(crate) fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// How many bytes of memory it takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.fields.iter().chain(&self.filter_state);
        let texts: usize = texts.map(|(name, value)| name.len().saturating_add(value.len())).sum();
        let jwt = self.jwt_value.as_ref().map_or(0, String::len);
        [size_of::<Self>(), jwt, texts, self.claims.weight()].iter().sum()
    }
}
