//! The decision about a request, without a proxy: for a request head, the result is a decision or a query to an authorization server. For
//! the response, every request that waits for it is decided or needs another query.
//!
//! Nothing here replies, sends calls or reads a clock. Each cache hit is validated for its own request: the cache holds what the
//! authorization server said, never a decision.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Decision, Pending, Step};
use super::query_result::{IntrospectionResult, QueryResult};
use super::request_context::{self, RequestContext};
use super::servers::Servers;
use super::token_check::TokenCheck;
use crate::authorization_server::{AuthorizationServer, NoTokenInfo, Protections, TokenLookup};
use crate::credentials::bearer::{self, AccessToken};
use crate::credentials::dpop::ProofVerifier;
use crate::credentials::token_form::TokenForm;
use crate::documents::document::Document;
use crate::host::Host;
use crate::http::cors;
use crate::http::request_head::RequestHead;
use crate::metrics::Counter;
use crate::policy::{Access, Enforcement, Requirement};
use crate::refusal::{Reason, Rejection, TokenError};
use crate::server_id::ServerId;
use crate::session::{PresentedSession, Session};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token_info::{TokenInfo, UpstreamHeaders};
use crate::token_key::{LocalKeys, TokenKey};

/// Decides about the requests of one configuration on one worker.
pub(super) struct Authenticator {
    settings: Arc<Settings>,
    pub(super) servers: Servers,
    proof_verifier: Option<ProofVerifier>,
    local_keys: LocalKeys,
}

impl Authenticator {
    /// Starts with empty caches.
    pub(super) fn new(settings: Arc<Settings>, protections: &Protections) -> Self {
        let servers = Servers::new(&settings, protections);
        let proof_verifier = settings.dpop.as_ref().map(ProofVerifier::new);
        Self { settings, servers, proof_verifier, local_keys: LocalKeys::default() }
    }

    /// Prepares the data that all workers share, and this worker's own, before the first request.
    pub(super) fn prepare(&mut self, host: Host<'_>) {
        self.local_keys = LocalKeys::new(host.randomness.bytes().unwrap_or_default());
        if let Some(verifier) = &mut self.proof_verifier {
            verifier.prepare(host.now, host.shared_data);
        }
    }

    /// Decides about a request whose head arrived, or returns the query that it needs.
    pub(super) fn authenticate(&mut self, head: &RequestHead<'_>, host: Host<'_>) -> Step {
        let allowed_origin = self.settings.cors.allowed_origin(head);
        self.examine(head, allowed_origin.as_ref(), host).unwrap_or_else(|reason| {
            Step::Settled(Decision::reject(Rejection { allowed_origin, ..reason.into() }, host))
        })
    }

    /// Continues a request that waited for this result.
    pub(super) fn settle(&mut self, pending: Pending, result: &QueryResult, host: Host<'_>) -> Step {
        match result {
            QueryResult::Token(IntrospectionResult { token, unverified_token: Err(error), .. }) => {
                self.fall_back(pending, token, *error, host)
            }
            QueryResult::Token(IntrospectionResult { unverified_token: Ok(unverified_token), .. }) => self
                .verify_and_decide(
                    Pending { unverified_token: Some(Rc::clone(unverified_token)), ..pending },
                    true,
                    host,
                ),
            // If the fetch was throttled, verify with the current keys instead of fetching again.
            QueryResult::Document(result, _) => {
                self.verify_and_decide(pending, *result != Err(Reason::IntrospectionLimit), host)
            }
        }
    }

    fn examine(
        &mut self,
        head: &RequestHead<'_>,
        allowed_origin: Option<&Arc<str>>,
        host: Host<'_>,
    ) -> Result<Step, Reason> {
        if let Some(document) = self.document_at(head) {
            return Ok(Step::Settled(Decision::Answer(document.reply())));
        }
        if let Some(asked) = cors::asked_by_preflight(head) {
            if self.document_at(&asked).is_some() {
                return Ok(Step::Settled(Decision::Answer(Document::preflight_reply())));
            }
            if let Some(origin) = allowed_origin {
                return Ok(Step::Settled(self.preflight(&asked, origin, host)));
            }
        }
        Ok(match self.settings.rules.find(head)? {
            Access::Public => {
                let headers = match bearer::is_presented(head.authorization) {
                    true => UpstreamHeaders::stripped(),
                    false => UpstreamHeaders::default(),
                };
                Step::Settled(Decision::forward_public(headers, host))
            }
            Access::Protected(requirement) => self.protected(head, &requirement, allowed_origin, host),
        })
    }

    /// Decides about a request that a rule protects, in a function of its own so that public requests pay nothing for it.
    #[inline(never)]
    fn protected(
        &mut self,
        head: &RequestHead<'_>,
        requirement: &Arc<Requirement>,
        allowed_origin: Option<&Arc<str>>,
        host: Host<'_>,
    ) -> Step {
        let mode = self.servers.dpop_mode(requirement);
        let step = requirement
            .admit(head.peer)
            .and_then(|()| {
                RequestContext::read(head, requirement, allowed_origin, &self.settings, mode, host.now)
            })
            .map_err(TokenError::from)
            .and_then(|(context, token)| self.authorize(head, token, context, host));
        step.unwrap_or_else(|TokenError { reason, member, .. }| {
            if requirement.is_optional && request_context::is_anonymous(head, reason) {
                return Step::Settled(Decision::forward_public(UpstreamHeaders::stripped(), host));
            }
            let nonce = match reason {
                Reason::UseDpopNonce => self.settings.dpop.as_ref().and_then(|dpop| dpop.nonce.as_ref()),
                _ => None,
            };
            let rejection = Rejection {
                allowed_origin: allowed_origin.cloned(),
                parameters: requirement.challenge_parameters(reason.challenged(), None),
                places: request_context::places(head, &self.settings, reason),
                schemes: request_context::schemes(head, mode, reason),
                nonce: nonce.map(|key| key.nonce(host.now)),
                resource_metadata: requirement.resource_metadata.clone(),
                member,
                ..reason.into()
            };
            Step::Settled(Decision::refuse(rejection, requirement.enforcement, host))
        })
    }

    /// Returns the gateway's own document that a request is for.
    fn document_at(&self, head: &RequestHead<'_>) -> Option<&Document> {
        let has_path = self.settings.documents().any(|document| document.is_at(head));
        if has_path { self.own_document(head) } else { None }
    }

    /// Among the documents at the path of a request, returns that of its host. On any other host, by which services may know the gateway,
    /// returns the only document at the path, if there is just one; but if a rule opens that host by name without a token, the path belongs
    /// to a service.
    #[cold]
    #[inline(never)]
    fn own_document(&self, head: &RequestHead<'_>) -> Option<&Document> {
        let at_path = || self.settings.documents().filter(|document| document.is_at(head));
        if let Some(document) = at_path().find(|document| document.is_of_host(head.authority)) {
            return Some(document);
        }
        let document = at_path().next().filter(|_| at_path().nth(1).is_none());
        document.filter(|_| !self.settings.rules.open_named_host(head))
    }

    /// Decides about a preflight. For an exposed path, it passes without a token, if the rule for the request admits the caller. Services
    /// behind unexposed paths never see one.
    #[cold]
    #[inline(never)]
    fn preflight(&self, asked: &RequestHead<'_>, origin: &Arc<str>, host: Host<'_>) -> Decision {
        let requirement = match self.settings.rules.find(asked) {
            Ok(Access::Public) => None,
            Ok(Access::Protected(requirement)) => Some(requirement),
            Err(_) => {
                let allow_credentials = self.settings.cors.allow_credentials;
                return Decision::Answer(cors::readable_refusal(origin, asked, allow_credentials));
            }
        };
        if let Some(requirement) = requirement
            && let Err(reason) = requirement.admit(asked.peer)
        {
            let rejection = Rejection { allowed_origin: Some(Arc::clone(origin)), ..reason.into() };
            return Decision::refuse(rejection, requirement.enforcement, host);
        }
        Decision::forward_public(UpstreamHeaders::stripped(), host)
    }

    /// Decides about the token of a protected request.
    fn authorize(
        &mut self,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        context: RequestContext,
        host: Host<'_>,
    ) -> Result<Step, TokenError> {
        let key = token.key(self.local_keys);
        if let Some((server, token_info, level)) = self.servers.find(&key, &context.requirement, host) {
            host.metrics.increment(level.counter());
            let due = token_info.is_due(host.now).then(|| Rc::clone(&token_info));
            let pending = Pending { context, server, unverified_token: None, others: None };
            let step = self.decide(pending, token_info, host);
            if self.are_keys_due(server, &step, host.now) {
                return Ok(self.with_newer_keys(step, server, host));
            }
            return Ok(match due {
                Some(token_info) => self.with_refresh(step, server, token, key.get(), &token_info, host),
                None => step,
            });
        }
        self.handle_miss(head, token, key.get(), context, host)
    }

    /// Handles a cache miss, in a function of its own so that hits stay cheap.
    #[inline(never)]
    fn handle_miss(
        &mut self,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        key: TokenKey,
        context: RequestContext,
        host: Host<'_>,
    ) -> Result<Step, TokenError> {
        let form = TokenForm::of(token);
        let id = self.servers.first_for(&form, &context.requirement);
        let server = self.servers.get(id).ok_or(Reason::Internal)?;
        let source = match server.source(token, form, key, host) {
            Ok(source) => source,
            Err(error) => {
                let others = self.servers.others(head, token, key, &context.requirement, host);
                let others = Some(others.ok_or(error)?);
                let mut pending = Pending { context, server: id, unverified_token: None, others };
                let query = pending.next_query(error)?;
                host.metrics.increment(Counter::CacheMiss);
                return Ok(Step::Ask(query, pending));
            }
        };
        if let TokenLookup::UnverifiedToken(unverified_token) = &source {
            let check = TokenCheck { settings: server.token_settings(), context: &context, host };
            check.claims(unverified_token.claims())?;
        }
        host.metrics.increment(Counter::CacheMiss);
        Ok(match source {
            TokenLookup::Query(query) => {
                let others = self.servers.others(head, token, key, &context.requirement, host);
                let pending = Pending { context, server: id, unverified_token: None, others };
                Step::Ask(query.traced(head.traceparent), pending)
            }
            TokenLookup::UnverifiedToken(unverified_token) => self.verify_and_decide(
                Pending { context, server: id, unverified_token: Some(unverified_token), others: None },
                true,
                host,
            ),
        })
    }

    /// Adds the query that refreshes the entry to the step of a request that is forwarded.
    fn with_refresh(
        &mut self,
        step: Step,
        server: ServerId,
        token: AccessToken<'_>,
        key: TokenKey,
        token_info: &TokenInfo,
        host: Host<'_>,
    ) -> Step {
        let Step::Settled(decision @ Decision::Forward(_)) = step else { return step };
        let server = self.servers.get_mut(server);
        match server.and_then(|server| server.refresh_query(token, key, token_info, host)) {
            Some(query) => Step::Refresh(decision, query),
            None => Step::Settled(decision),
        }
    }

    /// Whether a request is forwarded because of a server whose published keys are due to be fetched again. A refresh of the entry, if due
    /// as well, is left to the next request.
    fn are_keys_due(&self, server: ServerId, step: &Step, now: Timestamp) -> bool {
        matches!(step, Step::Settled(Decision::Forward(_)))
            && self.servers.get(server).is_some_and(|server| server.are_keys_due(now))
    }

    /// Adds the query that fetches newer keys to the step, if this worker is the one to send it.
    fn with_newer_keys(&mut self, step: Step, server: ServerId, host: Host<'_>) -> Step {
        let query = self.servers.get_mut(server).and_then(|server| server.refresh_keys(host));
        match (step, query) {
            (Step::Settled(decision), Some(query)) => Step::Refresh(decision, query),
            (step, _) => step,
        }
    }

    /// Decides without a usable response: by a stale entry, if that is configured and the server is down (R56). If there is no entry,
    /// another server may know the token.
    fn fall_back(
        &mut self,
        mut pending: Pending,
        token: &TokenKey,
        error: TokenError,
        host: Host<'_>,
    ) -> Step {
        let server = self.servers.get_mut(pending.server).filter(|_| error.reason.is_outage());
        match server.and_then(|server| server.find_usable(token, host)) {
            Some(token_info) => self.decide(pending, token_info, host),
            None => match pending.next_query(error) {
                Ok(query) => Step::Ask(query, pending),
                Err(error) => pending.reject(error, Some(token), None, host),
            },
        }
    }

    /// Verifies the token and decides, or queries the missing keys.
    fn verify_and_decide(&mut self, pending: Pending, may_fetch: bool, host: Host<'_>) -> Step {
        let server = self.servers.get_mut(pending.server);
        let (Some(server), Some(unverified_token)) = (server, &pending.unverified_token) else {
            return pending.reject(Reason::Internal.into(), None, None, host);
        };
        match server.token_info(unverified_token, may_fetch, host) {
            Ok(token_info) => {
                let server = pending.server;
                let step = self.decide(pending, token_info, host);
                if self.are_keys_due(server, &step, host.now) {
                    return self.with_newer_keys(step, server, host);
                }
                step
            }
            Err(NoTokenInfo::Needs(query)) => Step::Ask(*query, pending),
            Err(NoTokenInfo::Refused(reason)) => {
                let token = *unverified_token.token();
                pending.reject(reason.into(), Some(&token), None, host)
            }
        }
    }

    fn decide(&mut self, pending: Pending, token_info: Rc<TokenInfo>, host: Host<'_>) -> Step {
        let enforces = pending.context.requirement.enforcement == Enforcement::Full;
        let unmet = self.check(&pending, &token_info, host).map_err(TokenError::from);
        let headers = unmet.and_then(|unmet| match unmet {
            Some(reason) if enforces => Err(reason.into()),
            unmet => {
                let mut headers = self.upstream_headers(&pending, Rc::clone(&token_info), host)?;
                if let Some(session) = &pending.context.session {
                    headers = headers.in_session(self.session(session, &pending, token_info.claims())?);
                }
                Ok((unmet, self.ending(headers, &pending, token_info.claims(), host.now)))
            }
        });
        match headers {
            Ok((None, headers)) => Step::Settled(Decision::forward(headers, host)),
            Ok((Some(reason), headers)) => {
                let rejection = Rejection { token: Some(*token_info.token()), ..reason.into() };
                Step::Settled(Decision::shadow_deny(rejection, headers, host))
            }
            Err(error) => pending.reject(error, Some(token_info.token()), Some(token_info.claims()), host),
        }
    }

    /// Adds the time that the request may take, if streams end with their token: the host counts from the start of the request.
    fn ending(
        &self,
        headers: UpstreamHeaders,
        pending: &Pending,
        claims: &Claims,
        now: Timestamp,
    ) -> UpstreamHeaders {
        let server = self.servers.get(pending.server).filter(|_| self.settings.ends_streams);
        let left = server.and_then(|server| {
            let expires = claims.validity().expires?;
            let left = expires.plus(server.token_settings().policy.leeway).since(now);
            Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        });
        match (left, pending.context.timeout) {
            (Some(left), timeout) => headers.within(timeout.map_or(left, |timeout| timeout.get().min(left))),
            (None, _) => headers,
        }
    }

    /// Returns the session of a request whose rule binds sessions.
    #[cold]
    #[inline(never)]
    fn session(
        &self,
        presented: &PresentedSession,
        pending: &Pending,
        claims: &Claims,
    ) -> Result<Session, Reason> {
        let binding = pending.context.requirement.session.as_ref().ok_or(Reason::Internal)?;
        let server = self.servers.get(pending.server).ok_or(Reason::Internal)?;
        binding.session(presented, server.name(), claims)
    }

    /// Returns what services receive: the contents of the entry, and a JWT minted by the gateway if the entry has none.
    fn upstream_headers(
        &self,
        pending: &Pending,
        token_info: Rc<TokenInfo>,
        host: Host<'_>,
    ) -> Result<UpstreamHeaders, TokenError> {
        let Some(mint) = self.settings.mint.as_ref().filter(|_| token_info.jwt().is_none()) else {
            return Ok(UpstreamHeaders::of(token_info));
        };
        if token_info.claims().validity().has_expired(host.now, Duration::ZERO) {
            // Clocks may differ, but no JWT is minted that has already expired.
            return Err(Reason::Expired.into());
        }
        let profile = pending.context.requirement.mint.as_ref().unwrap_or(&mint.profile);
        let subject = self.servers.get(pending.server).and_then(AuthorizationServer::subject_mapping);
        let mint = |token_info: &TokenInfo| {
            mint.mint(profile, subject, token_info.claims(), host.randomness.bytes(), host.now)
        };
        let headers = UpstreamHeaders::minted(token_info, profile, host.now, mint)?;
        let is_too_long = headers.jwt_length() > MAX_MINTED_LENGTH;
        if is_too_long { Err(Reason::PhantomTokenTooLong.into()) } else { Ok(headers) }
    }

    fn check(
        &mut self,
        pending: &Pending,
        token_info: &TokenInfo,
        host: Host<'_>,
    ) -> Result<Option<Reason>, Reason> {
        let server = self.servers.get(pending.server).ok_or(Reason::Internal)?;
        let check = TokenCheck { settings: server.token_settings(), context: &pending.context, host };
        check.all(token_info, self.proof_verifier.as_mut())
    }
}

/// The default maximum length of JWTs from servers, in bytes.
const MAX_MINTED_LENGTH: usize = 32 * 1024;
