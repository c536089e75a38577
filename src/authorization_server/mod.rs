//! One authorization server: how to call it, its cached responses, and its keys.

mod keys;
mod protection;
mod unverified_token;

use std::rc::Rc;
use std::sync::Arc;

pub use protection::{Permit, Protections};
pub use unverified_token::UnverifiedToken;

use crate::cache::{Cache, Level, Occupancy};
use crate::credentials::bearer::AccessToken;
use crate::credentials::token_form::{TokenForm, TokenKind};
use crate::fingerprint::Fingerprint;
use crate::host::Host;
use crate::http::callout::{CallResult, NotSent};
use crate::introspection::IntrospectionRequest;
use crate::jwt::{Jws, UnusableKey, VerificationBudget};
use crate::metrics::Counter;
use crate::refusal::{Fault, Reason, TokenError};
use crate::server::circuit_breaker::CircuitChange;
use crate::server::jwks::{Obstacle, Wanted};
use crate::server::query::{About, Document, Query, QueryKey};
use crate::server::rate_limiter::Precedence;
use crate::server_id::ServerId;
use crate::settings::{KeySettings, ServerSettings, Settings, TokenSettings};
use crate::time::Timestamp;
use crate::token::active_token::{self, ActiveToken};
use crate::token::jwt_access_token::JwtAccessTokens;
use crate::token_info::TokenInfo;
use crate::token_key::{PresentedKey, TokenKey};
use crate::upstream::mint::SubjectMapping;
use keys::Keys;
use protection::Protection;
use unverified_token::UnverifiedTokens;

/// An authorization server.
pub(crate) struct AuthorizationServer {
    id: ServerId,
    settings: ServerSettings,
    cache: Cache,
    keys: Keys,
    protection: Option<Arc<Protection>>,
    failed_verifications: VerificationBudget,
    unverified: UnverifiedTokens,
}

/// How to learn about a token that is not in the cache.
pub(crate) enum TokenLookup {
    /// The authorization server has to be queried.
    Query(Query),
    /// The claims are known, from the token itself or from a response that waits for keys. Their signature has to be verified.
    UnverifiedToken(Rc<UnverifiedToken>),
}

/// Why there is no token info.
pub(crate) enum NoTokenInfo {
    /// The token is refused.
    Refused(Reason),
    /// This query has to be answered first.
    Needs(Box<Query>),
}

impl AuthorizationServer {
    /// Starts with an empty cache, and without published keys.
    pub(crate) fn new(
        id: ServerId,
        settings: ServerSettings,
        protection: Option<Arc<Protection>>,
        all: &Settings,
    ) -> Self {
        let keys = Keys::new(&settings, all);
        let cache = Cache::new(&all.cache, settings.fingerprint(all), Arc::clone(&all.forwarding));
        let failed_verifications = VerificationBudget::new(settings.token.max_failed_verifications);
        let unverified = UnverifiedTokens::default();
        Self { id, settings, cache, keys, protection, failed_verifications, unverified }
    }

    /// Returns the fresh cache entry of a token. An entry verified by a published key is valid as long as the key is published (R66).
    pub(crate) fn find(
        &mut self,
        token: &PresentedKey<'_>,
        host: Host<'_>,
    ) -> Option<(Rc<TokenInfo>, Level)> {
        let Self { cache, keys, .. } = self;
        if let Some(published) = keys.published() {
            let shared_data = published.shared_data(host);
            published.store.follow(host.now, shared_data);
        }
        if let Some(token_info) = cache.find_local(token.local(), host.now)
            && keys.counts(token_info.verified_by(), host.now)
        {
            return Some((token_info, Level::Local));
        }
        let counts = |key: Option<&Fingerprint>| keys.counts_elsewhere(key, host);
        cache
            .find_shared(&token.get(), counts, host.now, host.shared_data)
            .map(|token_info| (token_info, Level::Shared))
    }

    /// Whether newer keys are due to be fetched in the background, by this worker or another.
    pub(crate) fn are_keys_due(&self, now: Timestamp) -> bool {
        self.keys.is_refresh_due(now)
    }

    /// Returns the query that fetches keys before a request needs them, because there are none or newer ones are due. Returns `None` if
    /// workers do not share keys.
    pub(crate) fn fetch_keys(&mut self, host: Host<'_>) -> Option<Query> {
        let published = self.keys.published().filter(|published| published.is_shared)?;
        let wanted = published.store.prefetch(host.now, host.shared_data)?;
        Some(self.document(wanted))
    }

    /// Returns the query that fetches newer keys in the background, if this worker is the one to send it.
    pub(crate) fn refresh_keys(&mut self, host: Host<'_>) -> Option<Query> {
        let published = self.keys.published()?;
        let shared_data = published.shared_data(host);
        let wanted = published.store.refresh(host.now, shared_data)?;
        Some(self.document(wanted))
    }

    /// Disables background calls for keys: the host has no timers.
    pub(crate) fn disable_background_refresh(&mut self) {
        if let Some(published) = self.keys.published() {
            published.store.disable_background_refresh();
        }
    }

    /// Whether the JWT names this server as its issuer, and such JWTs are verified here. The name only selects the keys that have to verify
    /// the JWT (R71).
    pub(crate) fn may_have_issued(&self, jws: &Jws<'_>) -> bool {
        matches!(self.settings.token.jwts, JwtAccessTokens::Verified(_))
            && jws.issuer().is_some_and(|issuer| self.settings.token.policy.is_issuer(issuer))
    }

    /// Returns the server's name for operators. A single server needs no name in the configuration.
    pub(crate) fn name(&self) -> &str {
        self.settings.name.as_deref().unwrap_or("main")
    }

    /// Returns the configured keys that are left out.
    pub(crate) fn unusable_keys(&self) -> &[UnusableKey] {
        match &self.settings.keys {
            Some(KeySettings::Configured(keys)) => keys.unusable_keys(),
            Some(KeySettings::Published(_)) | None => &[],
        }
    }

    /// Returns how to learn about a token that is not in the cache.
    ///
    /// # Errors
    /// Why the token is refused: its kind is not accepted here, its claims are invalid, or the server has recently refused it.
    pub(crate) fn source(
        &self,
        token: AccessToken<'_>,
        form: TokenForm<'_>,
        key: TokenKey,
        host: Host<'_>,
    ) -> Result<TokenLookup, TokenError> {
        if form.is_of_other_kind() {
            return Err(Reason::NotAnAccessToken.into());
        }
        match self.settings.token.jwts {
            JwtAccessTokens::Refused if form.is_any_jwt() => Err(Reason::JwtNotAccepted.into()),
            JwtAccessTokens::Introspected | JwtAccessTokens::Refused => Ok(self.query(token, key, host)?),
            JwtAccessTokens::Verified(profile) => match form.kind() {
                TokenKind::Opaque => Ok(self.query(token, key, host)?),
                TokenKind::Unacceptable(error) => Err(error),
                TokenKind::Jwt(jws) if !self.may_have_issued(&jws) => {
                    let issuer = jws.payload().text("iss").map_err(TokenError::from);
                    Err(issuer.map_or_else(TokenError::of_presented_jwt, |_| Reason::WrongIssuer.into()))
                }
                TokenKind::Jwt(jws) => {
                    let claims = profile.read(&jws, &self.settings.claim_mapping, host.now)?;
                    self.settings.token.policy.validate_presented(&claims)?;
                    let source = active_token::Source::Presented(Box::new(jws.into_owned()));
                    let active = ActiveToken::new(source, claims);
                    Ok(TokenLookup::UnverifiedToken(Rc::new(UnverifiedToken::new(key, active, host.now))))
                }
            },
        }
    }

    /// Returns the introspection query, unless the server has recently refused the token, or its response waits for keys.
    fn query(&self, token: AccessToken<'_>, key: TokenKey, host: Host<'_>) -> Result<TokenLookup, Reason> {
        if let Some(reason) = self.cache.refusal(&key, host.now) {
            host.metrics.increment(Counter::CacheHitInactive);
            return Err(reason);
        }
        if let Some(unverified_token) = self.unverified.find(&key) {
            return Ok(TokenLookup::UnverifiedToken(unverified_token));
        }
        let precedence = if self.cache.knows(&key) { Precedence::Known } else { Precedence::Unknown };
        let query = self.introspection(token, key).ok_or(Reason::NotAJwt)?;
        Ok(TokenLookup::Query(query.with_precedence(precedence)))
    }

    /// Returns the query that refreshes an entry before it expires. Whether it may be sent, and by this worker, is decided just before it
    /// is sent: [`Self::admit`].
    pub(crate) fn refresh_query(
        &mut self,
        token: AccessToken<'_>,
        key: TokenKey,
        token_info: &TokenInfo,
        host: Host<'_>,
    ) -> Option<Query> {
        let query = self.introspection(token, key)?.refreshing();
        let is_due = self.cache.needs_refresh(&key, token_info, query.timeout(), host.now, host.shared_data);
        is_due.then_some(query)
    }

    /// Returns the entry of a token, fresh or stale, that may be used while the server is down.
    pub(crate) fn find_usable(&mut self, token: &TokenKey, host: Host<'_>) -> Option<Rc<TokenInfo>> {
        let counts = |key: Option<&Fingerprint>| self.keys.counts(key, host.now);
        let token_info = self.cache.find_usable(token, counts, host.now, host.shared_data)?;
        host.metrics.increment(Counter::CacheHitStale);
        Some(token_info)
    }

    /// Limit of pending requests for each worker.
    pub(crate) fn max_waiting(&self) -> usize {
        let introspection = self.settings.introspection.as_ref();
        introspection.map_or(DEFAULT_MAX_WAITING, |introspection| introspection.limits.waiting)
    }

    /// Decides whether a query may be sent. An introspection then takes a place, unless it shares another worker's response. Only then is a
    /// refresh claimed for this worker: one that may not send it must not keep others from doing so.
    ///
    /// # Errors
    /// Why it may not be sent.
    pub(crate) fn admit(&mut self, query: &Query, host: Host<'_>) -> Result<Option<Permit>, NotSent> {
        let now = host.now;
        match query.key().about {
            About::Token(token) => {
                let protection = self.protection.as_ref().ok_or(NotSent::LimitReached)?;
                let (precedence, timeout, is_refresh) =
                    (query.precedence(), query.timeout(), query.is_refresh());
                let claims = || self.cache.claim_refresh(&token, timeout, now, host.shared_data);
                let permit = protection.admit(token, precedence, timeout, now, || !is_refresh || claims())?;
                if is_refresh && permit.is_some() {
                    host.metrics.increment(Counter::CacheRefresh);
                }
                Ok(permit)
            }
            About::Metadata | About::Keys => {
                let is_admitted = self.keys.published().is_some_and(|keys| keys.store.admits(now));
                if is_admitted { Ok(None) } else { Err(NotSent::LimitReached) }
            }
        }
    }

    /// Updates the circuit breaker after the end of an introspection. Returns the change, if there is one.
    pub(crate) fn note_end(
        &mut self,
        token: TokenKey,
        result: &CallResult<'_>,
        host: Host<'_>,
    ) -> Option<CircuitChange> {
        let change = self.protection.as_ref()?.note_end(token, result.has_failed(), host.now);
        if change == Some(CircuitChange::Opened) {
            host.metrics.increment(Counter::CircuitBreakerOpened);
        }
        change
    }

    /// Whether the server's circuit breaker is open or half open.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.protection.as_ref().is_some_and(|protection| protection.is_circuit_open())
    }

    /// Returns how full this worker's cache of the server's responses is.
    pub(crate) fn occupancy(&self) -> Occupancy {
        self.cache.occupancy()
    }

    /// Evaluates the result of an introspection. The response is cached even if no request waits for it.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub(crate) fn evaluate(
        &mut self,
        token: TokenKey,
        result: CallResult<'_>,
        host: Host<'_>,
    ) -> Result<Rc<UnverifiedToken>, TokenError> {
        let introspection = self.settings.introspection.as_ref().ok_or(Reason::Internal)?;
        let answer = introspection.response.parse(result, &self.settings.claim_mapping, host.now);
        let counted = answer.as_ref().map(|_| ()).map_err(|error| error.reason);
        host.metrics.increment(Counter::of_introspection(counted));
        let active = match answer {
            Ok(active) => active,
            Err(error) => {
                let reason = error.reason;
                if reason.fault() == Fault::Client {
                    self.cache.forget(&token, host.shared_data);
                    self.cache.note_refusal(token, reason, result.freshness(host.now), host.now);
                    // Earlier responses that wait for keys are no longer valid.
                    self.unverified.withdraw(&token, reason);
                }
                return Err(TokenError { retry_after: result.retry_after(host.now), ..error });
            }
        };
        let unverified_token = Rc::new(UnverifiedToken::new(token, active, host.now));
        match self.token_info(&unverified_token, true, host) {
            // An expired token gets no cache entry: its refusal is cached instead.
            Ok(token_info)
                if token_info
                    .claims()
                    .validity()
                    .has_expired(host.now, self.settings.token.policy.leeway) =>
            {
                self.cache.note_refusal(token, Reason::Expired, unverified_token.active.freshness, host.now);
            }
            // The waiting requests fetch the keys; later requests with the same token join them.
            Err(NoTokenInfo::Needs(_)) => self.unverified.insert(&unverified_token),
            Ok(_) | Err(NoTokenInfo::Refused(_)) => {}
        }
        Ok(unverified_token)
    }

    /// Evaluates a fetch of metadata or keys. Also returns the keys of the set that are left out, if they differ from those before.
    pub(crate) fn take_document(
        &mut self,
        about: About,
        result: CallResult<'_>,
        host: Host<'_>,
    ) -> (Result<(), Reason>, Vec<UnusableKey>) {
        let Some(published) = self.keys.published() else {
            return (Err(Reason::Internal), Vec::new());
        };
        let shared_data = published.shared_data(host);
        let store = &mut published.store;
        let before = store.unusable_keys().to_vec();
        let (result, counter) = match about {
            About::Metadata => {
                let result = store.take_metadata(&result, host.now);
                (result, Counter::of_metadata_fetch(result.is_ok()))
            }
            About::Keys => {
                let result = store.take_keys(&result, host.now, shared_data);
                (result, Counter::of_jwks_fetch(result.is_ok()))
            }
            About::Token(_) => return (Err(Reason::Internal), Vec::new()),
        };
        host.metrics.increment(counter);
        let unusable = Some(store.unusable_keys()).filter(|unusable| *unusable != before);
        (result, unusable.map(<[_]>::to_vec).unwrap_or_default())
    }

    /// Whether the response to a query matters beyond the requests that wait for it: documents do, and so does the probe of a half-open
    /// circuit breaker.
    pub(crate) fn needs_answer(&self, about: About) -> bool {
        match about {
            About::Token(token) => {
                self.protection.as_ref().is_some_and(|protection| protection.is_probing(&token))
            }
            About::Metadata | About::Keys => true,
        }
    }

    /// Returns the query for the keys, after metadata were fetched in the background.
    pub(crate) fn next_document(&mut self) -> Option<Query> {
        let wanted = self.keys.published()?.store.next()?;
        Some(self.document(wanted))
    }

    /// Records that the fetch of a document ended without a response.
    pub(crate) fn abandon(&mut self) {
        if let Some(published) = self.keys.published() {
            published.store.abandon();
        }
    }

    /// Verifies a token and caches its info. Missing keys are queried if `may_fetch`.
    ///
    /// # Errors
    /// Why there is no token info, or none yet.
    pub(crate) fn token_info(
        &mut self,
        unverified_token: &UnverifiedToken,
        may_fetch: bool,
        host: Host<'_>,
    ) -> Result<Rc<TokenInfo>, NoTokenInfo> {
        if let Some(reason) = unverified_token.withdrawn.get() {
            return Err(NoTokenInfo::Refused(reason));
        }
        if let Some(known) = unverified_token.token_info.get() {
            // The server may have withdrawn the key since another request had the token verified.
            return match known {
                Ok(token_info) if !self.keys.counts(token_info.verified_by(), host.now) => {
                    Err(NoTokenInfo::Refused(unverified_token.refusal()))
                }
                known => known.clone().map_err(NoTokenInfo::Refused),
            };
        }
        if unverified_token.active.source.is_presented() && self.failed_verifications.is_spent(host.now) {
            return Err(NoTokenInfo::Refused(Reason::VerificationLimit));
        }
        let verified = self.verify(&unverified_token.active, may_fetch, host);
        let token_info = match verified {
            // The TTL begins with the response, not with the arrival of the keys.
            Ok(key) => Ok(self.cache.keep(
                *unverified_token.token(),
                &unverified_token.active,
                key,
                unverified_token.at,
                host.shared_data,
            )),
            Err(Obstacle::Refused) => Err(unverified_token.refusal()),
            // Not kept as the result: other requests may wait with the same token for the keys that this request cannot wait for.
            Err(Obstacle::UnknownKey) => return Err(NoTokenInfo::Refused(unverified_token.refusal())),
            Err(Obstacle::NoKeys) => return Err(NoTokenInfo::Refused(Reason::JwksUnavailable)),
            Err(Obstacle::Missing(wanted)) => {
                return Err(NoTokenInfo::Needs(Box::new(self.document(wanted))));
            }
        };
        unverified_token.token_info.get_or_init(|| token_info).clone().map_err(NoTokenInfo::Refused)
    }

    /// Returns the subject of JWTs minted for the server's tokens, if it differs from the default.
    pub(crate) fn subject_mapping(&self) -> Option<&SubjectMapping> {
        self.settings.subject.as_ref()
    }

    /// Returns the requirements for the server's tokens.
    pub(crate) fn token_settings(&self) -> &TokenSettings {
        &self.settings.token
    }

    /// Verifies the signature that an active token depends on. Returns the fingerprint of the key if it is a published one, which its
    /// server can withdraw.
    fn verify(
        &mut self,
        active: &ActiveToken,
        may_fetch: bool,
        host: Host<'_>,
    ) -> Result<Option<Fingerprint>, Obstacle> {
        let jws = match &active.source {
            active_token::Source::Response => return Ok(None),
            active_token::Source::PhantomToken(_) if matches!(self.keys, Keys::Absent) => return Ok(None),
            active_token::Source::SignedResponse(jws)
            | active_token::Source::PhantomToken(jws)
            | active_token::Source::Presented(jws) => jws,
        };
        let verified = self.keys.verify(jws, may_fetch, host);
        if verified.is_err() && active.source.is_presented() {
            self.failed_verifications.spend(jws.failed_verifications());
        }
        verified
    }

    fn introspection(&self, token: AccessToken<'_>, key: TokenKey) -> Option<Query> {
        let introspection = self.settings.introspection.as_ref()?;
        let request = IntrospectionRequest::about(token, &introspection.endpoint);
        let limit = introspection.response.body_limit();
        Some(Query::introspection(self.query_key(About::Token(key)), request, limit))
    }

    fn document(&self, wanted: Wanted) -> Query {
        let headers = match &self.settings.keys {
            Some(KeySettings::Published(keys)) => Arc::clone(&keys.headers),
            Some(KeySettings::Configured(_)) | None => Arc::default(),
        };
        let (about, target, accept) = match wanted {
            Wanted::Metadata(target) => (About::Metadata, target, "application/json"),
            // RFC 7517 §8.5 defines a media type, and some servers offer no other.
            Wanted::Keys(target) => (About::Keys, target, "application/json, application/jwk-set+json"),
        };
        Query::document(self.query_key(about), Document { target, accept, headers })
    }

    fn query_key(&self, about: About) -> QueryKey {
        QueryKey { server: self.id, about }
    }
}

/// For servers without introspection, where requests wait for keys alone.
const DEFAULT_MAX_WAITING: usize = 1024;
