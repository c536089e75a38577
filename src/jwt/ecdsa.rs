//! ES384 and ES512 (RFC 7518 §3.4) for verification, which jwt-compact does not have.

/// Defines a key: its name, its crate, and how many bytes a coordinate has.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $key:ident: $curve:ident $length:literal,)+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $key($curve::ecdsa::VerifyingKey);

        impl $key {
            /// The key of these coordinates; none if that is not a point on the curve (R65).
            pub(super) fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
                if x.len() != $length || y.len() != $length {
                    return None;
                }
                let uncompressed = [&[4], x, y].concat();
                $curve::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed).ok().map(Self)
            }

            /// Whether it verifies the signature, which has the length of two coordinates (R70).
            pub(super) fn verifies(&self, signature: &[u8], message: &[u8]) -> bool {
                use $curve::ecdsa::signature::Verifier;

                $curve::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
            }
        }
    )+};
}

keys! {
    /// A point of P-384.
    Es384Key: p384 48,
    /// A point of P-521.
    Es512Key: p521 66,
}
