//! The keys that verify the signatures of one authorization server.

use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::host::{Host, NoSharedData, SharedData};
use crate::jwt::{Jws, KeySet};
use crate::server::jwks::{KeyStore, Obstacle};
use crate::settings::{KeySettings, ServerSettings, Settings};
use crate::time::Timestamp;

/// The source of the keys.
pub(super) enum Keys {
    /// No keys: no signature is accepted.
    Absent,
    /// Keys in the configuration.
    Configured(Arc<KeySet>),
    /// Keys that the server publishes.
    Published(Box<PublishedKeySet>),
}

/// Published keys.
pub(super) struct PublishedKeySet {
    pub(super) store: KeyStore,
    /// Whether workers share the keys in the host's shared data: some hosts lack it and trap on access.
    pub(super) is_shared: bool,
}

impl Keys {
    /// Starts without published keys: only configured keys are available at once.
    pub(super) fn new(settings: &ServerSettings, all: &Settings) -> Self {
        match &settings.keys {
            None => Self::Absent,
            Some(KeySettings::Configured(keys)) => Self::Configured(Arc::clone(keys)),
            Some(KeySettings::Published(keys)) => {
                let has_background = !all.cache.refresh_ahead.is_zero();
                let identity = settings.keys_fingerprint(keys);
                let store = KeyStore::new(keys.clone(), identity, has_background);
                Self::Published(Box::new(PublishedKeySet { store, is_shared: all.cache.shared }))
            }
        }
    }

    /// Returns the published keys. Returns `None` if the server publishes none.
    pub(super) fn published(&mut self) -> Option<&mut PublishedKeySet> {
        match self {
            Self::Published(keys) => Some(keys),
            Self::Absent | Self::Configured(_) => None,
        }
    }

    /// Whether newer keys are due to be fetched in the background.
    pub(super) fn is_refresh_due(&self, now: Timestamp) -> bool {
        matches!(self, Self::Published(keys) if keys.store.is_refresh_due(now))
    }

    /// Whether what this key verified is still valid: the server still publishes the key, or no published key was needed.
    pub(super) fn counts(&self, verified_by: Option<&Fingerprint>, now: Timestamp) -> bool {
        match (verified_by, self) {
            (None, _) => true,
            (Some(key), Self::Published(keys)) => keys.store.has(key, now),
            (Some(_), Self::Absent | Self::Configured(_)) => false,
        }
    }

    /// Like `counts`, for a key that another worker used: that worker may have fetched newer keys.
    pub(super) fn counts_elsewhere(&mut self, verified_by: Option<&Fingerprint>, host: Host<'_>) -> bool {
        match (verified_by, self) {
            (Some(key), Self::Published(keys)) => {
                let shared_data = keys.shared_data(host);
                keys.store.has_here_or_shared(key, host.now, shared_data)
            }
            (key, _) => key.is_none(),
        }
    }

    /// Verifies a signature. Returns the fingerprint of the key if it is a published one, which its server can withdraw.
    ///
    /// # Errors
    /// The cause of the failure: with `may_fetch`, `Obstacle::Missing` if fetching keys may help.
    pub(super) fn verify(
        &mut self,
        jws: &Jws<'_>,
        may_fetch: bool,
        host: Host<'_>,
    ) -> Result<Option<Fingerprint>, Obstacle> {
        match self {
            Self::Absent => Err(Obstacle::Refused),
            Self::Configured(keys) => keys.verify(jws).map(|_| None).map_err(|_| Obstacle::Refused),
            Self::Published(keys) => {
                let shared_data = keys.shared_data(host);
                keys.store.verify(jws, may_fetch, host.now, shared_data).map(Some)
            }
        }
    }
}

impl PublishedKeySet {
    /// Returns the host's shared data, or [`NoSharedData`] if workers do not share the keys.
    pub(super) fn shared_data<'h>(&self, host: Host<'h>) -> &'h dyn SharedData {
        if self.is_shared { host.shared_data } else { &NoSharedData }
    }
}
