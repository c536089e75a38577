//! The decision about a request, without a proxy: a request head goes in and comes out settled, or with a question to the
//! authorization server; the answer goes in and settles every request that waits for it.
//!
//! Nothing here replies, dispatches or reads a clock. Each hit is validated for its own request: the cache knows what the
//! authorization server said, never a verdict.

use std::rc::Rc;

use crate::bearer::{self, AccessToken};
use crate::cache::{Cache, SharedData, TokenKey};
use crate::config::Settings;
use crate::cors;
use crate::grant::Grant;
use crate::introspection::{Callout, Outcome};
use crate::jwt;
use crate::metrics::{Counter, Metrics};
use crate::rejection::{Reason, Rejection, Reply};
use crate::request::RequestHead;
use crate::requirement::Requirement;
use crate::rules::Access;
use crate::time::Timestamp;

/// Decides about the requests of one configuration on one worker.
pub struct Authenticator {
    settings: Settings,
    cache: Cache,
}

/// What the proxy lends for one call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The time.
    pub now: Timestamp,
    /// What all workers see.
    pub shared_data: &'a dyn SharedData,
    /// Where counters go.
    pub metrics: &'a dyn Metrics,
}

/// What is to be done with a request head.
pub enum Step {
    /// It is decided.
    Settled(Verdict),
    /// Only the authorization server can tell: dispatch the callout, keep the rest until it answers.
    Introspect(Callout, Pending),
}

/// A request that waits for an introspection. [`Authenticator::settle`] consumes it, so no request is settled twice.
#[must_use = "a pending request that is dropped is never answered"]
pub struct Pending {
    token: TokenKey,
    requirement: Rc<Requirement>,
    allowed_origin: Option<Rc<str>>,
}

/// What an introspection came to, for every request with that token.
pub type Conclusion = Result<Rc<Grant>, Reason>;

/// The end of a request's way through the filter.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on to the services.
    Forward(Credentials),
    /// It is for the gateway itself, which answers it.
    Answer(Reply),
    /// It is refused.
    Reject(Rejection),
}

/// What becomes of the `Authorization` field of a request that goes on.
#[derive(Debug)]
pub enum Credentials {
    /// It stays: a public route, and it holds no bearer token.
    Untouched,
    /// It goes: a public route, and it held a bearer token (R74).
    Removed,
    /// It is replaced by [`Grant::authorization`], and [`Grant::headers`] are set.
    Granted(Rc<Grant>),
}

impl Authenticator {
    /// Starts with an empty cache.
    pub fn new(settings: Settings) -> Self {
        let cache = Cache::new(&settings.cache, settings.fingerprint(), settings.claim_headers.clone());
        Self { settings, cache }
    }

    /// The names among these that a service could take for fields that the gateway sets. They have to be taken off before the
    /// request goes on, whatever the verdict, be it public or without such a claim (R75).
    pub fn imitations<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<&'n str> {
        let headers = &self.settings.claim_headers;
        if headers.is_empty() {
            return Vec::new();
        }
        let is_imitation = |name: &&[u8]| headers.iter().any(|header| header.is_imitated_by(name));
        names.filter(is_imitation).filter_map(|name| std::str::from_utf8(name).ok()).collect()
    }

    /// A request head arrived.
    pub fn authenticate(&mut self, head: &RequestHead<'_>, host: Host<'_>) -> Step {
        self.examine(head, host).unwrap_or_else(|reason| {
            let allowed_origin = self.settings.cors.allowed_origin(head);
            Step::Settled(reject(Rejection { allowed_origin, ..reason.into() }, host))
        })
    }

    /// The authorization server answered for a token, or will never do so. What it said is kept as long as it may be.
    pub fn conclude(&mut self, token: TokenKey, outcome: Outcome<'_>, host: Host<'_>) -> Conclusion {
        let answer = self.settings.introspection.response.parse(outcome);
        let result = answer.as_ref().map(|_| ()).map_err(|reason| *reason);
        host.metrics.increment(Counter::of_introspection(result));
        Ok(self.cache.keep(token, answer?, host.now, host.shared_data))
    }

    /// Settles one of the requests that waited for a conclusion.
    pub fn settle(&self, pending: Pending, conclusion: &Conclusion, host: Host<'_>) -> Verdict {
        let Pending { requirement, allowed_origin, .. } = pending;
        let valid =
            conclusion.clone().and_then(|grant| self.validate(&grant, &requirement, host).map(|()| grant));
        match valid {
            Ok(grant) => forward(grant, host),
            Err(reason) => reject(Rejection { reason, requirement: Some(requirement), allowed_origin }, host),
        }
    }

    fn examine(&mut self, head: &RequestHead<'_>, host: Host<'_>) -> Result<Step, Reason> {
        if let Some(reply) =
            self.settings.protection.metadata.as_ref().and_then(|metadata| metadata.answer(head))
        {
            return Ok(Step::Settled(Verdict::Answer(reply)));
        }
        if self.settings.cors.allowed_origin(head).is_some()
            && let Some(asked) = cors::asked_by_preflight(head)
        {
            self.settings.rules.find(&asked)?;
            return Ok(Step::Settled(forward_public(Credentials::Removed, host)));
        }
        let requirement = match self.settings.rules.find(head)? {
            Access::Public => {
                let credentials = match bearer::is_presented(head.authorization) {
                    true => Credentials::Removed,
                    false => Credentials::Untouched,
                };
                return Ok(Step::Settled(forward_public(credentials, host)));
            }
            Access::Protected(requirement) => Rc::clone(requirement),
        };
        let token = AccessToken::parse(head.authorization, self.settings.token.max_length)?;
        if token.is_in_query(head.path) {
            return Err(Reason::RepeatedCredentials);
        }
        let key = TokenKey::of(token);
        let pending =
            Pending { token: key, requirement, allowed_origin: self.settings.cors.allowed_origin(head) };
        if let Some((grant, level)) = self.cache.find(&key, host.now, host.shared_data) {
            host.metrics.increment(Counter::of_hit(level));
            return Ok(Step::Settled(self.settle(pending, &Ok(grant), host)));
        }
        host.metrics.increment(Counter::CacheMiss);
        if jwt::says_other_kind(token.expose()) {
            return Err(Reason::NotAnAccessToken);
        }
        let callout = Callout::introspect(&self.settings.introspection.endpoint, token);
        Ok(Step::Introspect(callout, pending))
    }

    fn validate(&self, grant: &Grant, requirement: &Requirement, host: Host<'_>) -> Result<(), Reason> {
        let policy = &self.settings.token.policy;
        policy.validate(grant.claims(), host.now)?;
        requirement.validate(grant.claims(), host.now, policy.leeway)
    }
}

impl Pending {
    /// The token that the request waits for.
    pub fn token(&self) -> TokenKey {
        self.token
    }
}

fn forward(grant: Rc<Grant>, host: Host<'_>) -> Verdict {
    host.metrics.increment(Counter::Forwarded);
    Verdict::Forward(Credentials::Granted(grant))
}

fn forward_public(credentials: Credentials, host: Host<'_>) -> Verdict {
    host.metrics.increment(Counter::ForwardedPublic);
    Verdict::Forward(credentials)
}

fn reject(rejection: Rejection, host: Host<'_>) -> Verdict {
    if let Some(counter) = Counter::of_rejection(rejection.reason) {
        host.metrics.increment(counter);
    }
    Verdict::Reject(rejection)
}

#[cfg(test)]
mod tests;
