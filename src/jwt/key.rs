//! A key that verifies signatures: a JSON Web Key (RFC 7517 §4, RFC 7518 §6), or a secret of the configuration.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::AlgorithmSignature as _;
use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Rsa};
use jwt_compact::jwk::JsonWebKey;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::algorithm::Algorithm;
use super::ecdsa::{Es384Key, Es512Key};
use crate::fingerprint::Fingerprint;
use crate::json::{Object, members};
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
    Rsa(RsaPublicKey),
    P256(<Es256 as jwt_compact::Algorithm>::VerifyingKey),
    P384(Es384Key),
    P521(Es512Key),
    Ed25519(<Ed25519 as jwt_compact::Algorithm>::VerifyingKey),
    Secret(Hs256Key),
}

/// The public key of a JWK and its purpose, read without computing anything on its curve.
#[derive(Debug)]
pub(super) struct PublicJwk {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    public: JsonWebKey<'static>,
}

impl PublicJwk {
    /// Reads a JWK for verifying signatures. Irrelevant members are ignored; a `kid` that is not a string (RFC 7517 §4.5) or is
    /// empty counts as absent.
    ///
    /// # Errors
    /// Why the JWK does not verify signatures, in a fixed text.
    pub(super) fn read(jwk: &Object) -> Result<Self, &'static str> {
        let text = |name| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(MALFORMED),
        };
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
        };
        match text("kty")? {
            Some("RSA" | "EC" | "OKP") => {}
            Some("oct") => return Err("a symmetric key, which must not be published"),
            _ => return Err("its kty is unknown"),
        }
        if text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err("its use is not sig");
        }
        if !jwk.get("key_ops").is_none_or(verifies) {
            return Err("its key_ops lack verify");
        }
        let algorithm = text("alg")?.map(|name| Algorithm::named(name).ok_or("its alg is unknown"));
        let id = text("kid").unwrap_or_default().map(str::to_owned);
        Ok(Self { id, algorithm: algorithm.transpose()?, public: public_part(jwk).ok_or(MALFORMED)? })
    }

    /// Its thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public.thumbprint::<Sha256>())
    }

    /// Builds the key. An RSA key may have at most `max_rsa_bits` bits.
    ///
    /// # Errors
    /// Why the key is unusable: of an unknown kind, too weak, too large, not on its curve, or not for its `alg`.
    pub(super) fn key(self, max_rsa_bits: usize) -> Result<Key, &'static str> {
        let material = Material::read(&self.public, max_rsa_bits)?;
        let key = Key::new(self.id.clone(), self.algorithm, self.thumbprint(), material);
        match key.algorithm {
            Some(algorithm) if !key.fits(algorithm) => Err("its alg does not match its kty or crv"),
            _ => Ok(key),
        }
    }
}

impl Key {
    /// Reads the public key of a JWK (R65). A symmetric key is never read: a published key is not a secret (R60).
    ///
    /// # Errors
    /// Why the key is unusable, in a fixed text.
    pub(super) fn read(jwk: &Object) -> Result<Self, &'static str> {
        PublicJwk::read(jwk)?.key(MAX_RSA_BITS)
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

    /// Its identity: its name, its algorithm, and a digest of its key material.
    pub(super) fn identity(&self) -> String {
        identity(self.id.as_deref(), self.algorithm, &self.digest)
    }

    /// SHA-256 of its identity.
    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// `kid`. A secret has none.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How long a verification with this key takes, as a multiple of one with P-256 in V8; zero for a secret.
    pub(super) fn cost(&self) -> u32 {
        match &self.material {
            Material::Secret(_) => 0,
            Material::P256(_) | Material::Ed25519(_) => 1,
            Material::P384(_) | Material::P521(_) => 10,
            Material::Rsa(key) => {
                // Proportional to the square of the size; 2048 bits take as long as P-256.
                u32::try_from(key.size().saturating_mul(key.size()) / (256 * 256)).unwrap_or(u32::MAX)
            }
        }
    }

    /// Whether the key can verify signatures of this algorithm (R60).
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{
            Ed25519, EdDsa, Es256, Es384, Es512, Hs256, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
        };
        let is_its_own = self.algorithm.is_none_or(|own| {
            own == algorithm || [own, algorithm].iter().all(|one| matches!(one, EdDsa | Ed25519))
        });
        let is_of_its_kind = match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => matches!(self.material, Material::Rsa(_)),
            Es256 => matches!(self.material, Material::P256(_)),
            Es384 => matches!(self.material, Material::P384(_)),
            Es512 => matches!(self.material, Material::P521(_)),
            EdDsa | Ed25519 => matches!(self.material, Material::Ed25519(_)),
            Hs256 => matches!(self.material, Material::Secret(_)),
        };
        is_its_own && is_of_its_kind
    }

    /// Whether the key verifies this signature.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa(key) => {
                let rsa = algorithm.name().parse::<Rsa>().ok();
                rsa.is_some_and(|rsa| verifies(&rsa, key, message, signature))
            }
            Material::P256(key) => verifies(&Es256, key, message, signature),
            Material::P384(key) => key.verifies(signature, message),
            Material::P521(key) => key.verifies(signature, message),
            Material::Ed25519(key) => verifies(&Ed25519, key, message, signature),
            Material::Secret(key) => verifies(&Hs256, key, message, signature),
        }
    }
}

impl Material {
    fn read(jwk: &JsonWebKey<'_>, max_rsa_bits: usize) -> Result<Self, &'static str> {
        match jwk {
            JsonWebKey::Rsa { modulus, public_exponent, .. } => {
                let [modulus, exponent] =
                    [modulus, public_exponent].map(|bytes| BigUint::from_bytes_be(bytes));
                if modulus.bits() > max_rsa_bits {
                    return Err("RSA of too many bits");
                }
                let key = RsaPublicKey::new_with_max_size(modulus, exponent, max_rsa_bits);
                let key = key.map_err(|_| "no key of RSA")?;
                // RFC 7518 §3.3.
                if key.n().bits() < 2048 { Err("RSA of less than 2048 bits") } else { Ok(Self::Rsa(key)) }
            }
            JsonWebKey::EllipticCurve { curve, x, y, .. } => match &**curve {
                "P-256" => jwk.try_into().ok().map(Self::P256),
                "P-384" => Es384Key::from_coordinates(x, y).map(Self::P384),
                "P-521" => Es512Key::from_coordinates(x, y).map(Self::P521),
                _ => return Err(UNKNOWN_CURVE),
            }
            .ok_or("no point of its curve"),
            JsonWebKey::KeyPair { curve, .. } if curve == "Ed25519" => {
                let key = <Ed25519 as jwt_compact::Algorithm>::VerifyingKey::try_from(jwk).ok();
                key.filter(|key| !key.is_weak()).map(Self::Ed25519).ok_or("no point of its curve")
            }
            _ => Err(UNKNOWN_CURVE),
        }
    }
}

/// The members of a public key, and no others: a private part that was published by mistake is not read.
fn public_part(jwk: &Object) -> Option<JsonWebKey<'static>> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let is_number = text("kty") != Some("OKP");
    let length = match text("crv") {
        Some("P-256") => 32,
        Some("P-384") => 48,
        Some("P-521") => 66,
        _ => 0,
    };
    let names = ["kty", "crv"].into_iter().filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())));
    let values = ["n", "e", "x", "y"].into_iter().filter_map(|name| {
        let bytes = text(name).and_then(decode)?;
        let bytes = if is_number { of_length(&bytes, length) } else { bytes };
        Some((name.to_owned(), Value::from(URL_SAFE_NO_PAD.encode(bytes))))
    });
    serde_json::from_value(Value::Object(members(names.chain(values)))).ok()
}

/// Decodes base64 in either alphabet, padded or not: some servers write keys so, and the meaning is unambiguous.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number in `length` bytes (RFC 7518 §6.2.1.2), or in as few as it takes (§2) if `length` is 0. Some servers prefix a zero to all
/// numbers whose first bit is set, or leave out the leading zeros of a coordinate.
fn of_length(number: &[u8], length: usize) -> Vec<u8> {
    let digits = number.iter().copied().skip_while(|byte| *byte == 0);
    let zeros = length.saturating_sub(digits.clone().count());
    std::iter::repeat_n(0, zeros).chain(digits).collect()
}

/// `kid`, `alg`, and the thumbprint of the public key (RFC 7638). A key that is published under another `kid`, or for another algorithm, is
/// a different key: signatures that it verified before might not be verified now.
fn identity(id: Option<&str>, algorithm: Option<Algorithm>, digest: &str) -> String {
    format!("{id:?} {algorithm:?} {digest}")
}

#[inline(never)]
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

/// Prints only the kind of a key: one kind is a secret.
impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Rsa(_) => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::P521(_) => "P-521",
            Self::Ed25519(_) => "Ed25519",
            Self::Secret(_) => "[hidden]",
        })
    }
}

/// The largest RSA key that is used: a verification takes 16 times as long as with 2048 bits.
const MAX_RSA_BITS: usize = 8192;

const MALFORMED: &str = "a member is malformed";
const UNKNOWN_CURVE: &str = "its crv is unknown";
