//! A JWS in the compact serialization, parsed but untrusted (RFC 7515 §7.1, R70): three parts of unpadded base64url, the first
//! two of them JSON objects without duplicate members. Of its header, only `alg`, `typ`, `kid`, `crit`, `b64`, and `jwk` of a
//! proof are read. All other members are ignored.

use std::borrow::Cow;
use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::json::Object;

/// A signed JWT whose signature is not verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    text: Cow<'a, str>,
    header: Object,
    payload: Object,
    signature: Box<[u8]>,
    failed_verifications: Cell<u32>,
}

/// Why a text is not accepted as a JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoJws {
    /// The text does not have the form of a JWS; it may be an opaque token. Dots do not make a JWS (R71).
    OtherForm,
    /// The text has the form of a JWS, but no signature.
    Unsigned,
    /// The text has the form of a JWS, but this part is malformed: a member of its header, the whole `header`, or its `claims`.
    Malformed(&'static str),
}

impl<'a> Jws<'a> {
    /// Parses a JWS that has an algorithm and a signature.
    ///
    /// # Errors
    /// [`NoJws::Unsigned`] for `none` or an empty signature; [`NoJws::Malformed`] for parts that are not objects of unique members, for an
    /// unusable `alg`, and for critical extensions, none of which are supported (RFC 7515 §4.1.11, R61).
    pub(crate) fn parse(text: &'a str) -> Result<Self, NoJws> {
        let mut parts = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
        let (Some(Ok(header)), Some(Ok(payload)), Some(Ok(signature)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoJws::OtherForm);
        };
        let header: Object = serde_json::from_slice(&header).map_err(|error| match error.is_data() {
            true => NoJws::Malformed("header"),
            false => NoJws::OtherForm,
        })?;
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if algorithm.eq_ignore_ascii_case("none") || signature.is_empty() {
            return Err(NoJws::Unsigned);
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if algorithm.is_empty() || !algorithm.bytes().all(is_name) {
            return Err(NoJws::Malformed("alg"));
        }
        if header.has("crit") {
            return Err(NoJws::Malformed("crit"));
        }
        // RFC 7797 §3: true is the default.
        if header.get("b64").is_some_and(|is_encoded| *is_encoded != true) {
            return Err(NoJws::Malformed("b64"));
        }
        let payload = Object::parse(&payload).map_err(|_| NoJws::Malformed("claims"))?;
        let (text, signature) = (Cow::Borrowed(text), signature.into());
        Ok(Self { text, header, payload, signature, failed_verifications: Cell::new(0) })
    }

    /// The JWS with a copy of the borrowed text.
    pub(crate) fn into_owned(self) -> Jws<'static> {
        Jws { text: Cow::Owned(self.text.into_owned()), ..self }
    }

    /// The text, as it was parsed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The claims.
    pub(crate) fn payload(&self) -> &Object {
        &self.payload
    }

    /// `iss`.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.payload.get("iss").and_then(Value::as_str)
    }

    /// `alg`.
    pub(super) fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// `jwk`, which only a proof of possession may contain.
    pub(super) fn embedded_key(&self) -> Option<&Value> {
        self.header.get("jwk")
    }

    /// `kid`. One that is empty or not a string (RFC 7515 §4.1.4) names no key.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str).filter(|id| !id.is_empty())
    }

    /// `typ` as a media type without parameters, in lower case and without its `application/` (RFC 7515 §4.1.9). A `typ` that
    /// is not a string counts as an unknown type, not as absent.
    pub(crate) fn media_type(&self) -> Option<String> {
        self.header.get("typ").map(|name| media_type(name.as_str().unwrap_or_default()))
    }

    /// Whether its `typ` is that of another JWT than an access token.
    pub(crate) fn is_of_other_kind(&self) -> bool {
        self.media_type().is_some_and(|media_type| is_type_of_other_jwt(&media_type))
    }

    /// The cost of the public keys that did not verify its signature, in verifications by P-256.
    pub(crate) fn failed_verifications(&self) -> u32 {
        self.failed_verifications.get()
    }

    /// Records that a key did not verify the signature, at this cost.
    pub(super) fn note_failed_verification(&self, cost: u32) {
        self.failed_verifications.set(self.failed_verifications.get().saturating_add(cost));
    }

    /// The signing input (RFC 7515 §5.2) and the signature.
    pub(super) fn signed(&self) -> (&[u8], &[u8]) {
        let (message, _) = self.text.rsplit_once('.').unwrap_or_default();
        (message.as_bytes(), &self.signature)
    }
}

impl NoJws {
    /// The malformed part, if the text has the form of a JWS.
    pub(crate) fn member(self) -> Option<&'static str> {
        match self {
            Self::OtherForm => None,
            Self::Unsigned => Some("alg"),
            Self::Malformed(member) => Some(member),
        }
    }
}

/// A `typ` as a media type.
pub(super) fn media_type(token_type: &str) -> String {
    let name = token_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name.strip_prefix("application/").map(str::to_owned).unwrap_or(name)
}

/// JWTs that must not be mistaken for an access token (RFC 8725 §3.11): RFC 9701 §5, RFC 9449 §4.2, OpenID Connect
/// Back-Channel Logout §2.4, RFC 8417 §2.3.
pub(super) fn is_type_of_other_jwt(media_type: &str) -> bool {
    matches!(media_type, "token-introspection+jwt" | "dpop+jwt" | "logout+jwt" | "secevent+jwt")
}

#[cfg(test)]
mod tests;
