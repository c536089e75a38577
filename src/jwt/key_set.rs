//! A JWK Set (RFC 7517 §5) and what it verifies.

use serde_json::Value;

use super::algorithm::Algorithm;
use super::jws::Jws;
use super::key::Key;
use crate::fingerprint::Fingerprint;
use crate::json::Object;
use crate::secret::Secret;

/// Keys of one issuer, and the algorithms that may be used with them.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    algorithms: Vec<Algorithm>,
    unusable: Vec<UnusableKey>,
}

/// A key of a set that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its `kid`, if that is a string. It comes from outside.
    pub kid: Option<String>,
    /// Why it is left out, in a fixed text.
    pub reason: &'static str,
}

/// Why a signature is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// No key of the set has the signature's `kid`, and no other key verifies it; a newer set may have the key.
    UnknownKey,
    /// The signature is wrong, or its algorithm is not allowed or does not fit the key.
    Refused,
}

/// The text is not a JWK Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoKeySet;

impl KeySet {
    /// Reads a JWK Set. Unusable keys are left out, as RFC 7517 §5 requires.
    ///
    /// # Errors
    /// [`NoKeySet`] if `keys` is not a list. An empty list is a set: its issuer has withdrawn its keys.
    pub(crate) fn parse(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, NoKeySet> {
        let set = Object::parse(text).map_err(|_| NoKeySet)?;
        let published = set.get("keys").and_then(Value::as_array).ok_or(NoKeySet)?;
        let mut set = Self { keys: Vec::new(), algorithms: algorithms.to_vec(), unusable: Vec::new() };
        for (index, value) in published.iter().enumerate() {
            match set.read(value) {
                Ok(key) => set.keys.push(key),
                Err(reason) => {
                    let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
                    set.unusable.push(UnusableKey { index, kid, reason });
                }
            }
        }
        Ok(set)
    }

    fn read(&self, value: &Value) -> Result<Key, &'static str> {
        let key = Key::read(&Object::of(value).ok_or("no JSON object")?)?;
        if !self.algorithms.iter().any(|algorithm| key.fits(*algorithm)) {
            return Err("it fits no algorithm of keys.algorithms");
        }
        if self.keys.len() < MAX_KEYS { Ok(key) } else { Err("more than 256 keys are there") }
    }

    /// The keys that are left out, and why.
    pub fn unusable_keys(&self) -> &[UnusableKey] {
        &self.unusable
    }

    /// The number of usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set has the key with this fingerprint.
    pub(crate) fn has(&self, key: &Fingerprint) -> bool {
        self.keys.iter().any(|own| own.fingerprint() == key)
    }

    /// Whether the set has no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The set of one shared secret, for HS256; `None` if the secret has less than 256 bits (R73).
    pub(crate) fn of_secret(secret: &Secret) -> Option<Self> {
        let is_strong = secret.expose().len() >= 32;
        is_strong.then(|| Self {
            keys: vec![Key::secret(secret)],
            algorithms: vec![Algorithm::Hs256],
            unusable: Vec::new(),
        })
    }

    /// A digest of the keys and algorithms, whatever the order of the keys. A `Debug` print would not distinguish all keys: one of them may
    /// be a secret.
    pub(crate) fn digest(&self) -> Fingerprint {
        let mut keys: Vec<String> = self.keys.iter().map(Key::identity).collect();
        keys.sort_unstable();
        let algorithms = self.algorithms.iter().map(|algorithm| algorithm.name());
        Fingerprint::of(&keys.iter().map(String::as_str).chain(algorithms).collect::<Vec<_>>())
    }

    /// Verifies a signature; returns the fingerprint of the key that does. Keys in the JWT itself (`jku`, `x5u`, `jwk`, `x5c`)
    /// are ignored (R62). Its `kid` is a hint (RFC 7515 §4.1.4): keys with that `kid` are tried first, then those without one;
    /// if the JWT has none, all. Of these, only a few that fit its algorithm are tried (R63).
    ///
    /// # Errors
    /// Why the signature is not verified.
    pub(crate) fn verify(&self, jws: &Jws<'_>) -> Result<Fingerprint, Unverified> {
        let algorithm = Algorithm::named(jws.algorithm()).filter(|one| self.algorithms.contains(one));
        let algorithm = algorithm.ok_or(Unverified::Refused)?;
        let (message, signature) = jws.signed();
        let verifies = |key: &Key| {
            let is_verified = key.verifies(algorithm, message, signature);
            if !is_verified {
                jws.note_failed_verification(key.cost());
            }
            is_verified
        };
        let id = jws.key_id();
        let named = self.keys.iter().filter(|key| id.is_some() && key.id() == id);
        let nameless = self.keys.iter().filter(|key| id.is_none() || key.id().is_none());
        let is_known = named.clone().next().is_some();
        let mut fitting = named.chain(nameless).filter(|key| key.fits(algorithm)).take(MAX_ATTEMPTS);
        match fitting.find(|key| verifies(key)) {
            Some(key) => Ok(*key.fingerprint()),
            None => Err(if is_known { Unverified::Refused } else { Unverified::UnknownKey }),
        }
    }
}

/// More keys than any issuer has at one time.
const MAX_KEYS: usize = 256;

/// How many keys are tried for one signature.
const MAX_ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests;
