//! The secrets that Envoy delivers to one configuration through its secret discovery service, and rotates.

use std::sync::{Mutex, MutexGuard, PoisonError};

use phantom_token_core::SdsSecret;

use crate::abi::SecretId;
use crate::host::ConfigHandle;

/// Shows the secrets as Envoy has them now, borrowed from Envoy.
pub(crate) trait SecretView {
    /// The value, or `None` if it has not arrived.
    fn secret(&self, id: SecretId) -> Option<&[u8]>;
}

/// The secrets of a configuration.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Vec<Subscription>>);

struct Subscription {
    secret: SdsSecret,
    id: SecretId,
    /// The value with which the configuration was last read.
    value: Option<Vec<u8>>,
}

impl Secrets {
    /// Subscribes to a secret, once, and returns its value if it has arrived. Only possible while the configuration is being created.
    ///
    /// # Errors
    /// The reason why Envoy refuses the subscription, or that the value is not UTF-8.
    pub(crate) fn subscribe(
        &self,
        handle: &ConfigHandle<'_>,
        secret: &SdsSecret,
    ) -> Result<Option<String>, &'static str> {
        let mut all = self.all();
        if all.iter().all(|one| one.secret != *secret) {
            let id = handle.subscribe(secret)?;
            all.push(Subscription {
                secret: secret.clone(),
                id,
                value: handle.secret(id).map(<[u8]>::to_vec),
            });
        }
        drop(all);
        self.value(secret)
    }

    /// Returns a secret as of the last check.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub(crate) fn value(&self, secret: &SdsSecret) -> Result<Option<String>, &'static str> {
        let value = self.all().iter().find(|one| one.secret == *secret).and_then(|one| one.value.clone());
        value.map(String::from_utf8).transpose().map_err(|_| "is delivered with bytes that are no text")
    }

    /// Checks all secrets, and returns whether one has changed.
    pub(crate) fn look(&self, view: &impl SecretView) -> bool {
        let mut has_changed = false;
        for one in self.all().iter_mut() {
            let value = view.secret(one.id);
            if value != one.value.as_deref() {
                one.value = value.map(<[u8]>::to_vec);
                has_changed = true;
            }
        }
        has_changed
    }

    /// Returns the names of the secrets that have not arrived.
    pub(crate) fn awaited(&self) -> Vec<String> {
        let all = self.all();
        all.iter().filter(|one| one.value.is_none()).map(|one| one.secret.name.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
