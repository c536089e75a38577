//! JSON Web Tokens (RFC 7519) in the JWS compact serialization (RFC 7515 §7.1): the phantom token, other signed JWTs, and the keys that
//! verify them.
//!
//! Parsing and verification are separate: a [`Jws`] is untrusted until [`KeySet::verify`] accepts it.

mod algorithm;
mod ecdsa;
mod embedded_key;
mod jose_header;
mod jws;
mod key;
mod key_set;
mod signing_key;
mod verification_budget;

pub use algorithm::Algorithm;
pub(crate) use embedded_key::SelfSigned;
pub(crate) use jose_header::JoseHeader;
pub(crate) use jws::{Jws, NoJws};
pub(crate) use key_set::Unverified;
pub use key_set::{KeySet, UnusableKey};
pub use signing_key::SigningKey;
pub(crate) use verification_budget::VerificationBudget;
