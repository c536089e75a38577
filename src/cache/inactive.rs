//! Tokens that the authorization server said are not active (R54). They have a room of their own, so that a flood of them takes
//! nothing from the grants, and are known to one worker alone, so that it writes nothing for others.

use std::hash::BuildHasherDefault;
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache as QuickCache, DefaultLifecycle};

use super::key::{DigestPrefix, TokenKey};
use crate::time::Timestamp;

/// A bounded set of tokens, each with the end of its time.
pub(super) struct InactiveTokens {
    tokens: QuickCache<TokenKey, Timestamp, UnitWeighter, BuildHasherDefault<DigestPrefix>>,
}

impl Default for InactiveTokens {
    fn default() -> Self {
        let tokens = QuickCache::with(
            MAX_TOKENS,
            MAX_TOKENS as u64,
            UnitWeighter,
            BuildHasherDefault::default(),
            DefaultLifecycle::default(),
        );
        Self { tokens }
    }
}

impl InactiveTokens {
    /// Whether a token is known not to be active. Nothing is known for longer than `max_ttl`, should the clock go back.
    pub(super) fn has(&self, token: &TokenKey, now: Timestamp, max_ttl: Duration) -> bool {
        self.tokens.get(token).is_some_and(|end| now < *end && *end <= now.plus(max_ttl))
    }

    /// The server says otherwise.
    pub(super) fn remove(&mut self, token: &TokenKey) {
        self.tokens.remove(token);
    }

    /// Keeps a token until then.
    pub(super) fn insert(&mut self, token: TokenKey, end: Timestamp) {
        self.tokens.insert(token, end);
    }
}

/// So many that a client which tries its dead token again and again is remembered; about 100 bytes each.
const MAX_TOKENS: usize = 4096;
