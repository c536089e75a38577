//! The cache of what the authorization server said (RFC 7662 §4), in two levels: one in the VM of each worker, which
//! holds grants ready to use, and the host's shared data, which all workers see. No verdict is cached: each hit is
//! validated for its own request (R53).

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
use crate::grant::Grant;
use crate::host::SharedData;
use crate::http::freshness::{Freshness, TimeToLive};
use crate::http::lifetime::Lifetime;
use crate::metrics::Counter;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::active_token::ActiveToken;
use crate::token_key::TokenKey;
use crate::upstream::headers::Forwarding;
use entry::Entry;
use inactive::InactiveTokens;
use local::LocalCache;
use shared::Slots;

/// Both levels.
pub(crate) struct Cache {
    settings: CacheSettings,
    local: LocalCache,
    inactive: InactiveTokens,
    slots: Option<Slots>,
    forwarding: Arc<Forwarding>,
}

/// In which level a grant was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// In the VM.
    Local,
    /// In the host's shared data.
    Shared,
}

impl Level {
    /// What counts the grants that are found there.
    pub(crate) fn counter(self) -> Counter {
        match self {
            Self::Local => Counter::CacheHitLocal,
            Self::Shared => Counter::CacheHitShared,
        }
    }
}

impl Cache {
    /// An empty cache, for answers that were got as `fingerprint` says, of which grants are made for this `forwarding`.
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

    /// The fresh grant of a token in the level of this worker.
    pub(crate) fn find_local(&mut self, token: &TokenKey, now: Timestamp) -> Option<Rc<Grant>> {
        self.local.find(token, now).filter(|grant| grant.lifetime().is_fresh(now))
    }

    /// The fresh grant of a token in the level of all workers, if the key that verified it `counts`.
    pub(crate) fn find_shared(
        &mut self,
        token: &TokenKey,
        counts: impl FnOnce(Option<&Fingerprint>) -> bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Option<Rc<Grant>> {
        if self.refusal(token, now).is_some() {
            return None;
        }
        let entry = self.slots.as_ref()?.read(token, now, shared)?;
        let is_found = entry.lifetime.is_fresh(now) && counts(entry.verified_by.as_ref());
        is_found.then(|| self.adopt(token, entry, now))
    }

    /// The grant of a token that serves while its server does not, if the key that verified it `counts`.
    pub(crate) fn find_usable(
        &mut self,
        token: &TokenKey,
        counts: impl Fn(Option<&Fingerprint>) -> bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Option<Rc<Grant>> {
        if self.slots.as_ref().is_some_and(|slots| slots.is_revoked(token, shared)) {
            self.local.remove(token);
        }
        let local = self.local.find(token, now).filter(|grant| counts(grant.verified_by()));
        local.or_else(|| {
            let entry = self.slots.as_ref()?.read(token, now, shared)?;
            counts(entry.verified_by.as_ref()).then(|| self.adopt(token, entry, now))
        })
    }

    /// How full the level in the VM is.
    pub(crate) fn occupancy(&self) -> Occupancy {
        self.local.occupancy()
    }

    /// Why a token is refused, if the server has said so lately.
    pub(crate) fn refusal(&self, token: &TokenKey, now: Timestamp) -> Option<Reason> {
        self.inactive.find(token, now, self.settings.inactive_ttl)
    }

    /// Makes the grant of an active token, and keeps it in both levels as long as freshness and expiry allow.
    pub(crate) fn keep(
        &mut self,
        token: TokenKey,
        active: &ActiveToken,
        verified_by: Option<Fingerprint>,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Rc<Grant> {
        let ActiveToken { source, claims, freshness } = active;
        let end = claims.validity().expires;
        let lifetime = self.lifetime(*freshness, end, now);
        let grant = Grant::new(
            token,
            source.jwt(),
            claims.clone(),
            source.is_presented(),
            verified_by,
            &self.forwarding,
            lifetime.unwrap_or(Lifetime::NONE),
        );
        let grant = Rc::new(self.scheduled(grant, end, now));
        self.inactive.remove(&token);
        match (lifetime, &self.slots) {
            // An older answer, which may say more, must not outlive this one.
            (None, _) => self.forget(&token, shared),
            (Some(_), slots) => {
                if let Some(slots) = slots {
                    slots.write(&token, &Entry::of(&grant), shared);
                }
                self.local.insert(token, Rc::clone(&grant));
            }
        }
        grant
    }

    /// Forgets a token that the server does not stand by any more.
    pub(crate) fn forget(&mut self, token: &TokenKey, shared: &dyn SharedData) {
        let was_known = self.local.remove(token);
        if let Some(slots) = &self.slots {
            slots.revoke(token, was_known, shared);
        }
    }

    /// Notes why a token is refused, for as long as HTTP and the operator allow (R54).
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

    /// Whether the grant of this token is to be refreshed, which is due. This worker does not ask itself that again for as long as a
    /// refresh may take; a newer entry of another worker does as well.
    pub(crate) fn needs_refresh(
        &mut self,
        token: &TokenKey,
        grant: &Grant,
        patience: Duration,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        grant.schedule_renewal(Some(now.plus(patience)));
        let Some(slots) = &self.slots else { return true };
        match slots.read(token, now, shared) {
            Some(entry) if entry.lifetime.fresh_until > grant.lifetime().fresh_until => {
                self.adopt(token, entry, now);
                false
            }
            None if slots.is_revoked(token, shared) => {
                self.local.remove(token);
                true
            }
            _ => true,
        }
    }

    /// Claims the refresh of a token for this worker, for as long as it may take. Whether no other worker has it.
    pub(crate) fn claim_refresh(
        &self,
        token: &TokenKey,
        patience: Duration,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        let slots = self.slots.as_ref();
        slots.is_none_or(|slots| slots.claim_renewal(token, now, now.plus(patience), shared))
    }

    /// Whether this worker has seen the token active, and no answer since that it is not.
    pub(crate) fn knows(&self, token: &TokenKey) -> bool {
        self.local.knows(token)
    }

    /// Makes the grant of another worker's entry, and keeps it.
    fn adopt(&mut self, token: &TokenKey, entry: Entry, now: Timestamp) -> Rc<Grant> {
        let grant = entry.into_grant(*token, &self.forwarding);
        let end = grant.claims().validity().expires;
        let grant = Rc::new(self.scheduled(grant, end, now));
        self.local.insert(*token, Rc::clone(&grant));
        grant
    }

    /// What is kept as it is, is verified anew when it ends, which asks nobody; and to ask sooner does not put off the `end` of the
    /// token.
    fn scheduled(&self, grant: Grant, end: Option<Timestamp>, now: Timestamp) -> Grant {
        let can_be_renewed = end.is_none_or(|end| grant.lifetime().fresh_until < end);
        if can_be_renewed && !grant.is_self_contained() {
            grant.schedule_renewal(grant.lifetime().renewal(self.settings.refresh_ahead, now));
        }
        grant
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
