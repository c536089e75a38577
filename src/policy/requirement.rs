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

/// What happens to a request that does not meet a requirement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It is refused.
    #[default]
    Full,
    /// Requests without an authentic token are refused; those that an authentic token does not allow are only counted and logged.
    Authentication,
    /// Nothing is refused; requests that would be are counted and logged.
    Nothing,
}

/// What a rule requires of a request. All of it must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Whether a request without a token passes as well, anonymously. A request with a token has to meet all requirements.
    pub is_optional: bool,
    /// What happens if the requirement is not met.
    pub enforcement: Enforcement,
    /// A further requirement that has to be met as well.
    pub also: Option<Arc<Requirement>>,
    /// The authorization server whose tokens are accepted; `None` means any.
    pub server: Option<ServerId>,
    /// The servers that are asked, one after the other, about an opaque token that `server` does not know.
    pub fallbacks: Vec<ServerId>,
    /// The profile of JWTs that are minted for the rule, if it differs from the default.
    pub mint: Option<Arc<MintProfile>>,
    /// The URL of the metadata that challenges name (RFC 9728 §5.1), if host and path do not determine it.
    pub resource_metadata: Option<Arc<str>>,
    /// How the session ids of the service are bound, if they are.
    pub session: Option<Arc<SessionBinding>>,
    /// Conditions, each of which has to be met.
    pub conditions: Vec<Condition>,
    /// Alternatives, one of which has to be met completely, if there are any. They look at the token alone.
    pub any_of: Vec<Vec<Condition>>,
}

impl Requirement {
    /// Combines this requirement with `also`: a token is required if either requires one.
    pub(crate) fn and(&self, also: Arc<Self>) -> Self {
        let is_optional = self.is_optional && also.is_optional;
        Self { is_optional, also: Some(also), ..self.clone() }
    }

    /// Whether the requirement depends on the caller's certificate.
    pub(crate) fn names_peers(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::Peers(_)))
    }

    /// Whether the token has to be bound to a key of its sender.
    pub(crate) fn requires_key_binding(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::KeyBinding(_)))
    }

    /// Whether tokens of this server are accepted.
    pub(crate) fn takes_tokens_of(&self, server: ServerId) -> bool {
        self.server.is_none_or(|first| first == server) || self.fallbacks.contains(&server)
    }

    /// Whether the requirement depends on claims about the token, and not about its user alone.
    pub(crate) fn asks_of_token(&self) -> bool {
        self.all().flat_map(Self::with_alternatives).any(Condition::is_about_token)
    }

    /// The pointers of the claims that the requirement depends on.
    pub(crate) fn named_claims(&self) -> impl Iterator<Item = &str> {
        let minted = self.mint.iter().flat_map(|profile| profile.claims.iter().map(|claim| &*claim.pointer));
        let session = self.session.iter().flat_map(|binding| binding.claims.iter().map(String::as_str));
        self.with_alternatives().flat_map(Condition::named_claims).chain(minted).chain(session)
    }

    /// The challenge parameters that tell the client what is required, by name: `scope` (RFC 6750 §3), `acr_values` and `max_age` (RFC 9470
    /// §3). Of alternatives, one is named: the first that the token is meant for if a token is known, or else the first of all.
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

    /// Checks whether the caller is admitted, with a token or without.
    ///
    /// # Errors
    /// Why the caller is not admitted.
    pub(crate) fn admit(&self, peer: Option<&[u8]>) -> Result<(), Reason> {
        self.conditions().try_for_each(|condition| condition.check_caller(Caller(peer)))
    }

    /// Checks whether a token is bound as required, but not whether the sender holds the key.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn validate_binding(&self, confirmation: &Confirmation) -> Result<(), Reason> {
        self.conditions().try_for_each(|condition| condition.check_binding(confirmation))
    }

    /// Checks whether a token is meant for the resource of the rule.
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

    /// Checks whether a token allows one request. The clocks of issuer and gateway may differ by `leeway`.
    ///
    /// # Errors
    /// What the token lacks.
    pub(crate) fn authorize(&self, claims: &Claims, now: Timestamp, leeway: Duration) -> Result<(), Reason> {
        let granted = Granted { claims, now, leeway };
        let check = |condition: &Condition| condition.check_permission(granted);
        self.all().try_for_each(|requirement| {
            requirement.conditions.iter().try_for_each(check)?;
            requirement.any(claims, |condition| condition.check_token(claims).and_then(|()| check(condition)))
        })
    }

    /// Checks whether one of the alternatives is met, if there are any. If none is, returns why the nearest is not.
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

    /// The conditions of this requirement and of all those in `also`, without alternatives.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.all().flat_map(|requirement| &requirement.conditions)
    }

    /// This requirement, and all those in `also`.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |requirement| requirement.also.as_deref())
    }
}

#[cfg(test)]
mod tests;
