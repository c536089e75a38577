//! The phantom token: the JWT that stands for an opaque access token (RFC 7519 in the JWS compact serialization of
//! RFC 7515 §7.1). It comes from the authorization server by an authenticated call, and its signature is verified by the
//! services that receive it, not here.

use jwt_compact::UntrustedToken;
use serde_json::Value;

use crate::claims::Claims;
use crate::json::Object;
use crate::rejection::Reason;
use crate::time::{Timestamp, Validity};

/// A JWT that may be forwarded once its claims are validated.
#[derive(Debug)]
pub(crate) struct PhantomToken {
    /// The JWT as the authorization server wrote it, byte by byte.
    pub(crate) text: String,
    /// What it claims.
    pub(crate) claims: Claims,
}

impl PhantomToken {
    /// Parses a JWT from the authorization server; `asked_claims` are the pointers of the claims that rules ask about.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for what is no signed JWT or no access token's; [`Reason::Inactive`],
    /// [`Reason::NotAnAccessToken`] or [`Reason::SenderConstrained`] where its payload says so (R36, R39, R40).
    pub(crate) fn parse(text: &str, asked_claims: &[String]) -> Result<Self, Reason> {
        let jwt = UntrustedToken::<Object>::try_from(text).map_err(|_| Reason::UnexpectedResponse)?;
        if !is_signed_access_token(&jwt) {
            return Err(Reason::UnexpectedResponse);
        }
        let standard =
            jwt.deserialize_claims_unchecked::<Object>().map_err(|_| Reason::UnexpectedResponse)?;
        let payload = &standard.custom;
        if payload.get("active") == Some(&Value::Bool(false)) {
            return Err(Reason::Inactive);
        }
        if payload.has("active") || payload.has("token_introspection") {
            return Err(Reason::UnexpectedResponse);
        }
        let date = |seconds: i64| Timestamp::from_numeric_date(seconds as f64);
        let validity = Validity {
            expires: standard.expiration.map(|moment| date(moment.timestamp())),
            not_before: standard.not_before.map(|moment| date(moment.timestamp())),
        };
        let claims = Claims::read(payload)?.with_validity(validity).with_asked(payload, asked_claims);
        Ok(Self { text: text.to_owned(), claims })
    }
}

/// Whether a presented token is a JWT of another kind than an access token, by its own word (R45). An opaque token says
/// nothing.
pub(crate) fn says_other_kind(token: &str) -> bool {
    UntrustedToken::<Object>::try_from(token)
        .is_ok_and(|jwt| jwt.header().token_type.as_deref().is_some_and(is_type_of_other_jwt))
}

/// What its header says: an algorithm, no critical extension that we would have to understand (RFC 7515 §4.1.11), and no
/// type that is made to mean something else.
fn is_signed_access_token(jwt: &UntrustedToken<'_, Object>) -> bool {
    let algorithm = jwt.algorithm();
    let is_algorithm = !algorithm.is_empty()
        && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !algorithm.eq_ignore_ascii_case("none");
    let header = jwt.header();
    is_algorithm
        && !jwt.signature_bytes().is_empty()
        && !header.other_fields.has("crit")
        && !header.other_fields.has("b64")
        && !header.token_type.as_deref().is_some_and(is_type_of_other_jwt)
}

/// JWTs that must not be mistaken for an access token (RFC 8725 §3.11): RFC 9701 §5, RFC 9449 §4.2, OpenID Connect
/// Back-Channel Logout §2.4, RFC 8417 §2.3.
fn is_type_of_other_jwt(token_type: &str) -> bool {
    let name = token_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let name = name.strip_prefix("application/").unwrap_or(&name);
    matches!(name, "token-introspection+jwt" | "dpop+jwt" | "logout+jwt" | "secevent+jwt")
}

#[cfg(test)]
mod tests;
