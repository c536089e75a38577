//! The operator's settings for proofs of possession.

use std::time::Duration;

use super::nonce::NonceKey;
use crate::jwt::Algorithm;

/// The requirements for proofs.
#[derive(Clone, Debug)]
pub struct DpopSettings {
    /// The origins by which clients address the gateway, `https://api.example.com`: `htu` starts with one of them. The request's own host
    /// and forwarding fields are chosen by the client, and prove nothing (R87).
    pub origins: Vec<String>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The maximum age of a proof, and how long it is remembered.
    pub max_age: Duration,
    /// The maximum number of proofs used within that time.
    pub max_proofs: usize,
    /// Whether workers share used proofs in the host's shared data.
    pub shared: bool,
    /// The key of nonces, if proofs need them.
    pub nonce: Option<NonceKey>,
}

/// Whether tokens of a server may, or must, be bound to a key of their sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpopMode {
    /// Proofs are ignored, and bound tokens are refused.
    #[default]
    Off,
    /// Bound tokens need a proof, others are bearer tokens.
    Allowed,
    /// Every token has to be bound.
    Required,
}

impl DpopSettings {
    /// Returns the names of the algorithms, as in challenges (RFC 9449 §7.1).
    pub(crate) fn algorithm_names(&self) -> String {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" ")
    }
}

/// The maximum difference between the clocks of client and gateway.
pub(super) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
