//! One authorization server: how to call it, its cached responses, and its keys.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::cache::{Cache, Level, Occupancy};
use crate::credentials::bearer::AccessToken;
use crate::credentials::token_form::{TokenForm, TokenKind};
use crate::fingerprint::Fingerprint;
use crate::host::{Host, NoSharedData, SharedData};
use crate::http::callout::{CallResult, NotSent};
use crate::introspection::IntrospectionRequest;
use crate::jwt::{Jws, KeySet, UnusableKey, VerificationBudget};
use crate::metrics::Counter;
use crate::refusal::{Fault, Reason, TokenError};
use crate::server::circuit_breaker::{CircuitBreaker, CircuitChange};
use crate::server::jwks::{KeyStore, Obstacle, Wanted};
use crate::server::query::{About, Document, Query, QueryKey};
use crate::server::rate_limiter::{Limiter, Precedence};
use crate::server_id::ServerId;
use crate::settings::{KeySettings, ServerSettings, Settings, TokenSettings};
use crate::time::Timestamp;
use crate::token::active_token::{self, ActiveToken};
use crate::token::claims::Claims;
use crate::token::jwt_access_token::JwtAccessTokens;
use crate::token_info::TokenInfo;
use crate::token_key::{PresentedKey, TokenKey};
use crate::upstream::mint::SubjectMapping;

/// An authorization server.
pub(crate) struct AuthorizationServer {
    id: ServerId,
    settings: ServerSettings,
    cache: Cache,
    keys: Option<Keys>,
    /// Whether keys are shared by the host's shared data.
    shares: bool,
    protection: Option<Protection>,
    failed_verifications: VerificationBudget,
    /// What was said of tokens whose requests wait for keys, as long as they do.
    unverified: BTreeMap<TokenKey, Vec<Weak<UnverifiedToken>>>,
}

/// Rate limiter and circuit breaker.
struct Protection {
    limiter: Limiter,
    circuit: CircuitBreaker,
}

/// What speaks for an active token, once its signature is verified. All requests with that token share it, and one of them
/// verifies for all.
pub struct UnverifiedToken {
    token: TokenKey,
    active: ActiveToken,
    /// When it was said.
    at: Timestamp,
    token_info: OnceCell<Result<Rc<TokenInfo>, Reason>>,
    /// Why it does not count any more: the server has said so since.
    withdrawn: Cell<Option<Reason>>,
}

impl UnverifiedToken {
    fn new(token: TokenKey, active: ActiveToken, at: Timestamp) -> Self {
        Self { token, active, at, token_info: OnceCell::new(), withdrawn: Cell::new(None) }
    }

    /// Its key.
    pub(crate) fn token(&self) -> &TokenKey {
        &self.token
    }

    /// The claims, not verified.
    pub(crate) fn claims(&self) -> &Claims {
        &self.active.claims
    }
}

/// Where to learn about a token that is not in the cache.
pub(crate) enum TokenLookup {
    /// The authorization server can tell.
    Query(Query),
    /// The token speaks for itself.
    UnverifiedToken(Rc<UnverifiedToken>),
}

/// Why there is no token info.
pub(crate) enum NoTokenInfo {
    /// The token is refused.
    Refused(Reason),
    /// This query has to be answered first.
    Needs(Box<Query>),
}

enum Keys {
    Configured(Arc<KeySet>),
    Published(Box<KeyStore>),
}

impl AuthorizationServer {
    /// Starts with an empty cache, and without keys that are not in the configuration.
    pub(crate) fn new(id: ServerId, settings: ServerSettings, all: &Settings) -> Self {
        let keys = settings.keys.as_ref().map(|keys| match keys {
            KeySettings::Configured(keys) => Keys::Configured(Arc::clone(keys)),
            KeySettings::Published(keys) => {
                let has_background = !all.cache.refresh_ahead.is_zero();
                let identity = settings.keys_fingerprint(keys);
                Keys::Published(Box::new(KeyStore::new(keys.clone(), identity, has_background)))
            }
        });
        let cache = Cache::new(&all.cache, settings.fingerprint(all), Arc::clone(&all.forwarding));
        let protection = settings.introspection.as_ref().map(|introspection| Protection {
            limiter: Limiter::new(introspection.limits),
            circuit: CircuitBreaker::new(introspection.circuit),
        });
        let failed_verifications = VerificationBudget::new(settings.token.max_failed_verifications);
        let (shares, unverified) = (all.cache.shared, BTreeMap::new());
        Self { id, settings, cache, keys, shares, protection, failed_verifications, unverified }
    }

    /// The fresh entry of a token. One that was verified by a published key counts as long as the key is published (R66).
    pub(crate) fn find(
        &mut self,
        token: &PresentedKey<'_>,
        host: Host<'_>,
    ) -> Option<(Rc<TokenInfo>, Level)> {
        let (now, shared_data) = (host.now, shared(self.shares, host));
        let Self { cache, keys, .. } = self;
        if let Some(Keys::Published(store)) = keys {
            store.follow(now, shared_data);
        }
        if let Some(token_info) = cache.find_local(token.local(), now)
            && counts(keys.as_ref(), token_info.verified_by(), now)
        {
            return Some((token_info, Level::Local));
        }
        let counts = |key: Option<&Fingerprint>| match (key, keys) {
            (Some(key), Some(Keys::Published(store))) => store.has_here_or_shared(key, now, shared_data),
            (key, _) => key.is_none(),
        };
        cache
            .find_shared(&token.get(), counts, now, shared_data)
            .map(|token_info| (token_info, Level::Shared))
    }

    /// Whether newer keys are to be fetched in the background, by this worker or another.
    pub(crate) fn are_keys_due(&self, now: Timestamp) -> bool {
        matches!(&self.keys, Some(Keys::Published(store)) if store.is_refresh_due(now))
    }

    /// The query that fetches newer keys in the background, if it is this worker's to ask.
    pub(crate) fn refresh_keys(&mut self, host: Host<'_>) -> Option<Query> {
        let Some(Keys::Published(store)) = &mut self.keys else { return None };
        let wanted = store.refresh(host.now, shared(self.shares, host))?;
        Some(self.document(wanted))
    }

    /// There are no background calls: the host has no timers.
    pub(crate) fn disable_background_refresh(&mut self) {
        if let Some(Keys::Published(store)) = &mut self.keys {
            store.disable_background_refresh();
        }
    }

    /// Whether it is the issuer of this JWT, by the JWT's own word, and such are verified here. The word only chooses whose
    /// keys have to verify it (R71).
    pub(crate) fn may_have_issued(&self, jws: &Jws<'_>) -> bool {
        matches!(self.settings.token.jwts, JwtAccessTokens::Verified(_))
            && jws.issuer().is_some_and(|issuer| self.settings.token.policy.is_issuer(issuer))
    }

    /// Where to learn about a token that was not found.
    ///
    /// # Errors
    /// The client's error: a token of a kind that is not taken here.
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

    /// The server can tell, unless it has lately.
    fn query(&self, token: AccessToken<'_>, key: TokenKey, host: Host<'_>) -> Result<TokenLookup, Reason> {
        if let Some(reason) = self.cache.refusal(&key, host.now) {
            host.metrics.increment(Counter::CacheHitInactive);
            return Err(reason);
        }
        let waiting = self.unverified.get(&key).into_iter().flatten().rev().filter_map(Weak::upgrade);
        if let Some(unverified_token) = waiting.into_iter().find(|one| one.token_info.get().is_none()) {
            return Ok(TokenLookup::UnverifiedToken(unverified_token));
        }
        let precedence = if self.cache.knows(&key) { Precedence::Known } else { Precedence::Unknown };
        let query = self.introspection(token, key).ok_or(Reason::NotAJwt)?;
        Ok(TokenLookup::Query(query.with_precedence(precedence)))
    }

    /// The query that refreshes an entry which is about to end. Whether it may be sent, and by this worker, is decided when it is
    /// about to be: [`Self::admits`].
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

    /// The entry of a token that serves while the server does not.
    pub(crate) fn find_usable(&mut self, token: &TokenKey, host: Host<'_>) -> Option<Rc<TokenInfo>> {
        let counts = |key: Option<&Fingerprint>| counts(self.keys.as_ref(), key, host.now);
        let token_info = self.cache.find_usable(token, counts, host.now, host.shared_data)?;
        host.metrics.increment(Counter::CacheHitStale);
        Some(token_info)
    }

    /// Limit of pending requests for each worker.
    pub(crate) fn max_waiting(&self) -> usize {
        let introspection = self.settings.introspection.as_ref();
        introspection.map_or(DEFAULT_MAX_WAITING, |introspection| introspection.limits.waiting)
    }

    /// Whether a query may be asked, while so many are open. A refresh is claimed for this worker only then: one that may not ask
    /// must not keep others from it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admits(&mut self, query: &Query, open: usize, host: Host<'_>) -> Result<(), NotSent> {
        let now = host.now;
        match (query.key().about, &mut self.keys, &mut self.protection) {
            (About::Token(token), _, Some(Protection { limiter, circuit })) => {
                if let Some(pause) = circuit.pause(&token, now) {
                    return Err(NotSent::CircuitOpen(pause));
                }
                if !limiter.admits(query.precedence(), open, now) {
                    return Err(NotSent::LimitReached);
                }
                if query.is_refresh() {
                    if !self.cache.claim_refresh(&token, query.timeout(), now, host.shared_data) {
                        return Err(NotSent::Claimed);
                    }
                    host.metrics.increment(Counter::CacheRefresh);
                }
                limiter.take();
                circuit.note_sent(token, now, query.timeout());
                Ok(())
            }
            (About::Metadata | About::Keys, Some(Keys::Published(store)), _) => {
                if store.admits(now) {
                    Ok(())
                } else {
                    Err(NotSent::LimitReached)
                }
            }
            _ => Err(NotSent::LimitReached),
        }
    }

    /// An introspection ended: updates the circuit breaker.
    pub(crate) fn note_end(
        &mut self,
        token: TokenKey,
        result: &CallResult<'_>,
        host: Host<'_>,
    ) -> Option<CircuitChange> {
        let circuit = &mut self.protection.as_mut()?.circuit;
        let change = circuit.note_end(token, result.has_failed(), host.now);
        if change == Some(CircuitChange::Opened) {
            host.metrics.increment(Counter::CircuitBreakerOpened);
        }
        change
    }

    /// Whether its circuit is open.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.protection.as_ref().is_some_and(|protection| !protection.circuit.is_closed())
    }

    /// What it has in the memory of this worker.
    pub(crate) fn occupancy(&self) -> Occupancy {
        self.cache.occupancy()
    }

    /// Evaluates an introspection. The response is cached even if no request waits for it.
    ///
    /// # Errors
    /// Why the token does not count.
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
                    // Earlier responses that wait for keys do not count any more.
                    for waiting in self.unverified.remove(&token).iter().flatten().filter_map(Weak::upgrade) {
                        waiting.withdrawn.set(Some(reason));
                    }
                }
                return Err(TokenError { retry_after: result.retry_after(host.now), ..error });
            }
        };
        let unverified_token = Rc::new(UnverifiedToken::new(token, active, host.now));
        match self.token_info(&unverified_token, true, host) {
            // What has ended is not kept as an entry.
            Ok(token_info)
                if token_info
                    .claims()
                    .validity()
                    .has_expired(host.now, self.settings.token.policy.leeway) =>
            {
                self.cache.note_refusal(token, Reason::Expired, unverified_token.active.freshness, host.now);
            }
            // Requests that wait ask for the keys; later ones for the same token join them.
            Err(NoTokenInfo::Needs(_)) => {
                self.unverified.retain(|_, waiting| {
                    waiting.retain(|one| one.strong_count() > 0);
                    !waiting.is_empty()
                });
                self.unverified.entry(token).or_default().push(Rc::downgrade(&unverified_token));
            }
            Ok(_) | Err(NoTokenInfo::Refused(_)) => {}
        }
        Ok(unverified_token)
    }

    /// Evaluates a fetch of metadata or keys. The keys that are left out are returned if they are others than before.
    pub(crate) fn take_document(
        &mut self,
        about: About,
        result: CallResult<'_>,
        host: Host<'_>,
    ) -> (Result<(), Reason>, Vec<UnusableKey>) {
        let Some(Keys::Published(store)) = &mut self.keys else {
            return (Err(Reason::Internal), Vec::new());
        };
        let before = store.unusable_keys().to_vec();
        let (result, counter) = match about {
            About::Metadata => {
                let result = store.take_metadata(&result, host.now);
                (result, Counter::of_metadata_fetch(result.is_ok()))
            }
            About::Keys => {
                let result = store.take_keys(&result, host.now, shared(self.shares, host));
                (result, Counter::of_jwks_fetch(result.is_ok()))
            }
            About::Token(_) => return (Err(Reason::Internal), Vec::new()),
        };
        host.metrics.increment(counter);
        let unusable = Some(store.unusable_keys()).filter(|unusable| *unusable != before);
        (result, unusable.map(<[_]>::to_vec).unwrap_or_default())
    }

    /// Whether the answer to a query matters to more than those who wait for it: documents do, and the probe of a circuit that
    /// is half open.
    pub(crate) fn needs_answer(&self, about: About) -> bool {
        match about {
            About::Token(token) => {
                self.protection.as_ref().is_some_and(|protection| protection.circuit.is_probing(&token))
            }
            About::Metadata | About::Keys => true,
        }
    }

    /// The query for keys that follows metadata fetched in the background.
    pub(crate) fn next_document(&self) -> Option<Query> {
        let Some(Keys::Published(store)) = &self.keys else { return None };
        store.next().map(|wanted| self.document(wanted))
    }

    /// A fetch ended without a response.
    pub(crate) fn abandon(&mut self) {
        if let Some(Keys::Published(store)) = &mut self.keys {
            store.abandon();
        }
    }

    /// Verifies a token and caches its info. Missing keys are queried if `may_fetch`.
    ///
    /// # Errors
    /// Why there is none, or none yet.
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
            // Its key may have been taken back since another request had it verified.
            let still_counts =
                |token_info: &Rc<TokenInfo>| counts(self.keys.as_ref(), token_info.verified_by(), host.now);
            return match known {
                Ok(token_info) if !still_counts(token_info) => {
                    Err(NoTokenInfo::Refused(unverified_token.active.source.refusal()))
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
                unverified_token.token,
                &unverified_token.active,
                key,
                unverified_token.at,
                host.shared_data,
            )),
            Err(Obstacle::Refused) => Err(unverified_token.active.source.refusal()),
            // Others may wait with the same unverified token for the keys that this request cannot wait for.
            Err(Obstacle::UnknownKey) => {
                return Err(NoTokenInfo::Refused(unverified_token.active.source.refusal()));
            }
            Err(Obstacle::NoKeys) => return Err(NoTokenInfo::Refused(Reason::JwksUnavailable)),
            Err(Obstacle::Missing(wanted)) => {
                return Err(NoTokenInfo::Needs(Box::new(self.document(wanted))));
            }
        };
        unverified_token.token_info.get_or_init(|| token_info).clone().map_err(NoTokenInfo::Refused)
    }

    /// The subject of JWTs minted for its tokens, if it differs from the default.
    pub(crate) fn subject_mapping(&self) -> Option<&SubjectMapping> {
        self.settings.subject.as_ref()
    }

    /// What its tokens must be like.
    pub(crate) fn token_settings(&self) -> &TokenSettings {
        &self.settings.token
    }

    /// Verifies what an active token depends on. The key that did it, if it is a published one, which can be removed.
    fn verify(
        &mut self,
        active: &ActiveToken,
        may_fetch: bool,
        host: Host<'_>,
    ) -> Result<Option<Fingerprint>, Obstacle> {
        let jws = match &active.source {
            active_token::Source::Response => return Ok(None),
            active_token::Source::PhantomToken(_) if self.keys.is_none() => return Ok(None),
            active_token::Source::SignedResponse(jws)
            | active_token::Source::PhantomToken(jws)
            | active_token::Source::Presented(jws) => jws,
        };
        let verified = match &mut self.keys {
            None => Err(Obstacle::Refused),
            Some(Keys::Configured(keys)) => keys.verify(jws).map(|_| None).map_err(|_| Obstacle::Refused),
            Some(Keys::Published(store)) => {
                store.verify(jws, may_fetch, host.now, shared(self.shares, host)).map(Some)
            }
        };
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
            // RFC 7517 §8.5 has a type of its own, and some servers have nothing else.
            Wanted::Keys(target) => (About::Keys, target, "application/json, application/jwk-set+json"),
        };
        Query::document(self.query_key(about), Document { target, accept, headers })
    }

    fn query_key(&self, about: About) -> QueryKey {
        QueryKey { server: self.id, about }
    }
}

/// Whether what this key verified counts by these keys; what needed no published key, does.
fn counts(keys: Option<&Keys>, verified_by: Option<&Fingerprint>, now: Timestamp) -> bool {
    match (verified_by, keys) {
        (None, _) => true,
        (Some(key), Some(Keys::Published(store))) => store.has(key, now),
        (Some(_), None | Some(Keys::Configured(_))) => false,
    }
}

/// For servers that are not introspected: only their keys are waited for.
const DEFAULT_MAX_WAITING: usize = 1024;
/// The host's shared data if enabled: some hosts lack it and trap on access.
fn shared(is_on: bool, host: Host<'_>) -> &dyn SharedData {
    if is_on { host.shared_data } else { &NoSharedData }
}
