//! A key that verifies signatures: a JSON Web Key (RFC 7517 §4, RFC 7518 §6), or a secret of the configuration.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::AlgorithmSignature as _;
use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Rsa, RsaPublicKey, StrongKey};
use jwt_compact::jwk::JsonWebKey;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::algorithm::Algorithm;
use super::es384::Es384Key;
use crate::fingerprint::Fingerprint;
use crate::json::Object;
use crate::secret::Secret;

/// A verification key.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    digest: String,
    fingerprint: Fingerprint,
    material: Material,
}

enum Material {
    Rsa(StrongKey<RsaPublicKey>),
    P256(<Es256 as jwt_compact::Algorithm>::VerifyingKey),
    P384(Es384Key),
    Ed25519(<Ed25519 as jwt_compact::Algorithm>::VerifyingKey),
    Secret(Hs256Key),
}

/// The public key of a JWK and what it is for, read without computing anything on its curve.
#[derive(Debug)]
pub(super) struct PublicJwk {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    public: JsonWebKey<'static>,
}

impl PublicJwk {
    /// Reads a JWK; none if it is not for verifying signatures.
    pub(super) fn read(jwk: &Object) -> Option<Self> {
        let text = |name| jwk.get(name).map(|value| value.as_str().ok_or(()));
        let algorithm = text("alg").transpose().ok()?.map(Algorithm::named);
        let is_for_signatures = matches!(text("use"), None | Some(Ok("sig")));
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
        };
        if !is_for_signatures || !jwk.get("key_ops").is_none_or(verifies) || algorithm == Some(None) {
            return None;
        }
        let id = text("kid").transpose().ok()?.map(str::to_owned);
        Some(Self { id, algorithm: algorithm.flatten(), public: public_part(jwk)? })
    }

    /// Its thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public.thumbprint::<Sha256>())
    }

    /// The key; none if it is of a kind that is not known here, too weak or not on its curve.
    pub(super) fn key(self) -> Option<Key> {
        let material = Material::read(&self.public)?;
        Some(Key::new(self.id.clone(), self.algorithm, self.thumbprint(), material))
    }
}

impl Key {
    /// Reads the public key of a JWK; none if it is of a kind that is not known here, not for verifying signatures, too weak or
    /// not on its curve (R65). A symmetric key is never read: what is published is no secret (R60).
    pub(super) fn read(jwk: &Object) -> Option<Self> {
        PublicJwk::read(jwk)?.key()
    }

    /// The key of a shared secret.
    pub(super) fn secret(secret: &Secret) -> Self {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose()));
        Self::new(None, None, digest, Material::Secret(Hs256Key::new(secret.expose())))
    }

    fn new(id: Option<String>, algorithm: Option<Algorithm>, digest: String, material: Material) -> Self {
        let fingerprint = Fingerprint::of(&[&identity(id.as_deref(), algorithm, &digest)]);
        Self { id, algorithm, digest, fingerprint, material }
    }

    /// What tells it from others: its name, its algorithm, and a digest of what it is made of.
    pub(super) fn identity(&self) -> String {
        identity(self.id.as_deref(), self.algorithm, &self.digest)
    }

    /// SHA-256 of its identity.
    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether it is called so. A secret has no name.
    pub(super) fn is_called(&self, id: &str) -> bool {
        match &self.material {
            Material::Secret(_) => true,
            _ => self.id.as_deref() == Some(id),
        }
    }

    /// Whether verifying by it takes long, as it does by every public key.
    pub(super) fn is_public(&self) -> bool {
        !matches!(self.material, Material::Secret(_))
    }

    /// Whether it can verify signatures of this algorithm (R60).
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{Ed25519, EdDsa, Es256, Es384, Hs256, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let is_its_own = self.algorithm.is_none_or(|own| {
            own == algorithm || [own, algorithm].iter().all(|one| matches!(one, EdDsa | Ed25519))
        });
        let is_of_its_kind = match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => matches!(self.material, Material::Rsa(_)),
            Es256 => matches!(self.material, Material::P256(_)),
            Es384 => matches!(self.material, Material::P384(_)),
            EdDsa | Ed25519 => matches!(self.material, Material::Ed25519(_)),
            Hs256 => matches!(self.material, Material::Secret(_)),
        };
        is_its_own && is_of_its_kind
    }

    /// Whether it verifies this signature.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa(key) => {
                let rsa = algorithm.name().parse::<Rsa>().ok();
                rsa.is_some_and(|rsa| verifies(&rsa, key.as_ref(), message, signature))
            }
            Material::P256(key) => verifies(&Es256, key, message, signature),
            Material::P384(key) => key.verifies(signature, message),
            Material::Ed25519(key) => verifies(&Ed25519, key, message, signature),
            Material::Secret(key) => verifies(&Hs256, key, message, signature),
        }
    }
}

impl Material {
    fn read(jwk: &JsonWebKey<'_>) -> Option<Self> {
        match jwk {
            JsonWebKey::Rsa { .. } => {
                StrongKey::try_from(RsaPublicKey::try_from(jwk).ok()?).ok().map(Self::Rsa)
            }
            JsonWebKey::EllipticCurve { curve, x, y, .. } if curve == "P-384" => {
                Es384Key::from_coordinates(x, y).map(Self::P384)
            }
            JsonWebKey::EllipticCurve { .. } => jwk.try_into().ok().map(Self::P256),
            JsonWebKey::KeyPair { .. } => {
                let key: <Ed25519 as jwt_compact::Algorithm>::VerifyingKey = jwk.try_into().ok()?;
                (!key.is_weak()).then_some(Self::Ed25519(key))
            }
            _ => None,
        }
    }
}

/// The members that make a public key, and no others: a private part that was published by mistake is not for us.
fn public_part(jwk: &Object) -> Option<JsonWebKey<'static>> {
    let members = ["kty", "n", "e", "crv", "x", "y"];
    let public = members.into_iter().filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())));
    serde_json::from_value(Value::Object(public.collect())).ok()
}

/// `kid`, `alg`, and the thumbprint of the public key (RFC 7638). A key that is published under another `kid`, or for another
/// algorithm, is another key: what it verified before might not be verified now.
fn identity(id: Option<&str>, algorithm: Option<Algorithm>, digest: &str) -> String {
    format!("{id:?} {algorithm:?} {digest}")
}

fn verifies<A: jwt_compact::Algorithm>(
    algorithm: &A,
    key: &A::VerifyingKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let has_its_length = A::Signature::LENGTH.is_none_or(|length| length.get() == signature.len());
    has_its_length
        && A::Signature::try_from_slice(signature)
            .is_ok_and(|signature| algorithm.verify_signature(&signature, key, message))
}

/// A key prints by its kind alone: one of them is a secret.
impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Rsa(_) => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
            Self::Secret(_) => "[hidden]",
        })
    }
}
