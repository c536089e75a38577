//! JSON Web Tokens (RFC 7519) in the JWS compact serialization (RFC 7515 §7.1): the phantom token, what else is signed, and the
//! keys that verify it.
//!
//! Parsing and verifying are apart: [`Jws`] is untrusted until [`KeySet::verify`] says otherwise.

mod access_token;
mod algorithm;
mod embedded_key;
mod es384;
mod jose_header;
mod jws;
mod key;
mod key_set;
mod phantom_token;
mod signing_key;

pub use access_token::Profile;
pub use algorithm::Algorithm;
pub(crate) use embedded_key::SelfSigned;
pub(crate) use jose_header::JoseHeader;
pub(crate) use jws::{Jws, NoJws};
pub use key_set::KeySet;
pub(crate) use key_set::Unverified;
pub(crate) use phantom_token::PhantomToken;
pub use signing_key::SigningKey;
