//! The signed introspection response (RFC 9701 §5): a JWT around the response, made for this gateway alone. It must never be forwarded as a
//! token (§8).

use std::time::Duration;

use crate::json::Object;
use crate::jwt::Jws;
use crate::refusal::{Reason, TokenError};
use crate::time::{Timestamp, Validity};

/// The required claims of a signed response itself (R43).
#[derive(Clone, Debug)]
pub struct SignedResponse {
    /// `iss`: the names of the authorization server.
    pub issuers: Vec<String>,
    /// `aud`: this gateway, as the server knows it.
    pub audience: String,
    /// Whether an unsigned response is refused (R47).
    pub required: bool,
}

impl SignedResponse {
    /// Returns the JWT, whose signature is still to be verified, and the response inside. Expiry, subject or scope outside
    /// `token_introspection` are not about the token (R46).
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for a text that is not a JWT from the server, addressed to the gateway and recent.
    pub(super) fn open<'t>(&self, text: &'t str, now: Timestamp) -> Result<(Jws<'t>, Object), TokenError> {
        let wrong = |member| TokenError { member, ..Reason::UnexpectedResponse.into() };
        let jws = Jws::parse(text).map_err(|no_jws| wrong(no_jws.member()))?;
        let payload = jws.payload();
        let is_for_us = match payload.get("aud") {
            Some(serde_json::Value::Array(audience)) => audience.iter().any(|one| *one == *self.audience),
            Some(audience) => *audience == *self.audience,
            None => false,
        };
        let is_recent = payload.date("iat")?.is_some_and(|issued_at| {
            issued_at <= now.plus(MAX_CLOCK_DIFFERENCE) && now <= issued_at.plus(MAX_CLOCK_DIFFERENCE)
        });
        let validity = Validity { expires: payload.date("exp")?, not_before: payload.date("nbf")? };
        for (member, is_right) in [
            ("typ", jws.media_type().as_deref() == Some(MEDIA_TYPE)),
            ("iss", self.issuers.iter().any(|issuer| jws.issuer() == Some(issuer))),
            ("aud", is_for_us),
            ("iat", is_recent),
            ("exp", !validity.has_expired(now, MAX_CLOCK_DIFFERENCE)),
            ("nbf", !validity.is_not_yet_valid(now, MAX_CLOCK_DIFFERENCE)),
        ] {
            if !is_right {
                return Err(wrong(Some(member)));
            }
        }
        let response = payload.get("token_introspection").and_then(Object::of);
        Ok((jws, response.ok_or(wrong(Some("token_introspection")))?))
    }
}

const MEDIA_TYPE: &str = "token-introspection+jwt";
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
