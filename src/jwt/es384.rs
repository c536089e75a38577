//! ES384 (RFC 7518 §3.4) for verification, which jwt-compact does not have.

use p384::ecdsa::signature::Verifier;
use p384::ecdsa::{Signature, VerifyingKey};

/// A point of P-384.
#[derive(Debug)]
pub(super) struct Es384Key(VerifyingKey);

impl Es384Key {
    /// The key of these coordinates, 48 bytes each; none if that is no point of the curve (R65).
    pub(super) fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
        let is_coordinate = |bytes: &[u8]| bytes.len() == 48;
        if !is_coordinate(x) || !is_coordinate(y) {
            return None;
        }
        let uncompressed = [&[4], x, y].concat();
        VerifyingKey::from_sec1_bytes(&uncompressed).ok().map(Self)
    }

    /// Whether it verifies the signature, which has exactly 96 bytes (R70).
    pub(super) fn verifies(&self, signature: &[u8], message: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}
