//! Tokens that are inactive (R54), or active but not usable as access tokens (R128). They have a cache of their own, so that a flood of
//! them displaces no entries, and each worker has its own, so that a flood writes no shared data.

use std::hash::BuildHasherDefault;
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache as QuickCache, DefaultLifecycle};

use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token_key::{DigestPrefix, TokenKey};

/// A bounded set of tokens, each with the reason why it is refused.
pub(super) struct InactiveTokens {
    tokens: QuickCache<TokenKey, Refusal, UnitWeighter, BuildHasherDefault<DigestPrefix>>,
}

/// Why a token is refused, and until when that is known.
#[derive(Clone, Copy)]
struct Refusal {
    reason: Reason,
    end: Timestamp,
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
    /// Returns why a token is refused, if that is known. No refusal is known for longer than `max_ttl`, even if the clock is set back.
    pub(super) fn find(&self, token: &TokenKey, now: Timestamp, max_ttl: Duration) -> Option<Reason> {
        let Refusal { reason, end } = self.tokens.get(token)?;
        (now < *end && *end <= now.plus(max_ttl)).then_some(*reason)
    }

    /// Forgets the refusal of a token that the server has called active since.
    pub(super) fn remove(&mut self, token: &TokenKey) {
        self.tokens.remove(token);
    }

    /// Stores the reason why a token is refused, until `end`.
    pub(super) fn insert(&mut self, token: TokenKey, reason: Reason, end: Timestamp) {
        self.tokens.insert(token, Refusal { reason, end });
    }
}

/// Large enough to remember a client that retries its dead token again and again; about 100 bytes each.
const MAX_TOKENS: usize = 4096;
