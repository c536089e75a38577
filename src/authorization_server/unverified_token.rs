//! What was said of an active token, before its signature is verified.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::active_token::ActiveToken;
use crate::token::claims::Claims;
use crate::token_info::TokenInfo;
use crate::token_key::TokenKey;

/// What speaks for an active token, once its signature is verified. All requests with that token share it, and one of them
/// verifies for all.
pub struct UnverifiedToken {
    token: TokenKey,
    pub(super) active: ActiveToken,
    /// When it was said.
    pub(super) at: Timestamp,
    pub(super) token_info: OnceCell<Result<Rc<TokenInfo>, Reason>>,
    /// Why it does not count any more: the server has said so since.
    pub(super) withdrawn: Cell<Option<Reason>>,
}

/// The tokens whose requests wait for keys, as long as they do.
#[derive(Default)]
pub(super) struct UnverifiedTokens(BTreeMap<TokenKey, Vec<Weak<UnverifiedToken>>>);

impl UnverifiedToken {
    pub(super) fn new(token: TokenKey, active: ActiveToken, at: Timestamp) -> Self {
        Self { token, active, at, token_info: OnceCell::new(), withdrawn: Cell::new(None) }
    }

    /// Its key.
    pub(crate) fn token(&self) -> &TokenKey {
        &self.token
    }

    /// The claims, not verified.
    pub(crate) fn claims(&self) -> &Claims {
        &self.active.claims
    }

    /// Why it is refused if its signature is not good.
    pub(super) fn refusal(&self) -> Reason {
        self.active.source.refusal()
    }
}

impl UnverifiedTokens {
    /// The last that waits for keys, for another request with the token to join.
    pub(super) fn find(&self, token: &TokenKey) -> Option<Rc<UnverifiedToken>> {
        let mut waiting = self.0.get(token).into_iter().flatten().rev().filter_map(Weak::upgrade);
        waiting.find(|one| one.token_info.get().is_none())
    }

    /// Its requests wait for keys.
    pub(super) fn insert(&mut self, unverified_token: &Rc<UnverifiedToken>) {
        self.0.retain(|_, waiting| {
            waiting.retain(|one| one.strong_count() > 0);
            !waiting.is_empty()
        });
        self.0.entry(*unverified_token.token()).or_default().push(Rc::downgrade(unverified_token));
    }

    /// The server says since that the token does not count.
    pub(super) fn withdraw(&mut self, token: &TokenKey, reason: Reason) {
        for waiting in self.0.remove(token).iter().flatten().filter_map(Weak::upgrade) {
            waiting.withdrawn.set(Some(reason));
        }
    }
}
