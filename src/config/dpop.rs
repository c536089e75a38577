//! The section `dpop`: what proofs of possession have to be like (RFC 9449).

use super::texts::GatewayOrigin;
use crate::credentials::dpop::{DpopSettings, NonceKey};
use crate::fields::{Bounded, BoundedDuration, HOUR, LongSecret, MINUTE, NonEmptyList, SECOND, section};
use crate::jwt::Algorithm;

section! {
    /// What proofs of possession have to be like.
    pub(super) struct Dpop {
        /// What clients know the gateway by, `https://api.example.com`: the URLs in proofs start with one of these. Where there are
        /// several, the request's `Host` chooses the one that its proof has to be for; so do not expose more hosts than these.
        origins: NonEmptyList<GatewayOrigin> = (required "is required: what clients know the gateway by"),
        /// The algorithms of proofs; by default ES256, EdDSA, PS256 and RS256.
        algorithms: NonEmptyList<Algorithm>,
        /// How old a proof may be; so long it is remembered, so that it is not used twice. In the shared data, the longest counts
        /// that any configuration had since the proxy started.
        max_age: BoundedDuration<SECOND, { 5 * MINUTE }> = "1m",
        /// How many proofs may be used within `max_age`, at all workers together, and a quarter of that by one key; a proof that
        /// could not be remembered is a 503. `100000` is 1666 requests in a second, 416 by one key, at a `max_age` of `1m`. Each
        /// takes about 50 bytes, in the shared data and at the worker that saw it.
        max_proofs: Bounded<1024, 10_000_000> = 100_000,
        /// Whether workers share what they remember, by the host's shared data; for a host without, `false`, and then a proof
        /// can be used once on each worker. Either way, memory that begins empty takes no proof that was issued before it began.
        shared: bool = true,
        /// If proofs have to have a nonce of the gateway: a secret of 32 bytes at least, or `{env: NAME}`, the same for all
        /// gateways.
        nonce_secret: LongSecret,
        /// How long a nonce is given out; it is good for one period more.
        nonce_period: BoundedDuration<SECOND, HOUR> = "1m",
    }
}

impl Dpop {
    pub(super) fn settings(self) -> DpopSettings {
        let usual = || vec![Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];
        DpopSettings {
            origins: self.origins,
            algorithms: self.algorithms.unwrap_or_else(usual),
            max_age: self.max_age,
            max_proofs: self.max_proofs,
            shared: self.shared,
            nonce: self.nonce_secret.map(|secret| NonceKey::new(secret, self.nonce_period)),
        }
    }
}
