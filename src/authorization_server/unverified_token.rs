//! An active token whose signature is not verified yet.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::active_token::ActiveToken;
use crate::token::claims::Claims;
use crate::token_info::TokenInfo;
use crate::token_key::TokenKey;

/// An active token before its signature is verified. All requests with that token share it, and one of them verifies it for all.
pub struct UnverifiedToken {
    token: TokenKey,
    pub(super) active: ActiveToken,
    /// When the claims were received.
    pub(super) at: Timestamp,
    pub(super) token_info: OnceCell<Result<Rc<TokenInfo>, Reason>>,
    /// Why the token is refused, if the server has refused it since.
    pub(super) withdrawn: Cell<Option<Reason>>,
}

/// The tokens whose requests wait for keys, each dropped with its last request.
#[derive(Default)]
pub(super) struct UnverifiedTokens(BTreeMap<TokenKey, Vec<Weak<UnverifiedToken>>>);

impl UnverifiedToken {
    pub(super) fn new(token: TokenKey, active: ActiveToken, at: Timestamp) -> Self {
        Self { token, active, at, token_info: OnceCell::new(), withdrawn: Cell::new(None) }
    }

    /// Returns the key of the token.
    pub(crate) fn token(&self) -> &TokenKey {
        &self.token
    }

    /// Returns the claims, which are not verified.
    pub(crate) fn claims(&self) -> &Claims {
        &self.active.claims
    }

    /// Returns the reason to refuse the token if its signature is invalid.
    pub(super) fn refusal(&self) -> Reason {
        self.active.source.refusal()
    }
}

impl UnverifiedTokens {
    /// Returns the latest token with this key that waits for keys, for another request with it to join.
    pub(super) fn find(&self, token: &TokenKey) -> Option<Rc<UnverifiedToken>> {
        let mut waiting = self.0.get(token).into_iter().flatten().rev().filter_map(Weak::upgrade);
        waiting.find(|one| one.token_info.get().is_none())
    }

    /// Adds a token whose requests wait for keys.
    pub(super) fn insert(&mut self, unverified_token: &Rc<UnverifiedToken>) {
        self.0.retain(|_, waiting| {
            waiting.retain(|one| one.strong_count() > 0);
            !waiting.is_empty()
        });
        self.0.entry(*unverified_token.token()).or_default().push(Rc::downgrade(unverified_token));
    }

    /// Withdraws what was received about a token, since the server now refuses it.
    pub(super) fn withdraw(&mut self, token: &TokenKey, reason: Reason) {
        for waiting in self.0.remove(token).iter().flatten().filter_map(Weak::upgrade) {
            waiting.withdrawn.set(Some(reason));
        }
    }
}
