//! A private key of the gateway, and what it signs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::alg::{Ed25519, Es256, Rsa, RsaPrivateKey};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{AlgorithmExt, Claims, Header};
use p256::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::json::Object;
use crate::secret::Secret;

/// A private key for ES256, EdDSA or RS256, depending on its key material, which debug output never shows.
#[derive(Clone)]
pub struct SigningKey {
    id: Option<String>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    P256(<Es256 as jwt_compact::Algorithm>::SigningKey),
    Ed25519(Box<<Ed25519 as jwt_compact::Algorithm>::SigningKey>),
    Rsa(Box<RsaPrivateKey>),
}

impl SigningKey {
    /// Reads a key from PEM (PKCS#8, RFC 5958) or from a JWK (RFC 7517). `id` is its `kid`; without it, a JWK's own `kid` applies.
    ///
    /// # Errors
    /// What is wrong, without any part of the key.
    pub(crate) fn read(text: &Secret, id: Option<String>) -> Result<Self, &'static str> {
        let text = text.expose().trim();
        let (material, own_id) = if text.starts_with('{') {
            let jwk = Object::parse(text.as_bytes()).map_err(|_| MESSAGE)?;
            let own_id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            (Material::of_jwk(jwk), own_id)
        } else {
            (Material::of_pem(text), None)
        };
        Ok(Self { id: id.or(own_id), material: material.ok_or(MESSAGE)? })
    }

    /// The key with a `kid` in any case: its own, or its thumbprint (RFC 7638).
    pub(crate) fn named(self) -> Self {
        let thumbprint = || URL_SAFE_NO_PAD.encode(self.material.public().thumbprint::<Sha256>());
        Self { id: Some(self.id.clone().unwrap_or_else(thumbprint)), ..self }
    }

    /// Whether this is an RSA key, which takes some twenty times as long to sign as the others.
    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self.material, Material::Rsa(_))
    }

    /// The public key as a JWK, for those who verify (RFC 7517 §4).
    pub(crate) fn public(&self) -> Value {
        let algorithm = match &self.material {
            Material::P256(_) => "ES256",
            Material::Ed25519(_) => "EdDSA",
            Material::Rsa(_) => "RS256",
        };
        let mut jwk = serde_json::to_value(self.material.public()).unwrap_or_default();
        if let Some(members) = jwk.as_object_mut() {
            members.extend([("use".to_owned(), json!("sig")), ("alg".to_owned(), json!(algorithm))]);
            members.extend(self.id.iter().map(|id| ("kid".to_owned(), json!(id))));
        }
        jwk
    }

    /// Signs a JWT with these claims and this `typ`. Signing with RSA draws randomness from the host, to protect the key against timing
    /// attacks.
    pub(crate) fn sign(&self, media_type: &str, claims: Map<String, Value>) -> Option<String> {
        let header = Header::empty().with_token_type(media_type);
        let header = match &self.id {
            Some(id) => header.with_key_id(id),
            None => header,
        };
        let claims = Claims::new(claims);
        match &self.material {
            Material::P256(key) => Es256.token(&header, &claims, key),
            Material::Ed25519(key) => Ed25519.token(&header, &claims, key),
            Material::Rsa(key) => Rsa::rs256().token(&header, &claims, key),
        }
        .ok()
    }
}

impl Material {
    #[inline(never)]
    fn of_pem(text: &str) -> Option<Self> {
        if let Ok(key) = DecodePrivateKey::from_pkcs8_pem(text) {
            return Some(Self::P256(key));
        }
        if let Ok(key) = DecodePrivateKey::from_pkcs8_pem(text) {
            return Some(Self::Ed25519(Box::new(key)));
        }
        Self::of_rsa(DecodePrivateKey::from_pkcs8_pem(text).ok()?)
    }

    #[inline(never)]
    fn of_jwk(jwk: Object) -> Option<Self> {
        let jwk: JsonWebKey<'_> = serde_json::from_value(jwk.into_value()).ok()?;
        match &jwk {
            JsonWebKey::EllipticCurve { .. } => (&jwk).try_into().ok().map(Self::P256),
            JsonWebKey::KeyPair { .. } => (&jwk).try_into().ok().map(|key| Self::Ed25519(Box::new(key))),
            JsonWebKey::Rsa { .. } => Self::of_rsa((&jwk).try_into().ok()?),
            _ => None,
        }
    }

    fn public(&self) -> JsonWebKey<'_> {
        match self {
            Self::P256(key) => JsonWebKey::from(key).to_verifying_key(),
            Self::Ed25519(key) => JsonWebKey::from(&**key).to_verifying_key(),
            Self::Rsa(key) => JsonWebKey::from(&**key).to_verifying_key(),
        }
    }

    /// Accepts keys of at least 2048 bits (RFC 7518 §3.3), and at most 4096, beyond which signing takes too long for a request.
    fn of_rsa(key: RsaPrivateKey) -> Option<Self> {
        (2048..=4096).contains(&key.n().bits()).then(|| Self::Rsa(Box::new(key)))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[hidden]")
    }
}

const MESSAGE: &str =
    "must be a private key of P-256, Ed25519 or RSA (2048 to 4096 bits), as PKCS#8 PEM or as a JWK";

#[cfg(test)]
mod tests;
