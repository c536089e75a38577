//! The result for an active access token, prepared once so that a cache hit has nothing left to build.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::http::grpc;
use crate::http::lifetime::Lifetime;
use crate::refusal::{Reason, TokenError};
use crate::session::{SESSION_ID, Session, SessionSeal};
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token_key::TokenKey;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{MintProfile, Minted};

/// The result for one active token: the finished header fields for the services, and the claims that rules ask about.
#[derive(Debug)]
pub struct TokenInfo {
    token: TokenKey,
    jwt_value: Option<String>,
    fields: Vec<(String, String)>,
    filter_state: Vec<(String, String)>,
    claims: Claims,
    is_self_contained: bool,
    verified_by: Option<Fingerprint>,
    lifetime: Lifetime,
    refresh_at: Cell<Option<Timestamp>>,
    forwarding: Arc<Forwarding>,
    minted: RefCell<Vec<Kept>>,
}

/// A minted JWT that serves more than one request.
#[derive(Debug)]
struct Kept {
    profile: Arc<MintProfile>,
    value: Rc<str>,
    minted_at: Timestamp,
    refresh_at: Timestamp,
}

/// The header fields that services receive with one request, and what the host keeps for it.
#[derive(Debug, Default)]
pub struct UpstreamHeaders {
    token_info: Option<Rc<TokenInfo>>,
    minted: Option<Rc<str>>,
    strips_credentials: bool,
    /// Fields for this request alone: its time limit and its session.
    of_request: Vec<(&'static str, String)>,
    shadow_denied: Option<Reason>,
    session_seal: Option<Box<SessionSeal>>,
}

impl TokenInfo {
    /// Prepares the entry for a JWT, or for claims alone.
    pub(crate) fn new(
        token: TokenKey,
        jwt: Option<&str>,
        claims: Claims,
        is_self_contained: bool,
        verified_by: Option<Fingerprint>,
        forwarding: &Arc<Forwarding>,
        lifetime: Lifetime,
    ) -> Self {
        Self {
            token,
            jwt_value: jwt.map(|jwt| [forwarding.jwt_prefix(), jwt].concat()),
            fields: forwarding.fields(&claims),
            filter_state: forwarding.filter_state(&claims),
            claims,
            is_self_contained,
            verified_by,
            lifetime,
            refresh_at: Cell::new(None),
            forwarding: Arc::clone(forwarding),
            minted: RefCell::default(),
        }
    }

    /// The JWT that services receive.
    pub(crate) fn jwt(&self) -> Option<&str> {
        self.jwt_value.as_deref()?.strip_prefix(self.forwarding.jwt_prefix())
    }

    /// The token that the entry is about.
    pub(crate) fn token(&self) -> &TokenKey {
        &self.token
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the token itself is the JWT that services receive: its issuer's keys verified it, and no server was asked.
    pub(crate) fn is_self_contained(&self) -> bool {
        self.is_self_contained
    }

    /// The published key that verified the response. The entry ends when its server no longer publishes that key (R66). `None` if the entry
    /// depends on no published key.
    pub(crate) fn verified_by(&self) -> Option<&Fingerprint> {
        self.verified_by.as_ref()
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Sets when the entry is refreshed next, if it is still in use then.
    pub(crate) fn schedule_refresh(&self, refresh_at: Option<Timestamp>) {
        self.refresh_at.set(refresh_at);
    }

    /// Whether the entry is due for a refresh.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.refresh_at.get().is_some_and(|refresh_at| refresh_at <= now)
    }

    /// The approximate memory that the entry takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.fields.iter().chain(&self.filter_state);
        let texts: usize = texts.map(|(name, value)| name.len().saturating_add(value.len())).sum();
        let jwt = self.jwt_value.as_ref().map_or(self.forwarding.minted_bytes, String::len);
        [size_of::<Self>(), jwt, texts, self.claims.weight()].iter().sum()
    }
}

impl UpstreamHeaders {
    /// No fields; the client's credentials are removed (R74).
    pub(crate) fn stripped() -> Self {
        Self { strips_credentials: true, ..Self::default() }
    }

    /// The fields of an entry.
    pub(crate) fn of(token_info: Rc<TokenInfo>) -> Self {
        Self::with_jwt(token_info, None)
    }

    fn with_jwt(token_info: Rc<TokenInfo>, minted: Option<Rc<str>>) -> Self {
        let has_jwt = minted.is_some() || token_info.jwt_value.is_some();
        let strips_credentials = !(has_jwt && token_info.forwarding.replaces_authorization());
        Self { token_info: Some(token_info), minted, strips_credentials, ..Self::default() }
    }

    /// Marks a request that would be refused if its rule did more than report refusals.
    pub(crate) fn shadow_denied_for(self, reason: Reason) -> Self {
        Self { shadow_denied: Some(reason), ..self }
    }

    /// Limits the time of the request to this many milliseconds.
    pub(crate) fn within(mut self, millis: u64) -> Self {
        self.of_request.push((grpc::TIMEOUT, grpc::timeout_value(millis)));
        self
    }

    /// Adds the request's session.
    #[cold]
    #[inline(never)]
    pub(crate) fn in_session(mut self, Session { id, seal }: Session) -> Self {
        self.of_request.extend(id.map(|id| (SESSION_ID, id)));
        Self { session_seal: Some(Box::new(seal)), ..self }
    }

    /// The seal for the session id of the response, if ids are bound.
    pub fn session_seal(&self) -> Option<&SessionSeal> {
        self.session_seal.as_deref()
    }

    /// The fields of an entry with a JWT of this profile, minted if there is no usable one.
    ///
    /// # Errors
    /// Why no JWT can be minted.
    pub(crate) fn minted(
        token_info: Rc<TokenInfo>,
        profile: &Arc<MintProfile>,
        now: Timestamp,
        mint: impl FnOnce(&TokenInfo) -> Result<Minted, TokenError>,
    ) -> Result<Self, TokenError> {
        let mut kept = token_info.minted.borrow_mut();
        // A JWT minted in the future, before the clock was set back, is not usable.
        let serves =
            |one: &&Kept| Arc::ptr_eq(&one.profile, profile) && one.minted_at <= now && now < one.refresh_at;
        let value = match kept.iter().find(serves) {
            Some(one) => Rc::clone(&one.value),
            None => {
                let Minted { jwt, refresh_at } = mint(&token_info)?;
                let value: Rc<str> = format!("{}{jwt}", token_info.forwarding.jwt_prefix()).into();
                kept.retain(|one| !Arc::ptr_eq(&one.profile, profile));
                let kept_bytes: usize = kept.iter().map(|one| one.value.len()).sum();
                if kept_bytes.saturating_add(value.len()) <= token_info.forwarding.minted_bytes {
                    let (profile, value) = (Arc::clone(profile), Rc::clone(&value));
                    kept.push(Kept { profile, value, minted_at: now, refresh_at });
                }
                value
            }
        };
        drop(kept);
        Ok(Self::with_jwt(token_info, Some(value)))
    }

    /// The token that the client presented, if the request was admitted by one.
    pub fn token(&self) -> Option<&TokenKey> {
        self.token_info.as_deref().map(TokenInfo::token)
    }

    /// The names and values of the fields. Each replaces all fields of its name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let claims = self.token_info.iter().flat_map(|token_info| &token_info.fields);
        let jwt = self.token_info.as_deref().and_then(|token_info| {
            Some((token_info.forwarding.jwt_field.as_str(), self.jwt_value(token_info)?))
        });
        let of_request = self.of_request.iter().map(|(name, value)| (*name, value.as_str()));
        claims.map(|(name, value)| (name.as_str(), value.as_str())).chain(jwt).chain(of_request)
    }

    /// Whether the client's credentials are removed without a JWT in their place.
    pub(crate) fn strips_credentials(&self) -> bool {
        self.strips_credentials
    }

    /// State that the host stores for its access log and other filters: names and values.
    pub fn filter_state(&self) -> &[(String, String)] {
        self.token_info.as_ref().map(|token_info| token_info.filter_state.as_slice()).unwrap_or_default()
    }

    /// Why the request would be refused if its rule did more than report refusals.
    pub fn shadow_denied(&self) -> Option<Reason> {
        self.shadow_denied
    }

    /// The length of the field that carries the JWT, in bytes.
    pub(crate) fn jwt_length(&self) -> usize {
        self.token_info.as_deref().and_then(|token_info| self.jwt_value(token_info)).map_or(0, str::len)
    }

    fn jwt_value<'s>(&'s self, token_info: &'s TokenInfo) -> Option<&'s str> {
        self.minted.as_deref().or(token_info.jwt_value.as_deref())
    }
}
