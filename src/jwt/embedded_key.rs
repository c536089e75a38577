//! A JWS that carries its own key. It serves only to prove possession of that key (RFC 9449 §4.3), and says nothing about the
//! sender's identity.

use super::algorithm::Algorithm;
use super::jws::Jws;
use super::key::PublicJwk;
use crate::json::Object;

/// A JWS with the key in its header that is to verify it. It is not verified yet: a verification is expensive, and anyone can make such a
/// JWS.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    algorithm: Algorithm,
    jwk: Object,
    thumbprint: String,
    message: Box<[u8]>,
    signature: Box<[u8]>,
}

impl SelfSigned {
    /// Reads the key of a JWS. Returns `None` if the algorithm is not one of these, there is no valid public key, or the key has private
    /// members.
    pub(crate) fn read(jws: &Jws<'_>, algorithms: &[Algorithm]) -> Option<Self> {
        let algorithm = Algorithm::named(jws.algorithm()).filter(|one| algorithms.contains(one))?;
        let jwk = jws.embedded_key().and_then(Object::of)?;
        if PRIVATE_MEMBERS.iter().any(|name| jwk.has(name)) {
            return None;
        }
        let thumbprint = PublicJwk::read(&jwk).ok()?.thumbprint();
        let (message, signature) = jws.signed();
        Some(Self { algorithm, jwk, thumbprint, message: message.into(), signature: signature.into() })
    }

    /// The thumbprint of its key (RFC 7638). Once the signature is verified, it identifies the signer's key.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Verifies the signature by the key.
    ///
    /// # Errors
    /// The cost of the failed verification, in verifications by P-256.
    pub(crate) fn verify(&self) -> Result<(), u32> {
        let key = PublicJwk::read(&self.jwk).and_then(|jwk| jwk.key(MAX_RSA_BITS)).map_err(|_| 1_u32)?;
        match key.verifies(self.algorithm, &self.message, &self.signature) {
            true => Ok(()),
            false => Err(key.cost()),
        }
    }
}

/// RFC 7518 §6.2.2, §6.3.2, §6.4.1.
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A client chooses its key, and so the cost of each of its requests: the limit is lower than for an issuer's key.
const MAX_RSA_BITS: usize = 4096;
