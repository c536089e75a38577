//! The cache of what the authorization server said (RFC 7662 §4), in two levels: one in the VM of each worker, which
//! holds grants ready to use, and the host's shared data, which all workers see. No verdict is cached: each hit is
//! validated for its own request (R53).

mod entry;
mod freshness;
mod key;
mod local;
mod shared;

use std::rc::Rc;
use std::time::Duration;

pub(crate) use freshness::Freshness;
pub use key::{Fingerprint, TokenKey};
pub use shared::{NoSharedData, SharedData};

use crate::forwarding::Forwarding;
use crate::grant::Grant;
use crate::introspection::{ActiveToken, Signature};
use crate::time::Timestamp;
use entry::Entry;
use freshness::TimeToLive;
use local::LocalCache;
use shared::Slots;

/// How much is kept, for how long, and where.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Entries in each level.
    pub max_entries: usize,
    /// Bytes in the level of each worker.
    pub max_bytes: usize,
    /// The longest time to live; zero turns the cache off.
    pub max_ttl: Duration,
    /// The time to live of an answer that HTTP forbids to store, if that is overridden (R51).
    pub no_store_ttl: Option<Duration>,
    /// Whether the host's shared data is used.
    pub shared: bool,
}

/// Both levels.
pub(crate) struct Cache {
    time_to_live: TimeToLive,
    local: LocalCache,
    slots: Option<Slots>,
    fingerprint: Fingerprint,
    keys: Option<Fingerprint>,
    forwarding: Rc<Forwarding>,
    bounds: (usize, usize),
}

/// In which level a grant was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// In the VM.
    Local,
    /// In the host's shared data.
    Shared,
}

impl Cache {
    /// An empty cache, for answers that were got as `fingerprint` says, of which grants are made for this `forwarding`.
    pub(crate) fn new(
        settings: &CacheSettings,
        fingerprint: Fingerprint,
        forwarding: Rc<Forwarding>,
    ) -> Self {
        let slots = settings.shared.then(|| Slots::new(settings.max_entries, fingerprint, settings.max_ttl));
        let bounds = (settings.max_entries, settings.max_bytes);
        Self {
            time_to_live: TimeToLive { max: settings.max_ttl, despite_no_store: settings.no_store_ttl },
            local: LocalCache::new(settings.max_entries, settings.max_bytes),
            slots,
            fingerprint,
            keys: None,
            forwarding,
            bounds,
        }
    }

    /// Forgets what was verified by other keys than these: they may have been removed for a reason (R66).
    pub(crate) fn follow(&mut self, keys: Option<Fingerprint>) {
        let Some(digest) = keys.filter(|_| self.keys != keys) else { return };
        let (max_entries, max_bytes) = self.bounds;
        self.keys = keys;
        self.local = LocalCache::new(max_entries, max_bytes);
        if let Some(slots) = &mut self.slots {
            slots.belong_to(self.fingerprint.with(&digest));
        }
    }

    /// The fresh grant of a token.
    pub(crate) fn find(
        &mut self,
        token: &TokenKey,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Option<(Rc<Grant>, Level)> {
        if let Some(grant) = self.local.find(token, now) {
            return Some((grant, Level::Local));
        }
        let entry = self.slots.as_ref()?.read(token, now, shared)?;
        let grant = Rc::new(entry.into_grant(&self.forwarding));
        self.local.insert(*token, Rc::clone(&grant));
        Some((grant, Level::Shared))
    }

    /// Makes the grant of an active token, and keeps it in both levels as long as freshness, expiry and `limit` allow.
    pub(crate) fn keep(
        &mut self,
        token: TokenKey,
        active: &ActiveToken,
        limit: Option<Timestamp>,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Rc<Grant> {
        let end = [active.claims.validity().expires, limit].into_iter().flatten().min();
        let ttl = self.time_to_live.of(active.freshness, end, now);
        let ActiveToken { jwt, claims, signature, .. } = active;
        let is_self_contained = matches!(signature, Signature::Presented);
        let fresh_until = ttl.map(|ttl| now.plus(ttl));
        let grant =
            Grant::new(jwt.as_deref(), claims.clone(), is_self_contained, &self.forwarding, fresh_until);
        let grant = Rc::new(grant);
        if ttl.is_some() {
            if let Some(slots) = &self.slots {
                slots.write(&token, &Entry::of(&grant), shared);
            }
            self.local.insert(token, Rc::clone(&grant));
        }
        grant
    }
}
