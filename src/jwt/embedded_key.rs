//! A JWS that brings its own key, which is right for one purpose alone: to prove that the sender holds it (RFC 9449 §4.3). It
//! says nothing of who the sender is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Sha256;

use super::algorithm::Algorithm;
use super::jws::Jws;
use super::key::Key;
use crate::json::Object;

/// Verifies a JWS by the key in its own header, and gives the thumbprint of that key (RFC 7638), which tells whose it is.
pub(crate) fn thumbprint_of_signer(jws: &Jws<'_>, algorithms: &[Algorithm]) -> Option<String> {
    let algorithm = Algorithm::named(jws.algorithm()).filter(|one| algorithms.contains(one))?;
    let jwk = jws.embedded_key().and_then(Object::of)?;
    if PRIVATE_MEMBERS.iter().any(|name| jwk.has(name)) {
        return None;
    }
    let key = Key::read(&jwk)?;
    let (message, signature) = jws.signed();
    let public = super::key::public_part(&jwk)?;
    let thumbprint = || URL_SAFE_NO_PAD.encode(public.thumbprint::<Sha256>());
    key.verifies(algorithm, message, signature).then(thumbprint)
}

/// RFC 7518 §6.2.2, §6.3.2, §6.4.1.
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
