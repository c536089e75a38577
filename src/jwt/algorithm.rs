//! The signature algorithms that are accepted (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2). No other is supported, least of all `none` in
//! any letter case (R59).

macro_rules! algorithms {
    (
        $($(#[doc = $doc:literal])+ $algorithm:ident = $name:literal,)+
        secret: $(#[doc = $secret_doc:literal])+ $secret:ident = $secret_name:literal,
    ) => {
        /// A signature algorithm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Algorithm {
            $($(#[doc = $doc])+ $algorithm,)+
            $(#[doc = $secret_doc])+ $secret,
        }

        impl Algorithm {
            /// All algorithms that verify with a public key.
            pub(crate) const ASYMMETRIC: &'static [Self] = &[$(Self::$algorithm),+];

            /// Their names.
            pub(crate) const ASYMMETRIC_NAMES: &'static [&'static str] = &[$($name),+];

            /// The algorithm of this name, as `alg` has it.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$algorithm),)+
                    $secret_name => Some(Self::$secret),
                    _ => None,
                }
            }

            /// Its name.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$algorithm => $name,)+
                    Self::$secret => $secret_name,
                }
            }
        }
    };
}

algorithms! {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256",
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384",
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512",
    /// RSASSA-PSS with SHA-256.
    Ps256 = "PS256",
    /// RSASSA-PSS with SHA-384.
    Ps384 = "PS384",
    /// RSASSA-PSS with SHA-512.
    Ps512 = "PS512",
    /// ECDSA with P-256 and SHA-256.
    Es256 = "ES256",
    /// ECDSA with P-384 and SHA-384.
    Es384 = "ES384",
    /// ECDSA with P-521 and SHA-512.
    Es512 = "ES512",
    /// EdDSA, here always with Ed25519.
    EdDsa = "EdDSA",
    /// EdDSA with Ed25519, by its fully specified name.
    Ed25519 = "Ed25519",
    secret:
    /// HMAC with SHA-256, for a secret of the configuration alone.
    Hs256 = "HS256",
}
