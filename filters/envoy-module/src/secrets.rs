//! The secrets that Envoy delivers to one configuration by its secret discovery service, and rotates.

use std::sync::{Mutex, MutexGuard, PoisonError};

use phantom_token_core::SdsSecret;

use crate::abi::SecretId;
use crate::host::ConfigHandle;

/// Shows the secrets as Envoy has them now: as bytes, as it lends them.
pub(crate) trait SecretView {
    /// The value; none, if it has not come.
    fn secret(&self, id: SecretId) -> Option<&[u8]>;
}

/// The secrets of a configuration.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Vec<Subscription>>);

struct Subscription {
    secret: SdsSecret,
    id: SecretId,
    /// What the configuration was read with.
    value: Option<Vec<u8>>,
}

impl Secrets {
    /// Asks Envoy for a secret, once, and reads it, if it is there. Only a new configuration can.
    ///
    /// # Errors
    /// Why Envoy will not have it.
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

    /// A secret as it was when it was last looked at.
    ///
    /// # Errors
    /// It is no text.
    pub(crate) fn value(&self, secret: &SdsSecret) -> Result<Option<String>, &'static str> {
        let value = self.all().iter().find(|one| one.secret == *secret).and_then(|one| one.value.clone());
        value.map(String::from_utf8).transpose().map_err(|_| "is delivered with bytes that are no text")
    }

    /// Looks at all. Whether one is another than before.
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

    /// The names of those that have not come.
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
