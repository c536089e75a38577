//! The section `dpop`: requirements for proofs of possession (RFC 9449).

use super::texts::GatewayOrigin;
use crate::credentials::dpop::{DpopSettings, NonceKey};
use crate::fields::{Bounded, BoundedDuration, HOUR, LongSecret, MINUTE, NonEmptyList, SECOND, section};
use crate::jwt::Algorithm;

section! {
    /// Requirements for proofs of possession.
    pub(super) struct Dpop {
        /// Origins by which clients address the gateway, such as `https://api.example.com`: the URL in a proof starts with one of
        /// these. If there are several, the request's `Host` selects the one that its proof has to be for, so expose no other
        /// hosts.
        origins: NonEmptyList<GatewayOrigin> = (required "is required: the origins by which clients address the gateway"),
        /// Accepted algorithms of proofs. Defaults to ES256, EdDSA, PS256 and RS256.
        algorithms: NonEmptyList<Algorithm>,
        /// Maximum age of a proof. Used proofs are remembered that long, so that none is used twice; in the shared data, for the
        /// longest value that any configuration had since the proxy started.
        max_age: BoundedDuration<SECOND, { 5 * MINUTE }> = "1m",
        /// Maximum number of proofs used within `max_age`, at all workers together, and a quarter of that by one key; a proof
        /// that cannot be remembered is a 503. With a `max_age` of `1m`, `100000` allows 1666 requests per second, 416 by one
        /// key. Each takes about 50 bytes in the shared data and in the worker that saw it.
        max_proofs: Bounded<1024, 10_000_000> = 100_000,
        /// Whether workers share used proofs, in the host's shared data. Set `false` for a host without shared data; then a proof
        /// can be used once on each worker. Either way, a store that starts empty accepts no proof issued before it started.
        shared: bool = true,
        /// If proofs must contain a nonce of the gateway: a secret of at least 32 bytes, or `{env: NAME}`, the same at all
        /// gateways.
        nonce_secret: LongSecret,
        /// How long a nonce is handed out; it remains valid for one more period.
        nonce_period: BoundedDuration<SECOND, HOUR> = "1m",
    }
}

impl Dpop {
    #[inline(never)]
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
