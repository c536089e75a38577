//! What an active access token stands for, prepared once so that a cached request has nothing left to build.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::http::lifetime::Lifetime;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token_key::TokenKey;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{MintProfile, Minted};

/// The answer about one active token: the finished header fields for the services, and what rules ask about.
#[derive(Debug)]
pub struct Grant {
    token: TokenKey,
    jwt_value: Option<String>,
    fields: Vec<(String, String)>,
    filter_state: Vec<(String, String)>,
    claims: Claims,
    is_self_contained: bool,
    verified_by: Option<Fingerprint>,
    lifetime: Lifetime,
    renewal: Cell<Option<Timestamp>>,
    forwarding: Arc<Forwarding>,
    minted: RefCell<Vec<Kept>>,
}

/// A minted JWT that serves more than one request.
#[derive(Debug)]
struct Kept {
    profile: Arc<MintProfile>,
    value: Rc<str>,
    minted_at: Timestamp,
    renewed_at: Timestamp,
}

/// The header fields that services receive with one request, and what the host keeps for it.
#[derive(Debug, Default)]
pub struct UpstreamHeaders {
    grant: Option<Rc<Grant>>,
    minted: Option<Rc<str>>,
    strips_credentials: bool,
    shadow_denied: Option<Reason>,
}

impl Grant {
    /// Prepares the grant of a JWT, or of claims alone.
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
            jwt_value: jwt.map(|jwt| format!("{}{jwt}", forwarding.jwt_prefix())),
            fields: forwarding.fields(&claims),
            filter_state: forwarding.filter_state(&claims),
            claims,
            is_self_contained,
            verified_by,
            lifetime,
            renewal: Cell::new(None),
            forwarding: Arc::clone(forwarding),
            minted: RefCell::default(),
        }
    }

    /// The JWT that services receive.
    pub(crate) fn jwt(&self) -> Option<&str> {
        self.jwt_value.as_deref()?.strip_prefix(self.forwarding.jwt_prefix())
    }

    /// The token that it is about.
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

    /// The published key that verified the answer. The grant ends when its server does not publish that key any more (R66); none, if
    /// it depends on no published key.
    pub(crate) fn verified_by(&self) -> Option<&Fingerprint> {
        self.verified_by.as_ref()
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// When it is to be renewed next, if it is still in use then.
    pub(crate) fn schedule_renewal(&self, renewal: Option<Timestamp>) {
        self.renewal.set(renewal);
    }

    /// Whether it is to be renewed.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.renewal.get().is_some_and(|renewal| renewal <= now)
    }

    /// How many bytes of memory it takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.fields.iter().chain(&self.filter_state);
        let texts: usize = texts.map(|(name, value)| name.len().saturating_add(value.len())).sum();
        let jwt = self.jwt_value.as_ref().map_or(self.forwarding.minted_bytes, String::len);
        [size_of::<Self>(), jwt, texts, self.claims.weight()].iter().sum()
    }
}

impl UpstreamHeaders {
    /// None, without the client's credentials (R74).
    pub(crate) fn stripped() -> Self {
        Self { strips_credentials: true, ..Self::default() }
    }

    /// Those of a grant.
    pub(crate) fn of(grant: Rc<Grant>) -> Self {
        Self::with_jwt(grant, None)
    }

    fn with_jwt(grant: Rc<Grant>, minted: Option<Rc<str>>) -> Self {
        let has_jwt = minted.is_some() || grant.jwt_value.is_some();
        let strips_credentials = !(has_jwt && grant.forwarding.replaces_authorization());
        Self { grant: Some(grant), minted, strips_credentials, shadow_denied: None }
    }

    /// The same for a request that would be refused, if its rule did more than report that.
    pub(crate) fn shadow_denied_for(self, reason: Reason) -> Self {
        Self { shadow_denied: Some(reason), ..self }
    }

    /// Those of a grant, with a JWT of this profile, which is minted if there is none that serves.
    ///
    /// # Errors
    /// Why none can be.
    pub(crate) fn minted(
        grant: Rc<Grant>,
        profile: &Arc<MintProfile>,
        now: Timestamp,
        mint: impl FnOnce(&Grant) -> Result<Minted, Reason>,
    ) -> Result<Self, Reason> {
        let mut kept = grant.minted.borrow_mut();
        // What was minted in the future, before the clock was set back, does not serve.
        let serves =
            |one: &&Kept| Arc::ptr_eq(&one.profile, profile) && one.minted_at <= now && now < one.renewed_at;
        let value = match kept.iter().find(serves) {
            Some(one) => Rc::clone(&one.value),
            None => {
                let Minted { jwt, renewed_at } = mint(&grant)?;
                let value: Rc<str> = format!("{}{jwt}", grant.forwarding.jwt_prefix()).into();
                kept.retain(|one| !Arc::ptr_eq(&one.profile, profile));
                let kept_bytes: usize = kept.iter().map(|one| one.value.len()).sum();
                if kept_bytes.saturating_add(value.len()) <= grant.forwarding.minted_bytes {
                    let (profile, value) = (Arc::clone(profile), Rc::clone(&value));
                    kept.push(Kept { profile, value, minted_at: now, renewed_at });
                }
                value
            }
        };
        drop(kept);
        Ok(Self::with_jwt(grant, Some(value)))
    }

    /// The token that the client presented, if it counted.
    pub fn token(&self) -> Option<&TokenKey> {
        self.grant.as_deref().map(Grant::token)
    }

    /// Names and values. Each replaces all fields of its name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let claims = self.grant.iter().flat_map(|grant| &grant.fields);
        let jwt = self
            .grant
            .as_deref()
            .and_then(|grant| Some((grant.forwarding.jwt_field.as_str(), self.jwt_value(grant)?)));
        claims.map(|(name, value)| (name.as_str(), value.as_str())).chain(jwt)
    }

    /// Whether the client's credentials go without a field of ours in their place.
    pub(crate) fn strips_credentials(&self) -> bool {
        self.strips_credentials
    }

    /// What the host keeps for its access log and its other filters, names and values.
    pub fn filter_state(&self) -> &[(String, String)] {
        self.grant.as_ref().map(|grant| grant.filter_state.as_slice()).unwrap_or_default()
    }

    /// Why the request would be refused, if its rule did more than report that.
    pub fn shadow_denied(&self) -> Option<Reason> {
        self.shadow_denied
    }

    /// The length of the field that carries the JWT, in bytes.
    pub(crate) fn jwt_length(&self) -> usize {
        self.grant.as_deref().and_then(|grant| self.jwt_value(grant)).map_or(0, str::len)
    }

    fn jwt_value<'s>(&'s self, grant: &'s Grant) -> Option<&'s str> {
        self.minted.as_deref().or(grant.jwt_value.as_deref())
    }
}
