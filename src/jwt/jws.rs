//! A JWS in the compact serialization, parsed and not trusted (RFC 7515 §7.1, R70): three parts of unpadded base64url, the first
//! two of them JSON objects without duplicate members.

use std::borrow::Cow;
use std::cell::Cell;

use jwt_compact::{ParseError, UntrustedToken};
use serde_json::Value;

use crate::json::Object;
use crate::time::{Timestamp, Validity};

/// A signed JWT whose signature is not verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    text: Cow<'a, str>,
    token: UntrustedToken<'a, Object>,
    payload: Object,
    validity: Validity,
    issued_at: Option<Timestamp>,
    failed_verifications: Cell<u32>,
}

/// Why a text is not taken for a JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoJws {
    /// It has not the form of one: an opaque token, say. Dots do not make a JWS (R71).
    OtherForm,
    /// It has the form, but no signature, or has to be understood in ways that we do not know.
    Unacceptable,
}

impl<'a> Jws<'a> {
    /// Parses a JWS that has an algorithm and a signature.
    ///
    /// # Errors
    /// [`NoJws::Unacceptable`] for `none`, for what is no object of unique members inside, and for critical extensions, of
    /// which we know none (RFC 7515 §4.1.11, R61).
    pub(crate) fn parse(text: &'a str) -> Result<Self, NoJws> {
        let token = UntrustedToken::<Object>::try_from(text).map_err(|error| match error {
            ParseError::InvalidTokenStructure | ParseError::InvalidBase64Encoding => NoJws::OtherForm,
            ParseError::MalformedHeader(error) if !error.is_data() => NoJws::OtherForm,
            _ => NoJws::Unacceptable,
        })?;
        let algorithm = token.algorithm();
        let is_algorithm = !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !algorithm.eq_ignore_ascii_case("none");
        let extensions = &token.header().other_fields;
        if !is_algorithm
            || token.signature_bytes().is_empty()
            || extensions.has("crit")
            || extensions.has("b64")
        {
            return Err(NoJws::Unacceptable);
        }
        let claims = token.deserialize_claims_unchecked::<Object>().map_err(|_| NoJws::Unacceptable)?;
        let date = |seconds: i64| Timestamp::from_numeric_date(seconds as f64);
        let validity = Validity {
            expires: claims.expiration.map(|moment| date(moment.timestamp())),
            not_before: claims.not_before.map(|moment| date(moment.timestamp())),
        };
        let issued_at = claims.issued_at.map(|moment| date(moment.timestamp()));
        let failed_verifications = Cell::new(0);
        let text = Cow::Borrowed(text);
        Ok(Self { text, token, payload: claims.custom, validity, issued_at, failed_verifications })
    }

    /// The same without what it was borrowed from.
    pub(crate) fn into_owned(self) -> Jws<'static> {
        let Self { text, token, payload, validity, issued_at, failed_verifications } = self;
        let (text, token) = (Cow::Owned(text.into_owned()), token.into_owned());
        Jws { text, token, payload, validity, issued_at, failed_verifications }
    }

    /// The text, as it was parsed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The claims but for `exp`, `nbf` and `iat`.
    pub(crate) fn payload(&self) -> &Object {
        &self.payload
    }

    /// `exp` and `nbf`.
    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }

    /// `iat`.
    pub(crate) fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// `iss`.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.payload.get("iss").and_then(Value::as_str)
    }

    /// `alg`.
    pub(super) fn algorithm(&self) -> &str {
        self.token.algorithm()
    }

    /// `jwk`, which only a proof of possession may bring.
    pub(super) fn embedded_key(&self) -> Option<&Value> {
        self.token.header().other_fields.get("jwk")
    }

    /// `kid`, if it says anything.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.token.header().key_id.as_deref().filter(|id| !id.is_empty())
    }

    /// `typ` as a media type without parameters, in lower case and without its `application/` (RFC 7515 §4.1.9).
    pub(crate) fn media_type(&self) -> Option<String> {
        self.token.header().token_type.as_deref().map(media_type)
    }

    /// Whether its `typ` is made to mean another thing than an access token.
    pub(crate) fn is_of_other_kind(&self) -> bool {
        self.media_type().is_some_and(|media_type| is_type_of_other_jwt(&media_type))
    }

    /// How many public keys did not verify its signature.
    pub(crate) fn failed_verifications(&self) -> u32 {
        self.failed_verifications.get()
    }

    /// A public key did not verify its signature.
    pub(super) fn note_failed_verification(&self) {
        self.failed_verifications.set(self.failed_verifications.get().saturating_add(1));
    }

    /// What was signed (RFC 7515 §5.2), and the signature.
    pub(super) fn signed(&self) -> (&[u8], &[u8]) {
        let (message, _) = self.text.rsplit_once('.').unwrap_or_default();
        (message.as_bytes(), self.token.signature_bytes())
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
