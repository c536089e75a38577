//! The decision about a request, without a proxy: a request head goes in and comes out settled, or with a question to an
//! authorization server; the answer goes in, and every request that waits for it is settled or has one more question.
//!
//! Nothing here replies, dispatches or reads a clock. Each hit is validated for its own request: the cache knows what the
//! authorization server said, never a verdict.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::request_context::{self, RequestContext};
use super::token_check::TokenCheck;
use crate::authorization_server::{AuthorizationServer, Evidence, NoEvidence, NoGrant, Source};
use crate::cache::{Level, Occupancy};
use crate::credentials::bearer::{self, AccessToken};
use crate::credentials::client_certificate::CertificateSource;
use crate::credentials::dpop::{DpopMode, ProofVerifier};
use crate::credentials::token_form::TokenForm;
use crate::credentials::token_sources::Extracted;
use crate::documents::document::Document;
use crate::grant::{Grant, UpstreamHeaders};
use crate::host::{Host, SharedData};
use crate::http::callout::{Outcome, Withheld};
use crate::http::cors;
use crate::http::field_name::{AUTHORIZATION, imitates};
use crate::http::reply::Reply;
use crate::http::request_head::RequestHead;
use crate::http::sanitize::{self, OverrideHeaders};
use crate::metrics::Counter;
use crate::policy::{Access, Enforcement, Requirement};
use crate::refusal::{Reason, Rejection};
use crate::server::circuit_breaker::CircuitChange;
use crate::server::question::{About, Question, Subject};
use crate::server_id::ServerId;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token_key::TokenKey;

/// Decides about the requests of one configuration on one worker.
pub(super) struct Authenticator {
    settings: Settings,
    servers: Vec<AuthorizationServer>,
    required_attributes: RequiredAttributes,
    proof_verifier: Option<ProofVerifier>,
}

/// Which [`Attributes`](super::Attributes) rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredAttributes {
    /// The route.
    pub route: bool,
    /// The caller's identity.
    pub peer: bool,
    /// The caller's certificate.
    pub certificate: bool,
}

/// What is to be done about a request.
pub(super) enum Step {
    /// It is decided.
    Settled(Verdict),
    /// It is decided, from a cache entry or by keys that expire soon. The question refreshes them in the background.
    Renew(Verdict, Question),
    /// An authorization server has to be asked; the rest is kept until it answers.
    Ask(Question, Pending),
}

/// A request that waits for an answer. [`Authenticator::settle`] consumes it, so no request is settled twice.
#[must_use = "a pending request that is dropped is never answered"]
pub(super) struct Pending {
    context: RequestContext,
    server: ServerId,
    evidence: Option<Rc<Evidence>>,
}

/// What an answer came to, for every request that waited for it.
pub(super) enum Conclusion {
    /// An introspection.
    Token(TokenConclusion),
    /// A document of the server: it was taken, or is of no use.
    Document(Result<(), Reason>),
}

/// What an introspection came to.
pub(super) struct TokenConclusion {
    token: TokenKey,
    evidence: Result<Rc<Evidence>, NoEvidence>,
    /// What changed for the next questions to this server.
    pub(super) circuit: Option<CircuitChange>,
}

/// How much one worker has in flight with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFlightCounts {
    /// Calls of a kind that are open.
    pub(super) open: usize,
    /// Requests that wait for responses.
    pub(super) waiting: usize,
}

/// The values of one worker's gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GaugeValues {
    /// Entries in its memory.
    pub(super) entries: usize,
    /// Entries that were evicted since it began.
    pub(super) evictions: u64,
    /// Authorization servers whose circuit is open.
    pub(super) open_circuits: usize,
}

/// The decision about a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It continues to the services.
    Forward(UpstreamHeaders),
    /// It would be refused, but its rule only reports that: it continues to the services.
    Report(Rejection, UpstreamHeaders),
    /// It is for the gateway itself, which answers it.
    Answer(Reply),
    /// It is refused.
    Reject(Rejection),
}

impl Authenticator {
    /// Starts with empty caches.
    pub(super) fn new(settings: Settings) -> Self {
        let server = |(index, server): (usize, &_)| {
            AuthorizationServer::new(ServerId(index), Clone::clone(server), &settings)
        };
        let servers = settings.servers.iter().enumerate().map(server).collect();
        let rules = &settings.rules;
        let required_attributes = RequiredAttributes {
            route: rules.ask_route(),
            peer: rules.requirements().any(Requirement::names_peers),
            certificate: settings.client_certificate == Some(CertificateSource::Connection),
        };
        let proof_verifier = settings.dpop.as_ref().map(ProofVerifier::new);
        Self { settings, servers, required_attributes, proof_verifier }
    }

    /// Prepares what all workers share, before the first request.
    pub(super) fn prepare(&mut self, now: Timestamp, shared: &dyn SharedData) {
        if let Some(verifier) = &mut self.proof_verifier {
            verifier.prepare(now, shared);
        }
    }

    /// The names among these that a service could take for fields that the gateway sets. They are removed before the request continues,
    /// whatever the decision, be it public or without such a claim (R75).
    pub(super) fn spoofed_headers<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<&'n str> {
        self.settings.forwarding.imitations(names)
    }

    /// The tokens that came elsewhere than in `Authorization`, where that is allowed, and the edits by which they go, and fields with them
    /// that could make it another request behind the gateway (R78, R131).
    pub(super) fn extract<'a>(
        &self,
        head: &RequestHead<'_>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Extracted<'a> {
        let mut extracted = self.settings.credentials.sources.extract(fields.clone());
        if head.has_suspect_field {
            extracted.edits.extend(sanitize::edits(fields, self.settings.forwarding.override_headers));
        }
        extracted
    }

    /// The names among these that no trailer section may have: credentials, and what is taken off the head (R132).
    #[inline(never)]
    pub(super) fn forbidden_trailers<'n>(
        &self,
        names: impl Iterator<Item = &'n [u8]> + Clone,
    ) -> Vec<&'n str> {
        let Settings { forwarding, credentials, .. } = &self.settings;
        let is_credential = |name: &[u8]| {
            imitates(name, AUTHORIZATION)
                || credentials.sources.fields().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
        };
        let overrides = |name: &[u8]| {
            forwarding.override_headers == OverrideHeaders::Remove && sanitize::is_override(name)
        };
        let credentials = names.clone().filter(|name| is_credential(name) || overrides(name));
        let credentials = credentials.filter_map(|name| std::str::from_utf8(name).ok());
        credentials.chain(forwarding.imitations(names)).collect()
    }

    /// What rules ask of the host beside the header fields.
    pub(super) fn required_attributes(&self) -> RequiredAttributes {
        self.required_attributes
    }

    /// What operators call the server that this is about.
    pub(super) fn server_name(&self, subject: Subject) -> &str {
        let server = self.settings.servers.get(subject.server.0);
        server.and_then(|server| server.name.as_deref()).unwrap_or(DEFAULT_NAME)
    }

    /// A request head arrived.
    pub(super) fn authenticate(&mut self, head: &RequestHead<'_>, host: Host<'_>) -> Step {
        let allowed_origin = self.settings.cors.allowed_origin(head);
        self.examine(head, allowed_origin.as_ref(), host).unwrap_or_else(|reason| {
            Step::Settled(reject(Rejection { allowed_origin, ..reason.into() }, host))
        })
    }

    /// What this worker has now.
    pub(super) fn gauge_values(&self) -> GaugeValues {
        self.servers.iter().fold(GaugeValues::default(), |values, server| {
            let Occupancy { entries, evictions } = server.occupancy();
            GaugeValues {
                entries: values.entries.saturating_add(entries),
                evictions: values.evictions.saturating_add(evictions),
                open_circuits: values.open_circuits.saturating_add(usize::from(server.is_left_alone())),
            }
        })
    }

    /// Whether one more request may wait while so many do.
    ///
    /// # Errors
    /// Why not, which [`Outcome::Withheld`] then is the answer.
    pub(super) fn admits_waiting(&self, subject: Subject, counts: InFlightCounts) -> Result<(), Withheld> {
        let server = self.servers.get(subject.server.0);
        let has_room = server.is_some_and(|server| counts.waiting < server.max_waiting());
        if has_room { Ok(()) } else { Err(Withheld::Overloaded) }
    }

    /// Whether a question may be asked while so much is under way. One that may, counts as asked.
    ///
    /// # Errors
    /// Why not, which [`Outcome::Withheld`] then is the answer.
    pub(super) fn admits(
        &mut self,
        question: &Question,
        counts: InFlightCounts,
        host: Host<'_>,
    ) -> Result<(), Withheld> {
        let server = self.servers.get_mut(question.subject().server.0).ok_or(Withheld::Overloaded)?;
        server.admits(question, counts.open, host)
    }

    /// Whether a question has to be asked again if its answer is lost, although no request waits for it.
    pub(super) fn needs_answer(&self, subject: Subject) -> bool {
        self.servers.get(subject.server.0).is_some_and(|server| server.needs_answer(subject.about))
    }

    /// The answer to a question will not come, since the client is gone for which it was asked.
    pub(super) fn abandon(&mut self, subject: Subject) {
        if let Some(server) = self.servers.get_mut(subject.server.0).filter(|_| subject.is_document()) {
            server.abandon();
        }
    }

    /// An authorization server answered, or will never do so.
    pub(super) fn conclude(&mut self, subject: Subject, outcome: Outcome<'_>, host: Host<'_>) -> Conclusion {
        let server = self.servers.get_mut(subject.server.0).ok_or(Reason::Internal);
        match subject.about {
            About::Token(token) => Conclusion::Token(match server {
                Ok(server) => {
                    let circuit = server.note_end(token, &outcome, host);
                    TokenConclusion { token, evidence: server.conclude(token, outcome, host), circuit }
                }
                Err(reason) => TokenConclusion { token, evidence: Err(reason.into()), circuit: None },
            }),
            about @ (About::Metadata | About::Keys) => {
                Conclusion::Document(server.and_then(|server| server.take_document(about, outcome, host)))
            }
        }
    }

    /// Goes on with one of the requests that waited for a conclusion.
    pub(super) fn settle(&mut self, pending: Pending, conclusion: &Conclusion, host: Host<'_>) -> Step {
        match conclusion {
            Conclusion::Token(TokenConclusion { token, evidence: Err(none), .. }) => {
                self.do_without(pending, token, *none, host)
            }
            Conclusion::Token(TokenConclusion { evidence: Ok(evidence), .. }) => {
                self.weigh(Pending { evidence: Some(Rc::clone(evidence)), ..pending }, true, host)
            }
            // Who may not ask would want to ask again: it has to do with the keys that there are.
            Conclusion::Document(result) => self.weigh(pending, *result != Err(Reason::Overloaded), host),
        }
    }

    /// What has to be asked next in the background, if no request waited for a conclusion: keys that the answer about a token needs,
    /// or where they are.
    pub(super) fn follow_up(
        &mut self,
        subject: Subject,
        conclusion: &Conclusion,
        host: Host<'_>,
    ) -> Option<Question> {
        let server = self.servers.get_mut(subject.server.0)?;
        match conclusion {
            Conclusion::Token(TokenConclusion { evidence: Ok(evidence), .. }) => {
                match server.grant(evidence, true, host) {
                    Err(NoGrant::Unanswered(question)) => Some(question),
                    Ok(_) | Err(NoGrant::Refused(_)) => None,
                }
            }
            Conclusion::Document(Ok(())) => server.next_document(),
            Conclusion::Token(_) | Conclusion::Document(Err(_)) => None,
        }
    }

    /// Nobody asks in the background, since the host has no timers: requests wait for keys that are too old.
    pub(super) fn forgo_background(&mut self) {
        for server in &mut self.servers {
            server.forgo_background();
        }
    }

    fn examine(
        &mut self,
        head: &RequestHead<'_>,
        allowed_origin: Option<&Arc<str>>,
        host: Host<'_>,
    ) -> Result<Step, Reason> {
        if let Some(document) = self.settings.documents().find(|document| document.is_at(head))
            && self.is_own(document, head)
        {
            return Ok(Step::Settled(Verdict::Answer(document.reply())));
        }
        if allowed_origin.is_some()
            && let Some(asked) = cors::asked_by_preflight(head)
        {
            return self.preflight(&asked, allowed_origin, host);
        }
        Ok(match self.settings.rules.find(head)? {
            Access::Public => {
                let headers = match bearer::is_presented(head.authorization) {
                    true => UpstreamHeaders::stripped(),
                    false => UpstreamHeaders::default(),
                };
                Step::Settled(forward_public(headers, host))
            }
            Access::Protected(requirement) => self.protected(head, &requirement, allowed_origin, host),
        })
    }

    /// Decides about a request for a protected place. Public ones pay nothing for it.
    #[inline(never)]
    fn protected(
        &mut self,
        head: &RequestHead<'_>,
        requirement: &Arc<Requirement>,
        allowed_origin: Option<&Arc<str>>,
        host: Host<'_>,
    ) -> Step {
        let mode = self.dpop_mode(requirement);
        let step = requirement
            .admit(head.peer)
            .and_then(|()| {
                RequestContext::read(head, requirement, allowed_origin, &self.settings, mode, host.now)
            })
            .and_then(|(context, token)| self.authorize(head, token, context, host));
        step.unwrap_or_else(|reason| {
            let nonce = match reason {
                Reason::UseDpopNonce => self.settings.dpop.as_ref().and_then(|dpop| dpop.nonce.as_ref()),
                _ => None,
            };
            let rejection = Rejection {
                allowed_origin: allowed_origin.cloned(),
                schemes: request_context::schemes(head, mode, reason),
                nonce: nonce.map(|key| key.nonce(host.now)),
                ..reason.into()
            };
            Step::Settled(refuse(rejection, requirement.enforcement, host))
        })
    }

    /// Whether a request at the path of a document is for the gateway's. What an operator opens at another host by name is a service's.
    #[cold]
    #[inline(never)]
    fn is_own(&self, document: &Document, head: &RequestHead<'_>) -> bool {
        document.is_of_host(head.authority) || !self.settings.rules.open_named_host(head)
    }

    /// A preflight passes without a token to what is exposed, from a caller that the rule for the request admits.
    #[cold]
    #[inline(never)]
    fn preflight(
        &self,
        asked: &RequestHead<'_>,
        allowed_origin: Option<&Arc<str>>,
        host: Host<'_>,
    ) -> Result<Step, Reason> {
        if let Access::Protected(requirement) = self.settings.rules.find(asked)?
            && let Err(reason) = requirement.admit(asked.peer)
        {
            let rejection = Rejection { allowed_origin: allowed_origin.cloned(), ..reason.into() };
            return Ok(Step::Settled(refuse(rejection, requirement.enforcement, host)));
        }
        Ok(Step::Settled(forward_public(UpstreamHeaders::stripped(), host)))
    }

    /// Decides about the token of such a request.
    fn authorize(
        &mut self,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        context: RequestContext,
        host: Host<'_>,
    ) -> Result<Step, Reason> {
        let key = token.key();
        if let Some((server, grant, level)) = self.find(&key, &context.requirement, host) {
            host.metrics.increment(level.counter());
            let due = grant.is_due(host.now).then(|| Rc::clone(&grant));
            let step = self.decide(Pending { context, server, evidence: None }, grant, host);
            if self.are_keys_due(server, &step, host.now) {
                return Ok(self.with_newer_keys(step, server, host));
            }
            return Ok(match due {
                Some(grant) => self.renewed(step, server, token, key, &grant, host),
                None => step,
            });
        }
        self.learn(head, token, key, context, host)
    }

    /// Finds out about a token that is not in the cache. It is a function of its own so that hits pay nothing for it.
    #[inline(never)]
    fn learn(
        &mut self,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        key: TokenKey,
        context: RequestContext,
        host: Host<'_>,
    ) -> Result<Step, Reason> {
        let form = TokenForm::of(token);
        let id = self.server_for(&form, &context.requirement);
        let server = self.servers.get(id.0).ok_or(Reason::Internal)?;
        let source = server.source(token, form, key, host)?;
        if let Source::Evidence(evidence) = &source {
            let check = TokenCheck { settings: server.token_settings(), context: &context, host };
            check.claims(evidence.claims())?;
        }
        host.metrics.increment(Counter::CacheMiss);
        Ok(match source {
            Source::Question(question) => {
                let pending = Pending { context, server: id, evidence: None };
                Step::Ask(question.traced(head.traceparent), pending)
            }
            Source::Evidence(evidence) => {
                self.weigh(Pending { context, server: id, evidence: Some(evidence) }, true, host)
            }
        })
    }

    /// The step, with the question that renews the grant by which a request goes on.
    fn renewed(
        &mut self,
        step: Step,
        server: ServerId,
        token: AccessToken<'_>,
        key: TokenKey,
        grant: &Grant,
        host: Host<'_>,
    ) -> Step {
        let Step::Settled(verdict @ Verdict::Forward(_)) = step else { return step };
        let server = self.servers.get_mut(server.0);
        match server.and_then(|server| server.renewal(token, key, grant, host)) {
            Some(question) => Step::Renew(verdict, question),
            None => Step::Settled(verdict),
        }
    }

    /// Whether a request goes on by the answer of a server whose published keys are to be fetched again. A renewal of the answer, if
    /// that is due as well, has time until the next request.
    fn are_keys_due(&self, server: ServerId, step: &Step, now: Timestamp) -> bool {
        matches!(step, Step::Settled(Verdict::Forward(_)))
            && self.servers.get(server.0).is_some_and(|server| server.are_keys_due(now))
    }

    /// The step, with the question that fetches newer keys, if it is this worker's to ask.
    fn with_newer_keys(&mut self, step: Step, server: ServerId, host: Host<'_>) -> Step {
        let question = self.servers.get_mut(server.0).and_then(|server| server.refresh_keys(host));
        match (step, question) {
            (Step::Settled(verdict), Some(question)) => Step::Renew(verdict, question),
            (step, _) => step,
        }
    }

    /// Whether proofs are looked at where this is required: all servers count whose tokens may be taken.
    fn dpop_mode(&self, requirement: &Requirement) -> DpopMode {
        let is_eligible = |index: usize| requirement.server.is_none_or(|server| server == ServerId(index));
        let eligible = self.servers.iter().enumerate().filter(|(index, _)| is_eligible(*index));
        let mut modes = eligible.map(|(_, server)| server.token_settings().dpop);
        let first = modes.next().unwrap_or_default();
        match modes.all(|mode| mode == first) {
            _ if requirement.requires_key_binding() => DpopMode::Required,
            true => first,
            false => DpopMode::Allowed,
        }
    }

    /// A grant of the server that the rule names. Where it names none, opaque tokens are the first server's, and a JWT is whose
    /// keys verified it.
    fn find(
        &mut self,
        token: &TokenKey,
        requirement: &Requirement,
        host: Host<'_>,
    ) -> Option<(ServerId, Rc<Grant>, Level)> {
        let first = requirement.server.unwrap_or_default();
        if let Some((grant, level)) = self.servers.get_mut(first.0)?.find(token, host) {
            return Some((first, grant, level));
        }
        if requirement.server.is_some() {
            return None;
        }
        self.servers.iter_mut().enumerate().skip(1).find_map(|(index, server)| {
            let (grant, level) = server.find(token, host)?;
            grant.is_self_contained().then_some((ServerId(index), grant, level))
        })
    }

    fn server_for(&self, form: &TokenForm<'_>, requirement: &Requirement) -> ServerId {
        let first = requirement.server.unwrap_or_default();
        if requirement.server.is_some() || self.servers.len() == 1 {
            return first;
        }
        let Some(jws) = form.jws() else { return first };
        self.servers.iter().position(|server| server.may_have_issued(jws)).map_or(first, ServerId)
    }

    /// Decides without an answer: by an older one, where the server does not serve and that is configured (R56).
    fn do_without(&mut self, pending: Pending, token: &TokenKey, none: NoEvidence, host: Host<'_>) -> Step {
        let server = self.servers.get_mut(pending.server.0).filter(|_| none.reason.is_outage());
        match server.and_then(|server| server.find_usable(token, host)) {
            Some(grant) => self.decide(pending, grant, host),
            None => pending.reject(none, Some(token), host),
        }
    }

    /// Makes a grant of the evidence, and decides; or asks for what is missing.
    fn weigh(&mut self, pending: Pending, asking: bool, host: Host<'_>) -> Step {
        let server = self.servers.get_mut(pending.server.0);
        let (Some(server), Some(evidence)) = (server, &pending.evidence) else {
            return pending.reject(Reason::Internal.into(), None, host);
        };
        match server.grant(evidence, asking, host) {
            Ok(grant) => {
                let server = pending.server;
                let step = self.decide(pending, grant, host);
                if self.are_keys_due(server, &step, host.now) {
                    return self.with_newer_keys(step, server, host);
                }
                step
            }
            Err(NoGrant::Unanswered(question)) => Step::Ask(question, pending),
            Err(NoGrant::Refused(reason)) => {
                let token = *evidence.token();
                pending.reject(reason.into(), Some(&token), host)
            }
        }
    }

    fn decide(&mut self, pending: Pending, grant: Rc<Grant>, host: Host<'_>) -> Step {
        let enforces = pending.context.requirement.enforcement == Enforcement::Full;
        let headers = self.check(&pending, &grant, host).and_then(|unmet| match unmet {
            Some(reason) if enforces => Err(reason),
            unmet => Ok((unmet, self.upstream_headers(&pending, Rc::clone(&grant), host)?)),
        });
        match headers {
            Ok((None, headers)) => {
                host.metrics.increment(Counter::Forwarded);
                Step::Settled(Verdict::Forward(headers))
            }
            Ok((Some(reason), headers)) => {
                let rejection = Rejection { token: Some(*grant.token()), ..reason.into() };
                Step::Settled(report(rejection, headers, host))
            }
            Err(reason) => pending.reject(reason.into(), Some(grant.token()), host),
        }
    }

    /// What services receive: what is in the grant, and a JWT of the gateway's own where that has none.
    fn upstream_headers(
        &self,
        pending: &Pending,
        grant: Rc<Grant>,
        host: Host<'_>,
    ) -> Result<UpstreamHeaders, Reason> {
        let Some(mint) = self.settings.mint.as_ref().filter(|_| grant.jwt().is_none()) else {
            return Ok(UpstreamHeaders::of(grant));
        };
        if grant.claims().validity().has_expired(host.now, Duration::ZERO) {
            // Clocks may differ, but nothing is minted that is over.
            return Err(Reason::Expired);
        }
        let profile = pending.context.requirement.mint.as_ref().unwrap_or(&mint.profile);
        let subject = self.servers.get(pending.server.0).and_then(AuthorizationServer::subject_pointer);
        let mint =
            |grant: &Grant| mint.mint(profile, subject, grant.claims(), host.randomness.bytes(), host.now);
        let headers = UpstreamHeaders::minted(grant, profile, host.now, mint)?;
        if headers.jwt_length() > MAX_MINTED_LENGTH { Err(Reason::PhantomTokenTooLong) } else { Ok(headers) }
    }

    fn check(&mut self, pending: &Pending, grant: &Grant, host: Host<'_>) -> Result<Option<Reason>, Reason> {
        let server = self.servers.get(pending.server.0).ok_or(Reason::Internal)?;
        let check = TokenCheck { settings: server.token_settings(), context: &pending.context, host };
        check.all(grant, self.proof_verifier.as_mut())
    }
}

impl Pending {
    fn reject(self, none: NoEvidence, token: Option<&TokenKey>, host: Host<'_>) -> Step {
        let NoEvidence { reason, retry_after } = none;
        let enforcement = self.context.requirement.enforcement;
        let rejection = Rejection { token: token.copied(), retry_after, ..self.context.refusal(reason) };
        Step::Settled(refuse(rejection, enforcement, host))
    }
}

impl TokenConclusion {
    /// Why nothing speaks for the token, if nothing does.
    pub(super) fn refusal(&self) -> Option<Reason> {
        self.evidence.as_ref().err().map(|none| none.reason)
    }
}

fn forward_public(headers: UpstreamHeaders, host: Host<'_>) -> Verdict {
    host.metrics.increment(Counter::ForwardedPublic);
    Verdict::Forward(headers)
}

/// Refuses a request, or lets it continue without credentials where that is only reported.
fn refuse(rejection: Rejection, enforcement: Enforcement, host: Host<'_>) -> Verdict {
    match enforcement {
        Enforcement::Nothing => report(rejection, UpstreamHeaders::stripped(), host),
        Enforcement::Full | Enforcement::Authentication => reject(rejection, host),
    }
}

fn report(rejection: Rejection, headers: UpstreamHeaders, host: Host<'_>) -> Verdict {
    host.metrics.increment(Counter::ReportedOnly);
    host.metrics.refuse(rejection.reason);
    Verdict::Report(rejection, headers)
}

fn reject(rejection: Rejection, host: Host<'_>) -> Verdict {
    host.metrics.increment(Counter::of_refusal(rejection.reason));
    host.metrics.refuse(rejection.reason);
    Verdict::Reject(rejection)
}

/// The only server needs no name in the configuration.
const DEFAULT_NAME: &str = "main";

/// As long as a JWT of a server may be by default, in bytes.
const MAX_MINTED_LENGTH: usize = 32 * 1024;
