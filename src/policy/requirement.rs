//! The requirements of a rule for an active token, and the treatment of requests that do not meet them.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Caller, Condition, Granted, Parameter};
use crate::refusal::Reason;
use crate::server_id::ServerId;
use crate::session::SessionBinding;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::confirmation::Confirmation;
use crate::upstream::mint::MintProfile;

/// What becomes of a request that does not meet a requirement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It is refused.
    #[default]
    Full,
    /// Requests without an authentic token are refused; what such a token is not allowed is only counted and logged.
    Authentication,
    /// Nothing is refused: what would be is counted and logged.
    Nothing,
}

/// All of this has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Whether a request without a token passes as well, anonymously. One with a token has to meet all of this.
    pub is_optional: bool,
    /// What happens if it is not met.
    pub enforcement: Enforcement,
    /// And all of that.
    pub also: Option<Arc<Requirement>>,
    /// The authorization server whose tokens are taken; none named means any.
    pub server: Option<ServerId>,
    /// Those that are asked, one after the other, about an opaque token of which it knows nothing.
    pub fallbacks: Vec<ServerId>,
    /// What JWTs that are minted for it are like, if that is not as everywhere.
    pub mint: Option<Arc<MintProfile>>,
    /// The URL of the metadata that challenges name (RFC 9728 §5.1), if host and path do not tell.
    pub resource_metadata: Option<Arc<str>>,
    /// How the session ids of the service are bound, if they are.
    pub session: Option<Arc<SessionBinding>>,
    /// Each of these.
    pub conditions: Vec<Condition>,
    /// And each of one of these, if there are any. They look at the token alone.
    pub any_of: Vec<Vec<Condition>>,
}

impl Requirement {
    /// This, and what `also` requires: a token, if either does.
    pub(crate) fn and(&self, also: Arc<Self>) -> Self {
        let is_optional = self.is_optional && also.is_optional;
        Self { is_optional, also: Some(also), ..self.clone() }
    }

    /// Whether it depends on the caller's certificate.
    pub(crate) fn names_peers(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::Peers(_)))
    }

    /// Whether the token has to be bound to a key of its sender.
    pub(crate) fn requires_key_binding(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::KeyBinding(_)))
    }

    /// Whether tokens of this server are taken.
    pub(crate) fn takes_tokens_of(&self, server: ServerId) -> bool {
        self.server.is_none_or(|first| first == server) || self.fallbacks.contains(&server)
    }

    /// Whether it depends on what is said of a token, and not of its user alone.
    pub(crate) fn asks_of_token(&self) -> bool {
        self.all().flat_map(Self::with_alternatives).any(Condition::is_about_token)
    }

    /// The pointers of the claims that it depends on.
    pub(crate) fn named_claims(&self) -> impl Iterator<Item = &str> {
        let minted = self.mint.iter().flat_map(|profile| profile.claims.iter().map(|claim| &*claim.pointer));
        let session = self.session.iter().flat_map(|binding| binding.claims.iter().map(String::as_str));
        self.with_alternatives().flat_map(Condition::named_claims).chain(minted).chain(session)
    }

    /// The parameters that tell the client in a challenge what would do, by name: `scope` (RFC 6750 §3), `acr_values` and `max_age`
    /// (RFC 9470 §3). Of alternatives, it names one: where a token is known, the first that it is meant for.
    pub(crate) fn challenge_parameters(
        &self,
        reason: Reason,
        claims: Option<&Claims>,
    ) -> Vec<(&'static str, String)> {
        let conditions = self.all().flat_map(|requirement| {
            requirement.conditions.iter().chain(requirement.nearest(claims).into_iter().flatten())
        });
        let refusing = conditions.filter(|condition| condition.reason() == reason);
        let mut parameters: Vec<Parameter<'_>> = Vec::new();
        for parameter in refusing.filter_map(Condition::parameter) {
            match parameters.iter_mut().find(|known| known.name() == parameter.name()) {
                Some(known) => known.merge(parameter),
                None => parameters.push(parameter),
            }
        }
        parameters.into_iter().map(|parameter| (parameter.name(), parameter.value())).collect()
    }

    /// Whether the caller may come in, be it with a token or not.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self, peer: Option<&[u8]>) -> Result<(), Reason> {
        self.conditions().try_for_each(|condition| condition.check_caller(Caller(peer)))
    }

    /// Whether a token is bound as it has to be. That the sender is who it is bound to, is not looked at.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn validate_binding(&self, confirmation: &Confirmation) -> Result<(), Reason> {
        self.conditions().try_for_each(|condition| condition.check_binding(confirmation))
    }

    /// Whether a token is meant for what the rule is about.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn validate(&self, claims: &Claims) -> Result<(), Reason> {
        let check = |condition: &Condition| condition.check_token(claims);
        self.all().try_for_each(|requirement| {
            requirement.conditions.iter().try_for_each(check)?;
            requirement.any(claims, check)
        })
    }

    /// Whether a token allows one request. The clock may be `leeway` ahead of the issuer's.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn authorize(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> Result<(), Reason> {
        let granted = Granted { claims, now, leeway };
        let check = |condition: &Condition| condition.check_permission(granted);
        self.all().try_for_each(|requirement| {
            requirement.conditions.iter().try_for_each(check)?;
            requirement.any(claims, |condition| condition.check_token(claims).and_then(|()| check(condition)))
        })
    }

    /// Whether one of its alternatives holds, if there are any; if not, why the nearest does not.
    fn any(&self, claims: &Claims, check: impl Fn(&Condition) -> Result<(), Reason>) -> Result<(), Reason> {
        if self.any_of.is_empty() {
            return Ok(());
        }
        let hold = |alternative: &Vec<Condition>| alternative.iter().try_for_each(&check);
        match self.nearest(Some(claims)).map(hold) {
            Some(Err(reason)) if !self.any_of.iter().any(|other| hold(other).is_ok()) => Err(reason),
            _ => Ok(()),
        }
    }

    /// The alternative that a refusal is about: the first that the token is meant for, or the first of all.
    fn nearest(&self, claims: Option<&Claims>) -> Option<&Vec<Condition>> {
        let is_meant = |alternative: &&Vec<Condition>| {
            claims.is_some_and(|claims| {
                alternative.iter().all(|condition| condition.check_token(claims).is_ok())
            })
        };
        self.any_of.iter().find(is_meant).or(self.any_of.first())
    }

    /// Its own conditions, and those of all its alternatives.
    fn with_alternatives(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().chain(self.any_of.iter().flatten())
    }

    /// Its conditions, and those of what it has beside it, without alternatives.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.all().flat_map(|requirement| &requirement.conditions)
    }

    /// It, and what it has beside it.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |requirement| requirement.also.as_deref())
    }
}

#[cfg(test)]
mod tests;
