//! ES384 and ES512 (RFC 7518 §3.4) for verification, which jwt-compact does not have.

/// Defines the keys, each by its name, its crate, and the number of bytes in a coordinate.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $key:ident: $curve:ident $length:literal,)+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $key($curve::ecdsa::VerifyingKey);

        impl $key {
            /// The key with these coordinates; `None` if they are not a point on the curve (R65).
            pub(super) fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
                if x.len() != $length || y.len() != $length {
                    return None;
                }
                let uncompressed = [&[4], x, y].concat();
                $curve::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed).ok().map(Self)
            }

            /// Whether the key verifies the signature, which has the length of two coordinates (R70).
            pub(super) fn verifies(&self, signature: &[u8], message: &[u8]) -> bool {
                use $curve::ecdsa::signature::Verifier;

                $curve::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
            }
        }
    )+};
}

keys! {
    /// A public key on P-384.
    Es384Key: p384 48,
    /// A public key on P-521.
    Es512Key: p521 66,
}
