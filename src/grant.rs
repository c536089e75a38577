//! What an active access token stands for, prepared once so that a cached request has nothing left to build.

use crate::claim_header::ClaimHeader;
use crate::claims::Claims;
use crate::time::Timestamp;

/// The answer of the authorization server about one active token: the finished value of the `Authorization` field and what
/// rules ask about.
#[derive(Debug)]
pub struct Grant {
    authorization: String,
    headers: Vec<(String, String)>,
    claims: Claims,
    fresh_until: Timestamp,
}

impl Grant {
    /// Prepares the grant of a JWT with these claims, and the header fields that are made of them. What is not kept is not
    /// fresh at any time.
    pub(crate) fn new(
        jwt: &str,
        claims: Claims,
        claim_headers: &[ClaimHeader],
        fresh_until: Option<Timestamp>,
    ) -> Self {
        let header = |header: &ClaimHeader| Some((header.name.clone(), header.value(&claims)?));
        Self {
            authorization: format!("{SCHEME}{jwt}"),
            headers: claim_headers.iter().filter_map(header).collect(),
            claims,
            fresh_until: fresh_until.unwrap_or(Timestamp::from_millis(0)),
        }
    }

    /// The header fields that are made of claims, names and values.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
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
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
        [size_of::<Self>(), self.authorization.len(), headers, self.claims.weight()].iter().sum()
    }
}

const SCHEME: &str = "Bearer ";
