//! Fingerprints identify what was created under the same configuration (R52).
//!
//! The relevant fields are fed to the hash explicitly, one by one, never by way of their `Debug` output.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// SHA-256 of everything that affects the authorization server's responses and how long they are cached. Entries of another
/// configuration, earlier or concurrent, do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Values whose identity can be part of a fingerprint.
pub trait Identity {
    /// Feeds the value to the hash. Values that differ feed different bytes, and none is a prefix of the other.
    fn feed(&self, hasher: &mut FingerprintHasher);
}

/// Hashes values one after another, and keeps their boundaries distinct.
pub struct FingerprintHasher(Sha256);

/// Declares for each field of a struct whether it is part of the struct's identity. A new field does not compile until it is declared.
macro_rules! identity {
    ($($type:ident { $($part:ident),+ } without { $($other:ident),* },)+) => {$(
        impl $crate::fingerprint::Identity for $type {
            fn feed(&self, hasher: &mut $crate::fingerprint::FingerprintHasher) {
                let Self { $($part,)+ $($other: _,)* } = self;
                $($part.feed(hasher);)+
            }
        }
    )+};
}

pub(crate) use identity;

impl Fingerprint {
    /// Computes the fingerprint of a value.
    pub fn of<T: Identity + ?Sized>(facts: &T) -> Self {
        let mut hasher = FingerprintHasher(Sha256::new());
        facts.feed(&mut hasher);
        Self(hasher.0.finalize().into())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FingerprintHasher {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }
}

impl Identity for str {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.part(self.as_bytes());
    }
}

impl Identity for String {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.as_str().feed(hasher);
    }
}

impl Identity for Secret {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.expose().feed(hasher);
    }
}

impl Identity for Fingerprint {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.part(&self.0);
    }
}

impl Identity for bool {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.number(u64::from(*self));
    }
}

impl Identity for usize {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.number(*self as u64);
    }
}

impl Identity for Duration {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.number(self.as_secs());
        hasher.number(u64::from(self.subsec_nanos()));
    }
}

impl<T: Identity> Identity for Option<T> {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.as_slice().feed(hasher);
    }
}

impl<T: Identity> Identity for [T] {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        hasher.number(self.len() as u64);
        self.iter().for_each(|element| element.feed(hasher));
    }
}

impl<T: Identity, const N: usize> Identity for [T; N] {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.as_slice().feed(hasher);
    }
}

impl<T: Identity> Identity for Vec<T> {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.as_slice().feed(hasher);
    }
}

impl<A: Identity, B: Identity> Identity for (A, B) {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.0.feed(hasher);
        self.1.feed(hasher);
    }
}

macro_rules! identity_behind {
    ($($pointer:ty),+) => {$(
        impl<T: Identity + ?Sized> Identity for $pointer {
            fn feed(&self, hasher: &mut FingerprintHasher) {
                (**self).feed(hasher);
            }
        }
    )+};
}

identity_behind!(&T, Rc<T>, Arc<T>);
