//! The operator's settings of proofs of possession.

use std::time::Duration;

use super::nonce::NonceKey;
use crate::jwt::Algorithm;

/// What proofs have to be like.
#[derive(Clone, Debug)]
pub struct DpopSettings {
    /// The origins that clients know the gateway by, `https://api.example.com`: what `htu` starts with. The request's own host
    /// and forwarding fields are the client's word, and say nothing (R87).
    pub origins: Vec<String>,
    /// The algorithms of proofs.
    pub algorithms: Vec<Algorithm>,
    /// How old a proof may be. So long it is remembered.
    pub max_age: Duration,
    /// The maximum number of proofs within that time.
    pub max_proofs: usize,
    /// Whether workers share what they remember, by the host's shared data.
    pub shared: bool,
    /// What nonces are made with, if they are required.
    pub nonce: Option<NonceKey>,
}

/// Whether tokens of a server may, or must, be bound to a key of their sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpopMode {
    /// Proofs are not looked at, and bound tokens are refused.
    #[default]
    Off,
    /// Bound tokens need a proof, others are bearer tokens.
    Allowed,
    /// Every token has to be bound.
    Required,
}

impl DpopSettings {
    /// The names of the algorithms, as challenges tell them (RFC 9449 §7.1).
    pub(crate) fn algorithm_names(&self) -> String {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" ")
    }
}

/// How far the clocks of client and gateway may differ.
pub(super) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
