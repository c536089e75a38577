//! The identifier of an access token where the token itself must not appear: in caches, logs and marks in shared data (R52).

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// The SHA-256 of an access token, and its local key at one worker. The token itself is never a key. Keys of the same token are equal,
/// whichever workers made them.
#[derive(Clone, Copy)]
pub struct TokenKey {
    digest: [u8; 32],
    local: LocalKey,
}

/// The identifier of a token in the memory of one worker: 128 bits of a keyed hash, which takes a sixth of the time of a digest. Without
/// the token, another with the same bits cannot be found, whether or not the hash is secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalKey([u64; 2]);

/// Makes the [`LocalKey`]s of one worker.
#[derive(Clone, Copy, Default)]
pub(crate) struct LocalKeys([u8; 16]);

/// The key of a token that a request presents. Its digest is computed on demand: a cached token is found without it.
pub(crate) struct PresentedKey<'t> {
    token: &'t str,
    local: LocalKey,
    key: OnceCell<TokenKey>,
}

impl LocalKeys {
    /// The keys of a worker that has drawn these random bytes.
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// The key of a token.
    pub(crate) fn key_of<'t>(&self, token: &'t str) -> PresentedKey<'t> {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(token.as_bytes());
        let Hash128 { h1, h2 } = hasher.finish128();
        PresentedKey { token, local: LocalKey([h1, h2]), key: OnceCell::new() }
    }
}

impl PresentedKey<'_> {
    pub(crate) fn local(&self) -> &LocalKey {
        &self.local
    }

    pub(crate) fn get(&self) -> TokenKey {
        let digest = || TokenKey { digest: Sha256::digest(self.token).into(), local: self.local };
        *self.key.get_or_init(digest)
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for TokenKey {}

impl PartialOrd for TokenKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TokenKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digest.cmp(&other.digest)
    }
}

impl TokenKey {
    /// The key of a token in tests, where all workers have the same local keys.
    #[cfg(test)]
    pub(crate) fn of(token: &str) -> Self {
        LocalKeys::default().key_of(token).get()
    }

    /// A key of these bytes.
    #[cfg(test)]
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { digest: bytes, local: LocalKey([0; 2]) }
    }

    pub(crate) fn local(&self) -> &LocalKey {
        &self.local
    }

    /// A tag for the token in logs, which reveals nothing without `key`.
    ///
    /// Eight hexadecimal digits of HMAC-SHA256.
    pub fn tag(&self, key: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
        mac.update(&self.digest);
        let [a, b, c, d, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The first 64 bits of the digest, which are as evenly spread as the whole.
    pub(crate) fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.prefix());
    }
}

impl Hash for LocalKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self([bits, _]) = self;
        state.write_u64(*bits);
    }
}

/// Hashes a token's key by its first 64 bits: it is a hash already, so they are as good as any.
#[derive(Default)]
pub(crate) struct DigestPrefix(u64);

impl Hasher for DigestPrefix {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests;
