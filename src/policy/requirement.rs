//! What a rule asks of a token beyond being active: audience (RFC 9068 §4), scope (RFC 6749 §3.3), other claims, and how
//! and when the user authenticated (RFC 9470).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::refusal::Reason;
use crate::server_id::ServerId;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::upstream::mint::MintProfile;

/// What becomes of a request that does not meet a requirement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It is refused.
    #[default]
    Full,
    /// It is refused if it is not authenticated. What an authentic token is not allowed is only reported.
    Authentication,
    /// It is only reported.
    Nothing,
}

/// All of this has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Or else?
    pub enforcement: Enforcement,
    /// And all of that.
    pub also: Option<Arc<Requirement>>,
    /// The authorization server whose tokens are taken; none named means any.
    pub server: Option<ServerId>,
    /// The caller itself is one of these, by its certificate, if any are named.
    pub peers: Vec<String>,
    /// Whether the token has to be bound to a key of its sender (RFC 9449), whatever its server says.
    pub dpop: bool,
    /// What JWTs that are minted for it are like, if that is not as everywhere.
    pub mint: Option<Arc<MintProfile>>,
    /// One of these is in `aud`; none named means that nothing more is asked than for every token.
    pub audience: Vec<String>,
    /// Each of these scope tokens.
    pub scopes: Vec<String>,
    /// And one of these, if any are named.
    pub any_scopes: Vec<String>,
    /// Conditions on other claims.
    pub conditions: Vec<Condition>,
    /// `acr` is one of these, if any are named.
    pub acr_values: Vec<String>,
    /// The user authenticated no longer ago.
    pub max_age: Option<Duration>,
}

/// A condition on one claim of the JWT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Where the claim is: a JSON Pointer (RFC 6901), `/department` or `/realm_access/roles`.
    pub pointer: String,
    /// What it has to be.
    pub test: Test,
}

/// What a claim has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There, and not null.
    Present,
    /// Equal to one of these values.
    OneOf(Vec<Value>),
    /// A list with this element.
    Contains(Value),
}

impl Requirement {
    /// This, and what `also` asks.
    pub(crate) fn and(&self, also: Arc<Self>) -> Self {
        Self { also: Some(also), ..self.clone() }
    }

    /// Whether the token has to be bound to a key of its sender.
    pub(crate) fn asks_for_binding(&self) -> bool {
        self.all().any(|one| one.dpop)
    }

    /// The parameters that tell the client in a challenge what would do: `scope` (RFC 6750 §3), `acr_values` and `max_age` (RFC 9470 §3).
    pub(crate) fn challenge_parameters(&self, reason: Reason) -> Vec<(&'static str, String)> {
        match reason {
            Reason::InsufficientScope => vec![("scope", self.scope())],
            Reason::InsufficientUserAuthentication => {
                let acr_values = Some(self.acr_values()).filter(|values| !values.is_empty());
                let max_age = self.max_age().map(|max_age| max_age.as_secs().to_string());
                let parameters = [("acr_values", acr_values), ("max_age", max_age)];
                parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// One of these is wanted as `acr`, as RFC 9470 §3 writes it into a challenge.
    fn acr_values(&self) -> String {
        let all: Vec<&str> = self.all().flat_map(|one| &one.acr_values).map(String::as_str).collect();
        all.join(" ")
    }

    /// How long ago the user may have authenticated at most.
    fn max_age(&self) -> Option<Duration> {
        self.all().filter_map(|one| one.max_age).min()
    }

    /// It, and what it has beside it.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |one| one.also.as_deref())
    }

    /// The pointers of the claims that it asks about.
    pub(crate) fn asked_claims(&self) -> impl Iterator<Item = &str> {
        let acr = (!self.acr_values.is_empty()).then_some(ACR);
        let auth_time = self.max_age.map(|_| AUTH_TIME);
        let conditions = self.conditions.iter().map(|condition| condition.pointer.as_str());
        let minted = self.mint.iter().flat_map(|profile| profile.claims.iter().map(|claim| &*claim.pointer));
        conditions.chain(acr).chain(auth_time).chain(minted)
    }

    /// The scope tokens that it names, as RFC 6750 §3 writes them into a challenge.
    pub(crate) fn scope(&self) -> String {
        let all = self.all().flat_map(|one| one.scopes.iter().chain(&one.any_scopes));
        all.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Whether the caller may come in, be it with a token or not: the workload, beside the user that it acts for.
    ///
    /// # Errors
    /// [`Reason::PeerNotAllowed`].
    pub(crate) fn admit(&self, peer: Option<&[u8]>) -> Result<(), Reason> {
        let is_peer = |allowed: &String| peer == Some(allowed.as_bytes());
        let admits = |one: &Self| one.peers.is_empty() || one.peers.iter().any(is_peer);
        if self.all().all(admits) { Ok(()) } else { Err(Reason::PeerNotAllowed) }
    }

    /// Whether a token is meant for what the rule is about.
    ///
    /// # Errors
    /// [`Reason::WrongAudience`].
    pub(crate) fn validate_audience(&self, claims: &Claims) -> Result<(), Reason> {
        let is_meant = |one: &Self| one.audience.is_empty() || claims.is_for_one_of(&one.audience);
        if self.all().all(is_meant) { Ok(()) } else { Err(Reason::WrongAudience) }
    }

    /// Whether a token allows one request. The clock may be `leeway` ahead of the issuer's.
    ///
    /// # Errors
    /// [`Reason::InsufficientScope`], [`Reason::ClaimNotGranted`] or [`Reason::InsufficientUserAuthentication`].
    pub(crate) fn authorize(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> Result<(), Reason> {
        self.all().try_for_each(|one| one.authorize_alone(claims, now, leeway))
    }

    fn authorize_alone(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> Result<(), Reason> {
        let has_all = self.scopes.iter().all(|scope| claims.has_scope(scope));
        let has_any =
            self.any_scopes.is_empty() || self.any_scopes.iter().any(|scope| claims.has_scope(scope));
        if !has_all || !has_any {
            return Err(Reason::InsufficientScope);
        }
        if !self.conditions.iter().all(|condition| condition.test.holds(claims.asked(&condition.pointer))) {
            return Err(Reason::ClaimNotGranted);
        }
        if self.is_authenticated(claims, now, leeway) {
            Ok(())
        } else {
            Err(Reason::InsufficientUserAuthentication)
        }
    }

    fn is_authenticated(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> bool {
        let acr = claims.asked(ACR).and_then(Value::as_str);
        let has_acr =
            self.acr_values.is_empty() || acr.is_some_and(|acr| self.acr_values.iter().any(|one| one == acr));
        let auth_time = claims.asked(AUTH_TIME).and_then(Value::as_f64).map(Timestamp::from_numeric_date);
        let is_recent = |max_age| {
            auth_time.is_some_and(|time| time <= now.plus(leeway) && now <= time.plus(max_age).plus(leeway))
        };
        has_acr && self.max_age.is_none_or(is_recent)
    }
}

impl Test {
    fn holds(&self, claim: Option<&Value>) -> bool {
        match (self, claim) {
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::OneOf(values), Some(claim)) => values.contains(claim),
            (Self::Contains(element), Some(claim)) => {
                claim.as_array().is_some_and(|list| list.contains(element))
            }
        }
    }
}

const ACR: &str = "/acr";
const AUTH_TIME: &str = "/auth_time";

#[cfg(test)]
mod tests;
