//! The cache of the authorization server's responses (RFC 7662 §4), in two levels: one in the VM of each worker, which holds
//! entries ready to use, and the host's shared data, which all workers see. No decision is cached: each hit is validated for
//! its own request (R53).

mod entry;
mod inactive;
mod local;
mod settings;
mod shared;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use local::Occupancy;
pub use settings::CacheSettings;
pub(crate) use shared::claim;

use crate::fingerprint::Fingerprint;
use crate::host::SharedData;
use crate::http::freshness::{Freshness, TimeToLive};
use crate::http::lifetime::Lifetime;
use crate::metrics::Counter;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::active_token::ActiveToken;
use crate::token_info::TokenInfo;
use crate::token_key::{LocalKey, TokenKey};
use crate::upstream::headers::Forwarding;
use entry::Entry;
use inactive::InactiveTokens;
use local::LocalCache;
use shared::Slots;

/// Both levels of the cache, and the inactive tokens.
pub(crate) struct Cache {
    settings: CacheSettings,
    local: LocalCache,
    inactive: InactiveTokens,
    slots: Option<Slots>,
    forwarding: Arc<Forwarding>,
}

/// The level in which an entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// In the VM.
    Local,
    /// In the host's shared data.
    Shared,
}

impl Level {
    /// Returns the counter of hits in this level.
    pub(crate) fn counter(self) -> Counter {
        match self {
            Self::Local => Counter::CacheHitLocal,
            Self::Shared => Counter::CacheHitShared,
        }
    }
}

impl Cache {
    /// Creates an empty cache for responses received under the configuration with this `fingerprint`. Its entries are prepared for this
    /// `forwarding`.
    pub(crate) fn new(
        settings: &CacheSettings,
        fingerprint: Fingerprint,
        forwarding: Arc<Forwarding>,
    ) -> Self {
        Self {
            local: LocalCache::new(settings.max_entries, settings.max_bytes, settings.max_ttl),
            inactive: InactiveTokens::default(),
            slots: settings.shared.then(|| Slots::new(settings, fingerprint)),
            settings: settings.clone(),
            forwarding,
        }
    }

    /// Returns the fresh entry of a token in this worker's level.
    pub(crate) fn find_local(&mut self, token: &LocalKey, now: Timestamp) -> Option<Rc<TokenInfo>> {
        self.local.find(token, now).filter(|token_info| token_info.lifetime().is_fresh(now))
    }

    /// Returns the fresh entry of a token in the shared level, if the key that verified it `counts`.
    pub(crate) fn find_shared(
        &mut self,
        token: &TokenKey,
        counts: impl FnOnce(Option<&Fingerprint>) -> bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Option<Rc<TokenInfo>> {
        if self.refusal(token, now).is_some() {
            return None;
        }
        let entry = self.slots.as_ref()?.read(token, now, shared)?;
        let is_found = entry.lifetime.is_fresh(now) && counts(entry.verified_by.as_ref());
        is_found.then(|| self.adopt(token, entry, now))
    }

    /// Returns the entry of a token, fresh or stale, that may be used while its server is down, if the key that verified it `counts`.
    pub(crate) fn find_usable(
        &mut self,
        token: &TokenKey,
        counts: impl Fn(Option<&Fingerprint>) -> bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Option<Rc<TokenInfo>> {
        if self.slots.as_ref().is_some_and(|slots| slots.is_revoked(token, shared)) {
            self.local.remove(token.local());
        }
        let local = self.local.find(token.local(), now).filter(|token_info| counts(token_info.verified_by()));
        local.or_else(|| {
            let entry = self.slots.as_ref()?.read(token, now, shared)?;
            counts(entry.verified_by.as_ref()).then(|| self.adopt(token, entry, now))
        })
    }

    /// Returns how full the level in the VM is.
    pub(crate) fn occupancy(&self) -> Occupancy {
        self.local.occupancy()
    }

    /// Returns why a token is refused, if the server has recently refused it.
    pub(crate) fn refusal(&self, token: &TokenKey, now: Timestamp) -> Option<Reason> {
        self.inactive.find(token, now, self.settings.inactive_ttl)
    }

    /// Creates the entry of an active token, and keeps it in both levels for as long as freshness and expiry allow.
    pub(crate) fn keep(
        &mut self,
        token: TokenKey,
        active: &ActiveToken,
        verified_by: Option<Fingerprint>,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Rc<TokenInfo> {
        let ActiveToken { source, claims, freshness } = active;
        let end = claims.validity().expires;
        let lifetime = self.lifetime(*freshness, end, now);
        let token_info = TokenInfo::new(
            token,
            source.jwt(),
            claims.clone(),
            source.is_presented(),
            verified_by,
            &self.forwarding,
            lifetime.unwrap_or(Lifetime::NONE),
        );
        let token_info = Rc::new(self.scheduled(token_info, end, now));
        self.inactive.remove(&token);
        match (lifetime, &self.slots) {
            // An older response, which may grant more, must not outlive this one.
            (None, _) => self.forget(&token, shared),
            (Some(_), slots) => {
                if let Some(slots) = slots {
                    slots.write(&token, &Entry::of(&token_info), shared);
                }
                self.local.insert(*token.local(), Rc::clone(&token_info));
            }
        }
        token_info
    }

    /// Removes the entry of a token that the server no longer confirms.
    pub(crate) fn forget(&mut self, token: &TokenKey, shared: &dyn SharedData) {
        let was_known = self.local.remove(token.local());
        if let Some(slots) = &self.slots {
            slots.revoke(token, was_known, shared);
        }
    }

    /// Caches why a token is refused, for as long as HTTP and the operator allow (R54).
    pub(crate) fn note_refusal(
        &mut self,
        token: TokenKey,
        reason: Reason,
        freshness: Freshness,
        now: Timestamp,
    ) {
        let max = self.settings.inactive_ttl.min(self.settings.max_ttl);
        let time_to_live = TimeToLive { max, despite_no_store: self.settings.no_store_ttl };
        if let Some(ttl) = time_to_live.of(freshness, None, now) {
            self.inactive.insert(token, reason, now.plus(ttl));
        }
    }

    /// Whether this worker should refresh the entry of a token, for which a refresh is due. A newer entry of another worker is adopted
    /// instead. Either way, the worker does not check again for as long as a refresh may take.
    pub(crate) fn needs_refresh(
        &mut self,
        token: &TokenKey,
        token_info: &TokenInfo,
        patience: Duration,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        token_info.schedule_refresh(Some(now.plus(patience)));
        let Some(slots) = &self.slots else { return true };
        match slots.read(token, now, shared) {
            Some(entry) if entry.lifetime.fresh_until > token_info.lifetime().fresh_until => {
                self.adopt(token, entry, now);
                false
            }
            None if slots.is_revoked(token, shared) => {
                self.local.remove(token.local());
                true
            }
            _ => true,
        }
    }

    /// Claims the refresh of a token for this worker, for as long as it may take. Returns `false` if another worker has claimed it.
    pub(crate) fn claim_refresh(
        &self,
        token: &TokenKey,
        patience: Duration,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        let slots = self.slots.as_ref();
        slots.is_none_or(|slots| slots.claim_refresh(token, now, now.plus(patience), shared))
    }

    /// Whether this worker has seen the token active, and no response since that refuses it.
    pub(crate) fn knows(&self, token: &TokenKey) -> bool {
        self.local.knows(token.local())
    }

    /// Adopts the entry of another worker.
    fn adopt(&mut self, token: &TokenKey, entry: Entry, now: Timestamp) -> Rc<TokenInfo> {
        let token_info = entry.into_token_info(*token, &self.forwarding);
        let end = token_info.claims().validity().expires;
        let token_info = Rc::new(self.scheduled(token_info, end, now));
        self.local.insert(*token.local(), Rc::clone(&token_info));
        token_info
    }

    /// Schedules the refresh of an entry, unless it would be of no use: a self-contained token is verified again when its entry expires,
    /// without introspection, and a refresh cannot extend an entry past the `end` of its token.
    fn scheduled(&self, token_info: TokenInfo, end: Option<Timestamp>, now: Timestamp) -> TokenInfo {
        let can_be_refreshed = end.is_none_or(|end| token_info.lifetime().fresh_until < end);
        if can_be_refreshed && !token_info.is_self_contained() {
            token_info.schedule_refresh(token_info.lifetime().refresh_at(self.settings.refresh_ahead, now));
        }
        token_info
    }

    fn lifetime(&self, freshness: Freshness, end: Option<Timestamp>, now: Timestamp) -> Option<Lifetime> {
        let CacheSettings { max_ttl, no_store_ttl, stale_if_error, .. } = self.settings;
        let time_to_live = TimeToLive { max: max_ttl, despite_no_store: no_store_ttl };
        let fresh_until = now.plus(time_to_live.of(freshness, end, now)?);
        let stale = if freshness.allows_stale() { stale_if_error } else { Duration::ZERO };
        let usable_until = fresh_until.plus(stale);
        Some(Lifetime { fresh_until, usable_until: end.map_or(usable_until, |end| usable_until.min(end)) })
    }
}
