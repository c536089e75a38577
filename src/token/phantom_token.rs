//! The phantom token: the JWT that stands for an opaque access token (RFC 7519 in the JWS compact serialization of
//! RFC 7515 §7.1). It comes from the authorization server by an authenticated call.

use serde_json::Value;

use crate::jwt::Jws;
use crate::refusal::{Reason, TokenError};
use crate::token::claims::{ClaimMapping, Claims};
use crate::token::kinds;

/// A JWT that may be forwarded once its claims are validated.
#[derive(Debug)]
pub(crate) struct PhantomToken {
    /// The JWT as the authorization server wrote it, byte by byte.
    pub(crate) jws: Jws<'static>,
    /// The claims of the JWT.
    pub(crate) claims: Claims,
}

impl PhantomToken {
    /// Parses a JWT from the authorization server.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for a text that is not a signed JWT, or is not an access token's; [`Reason::Inactive`],
    /// [`Reason::NotAnAccessToken`] or [`Reason::ProofRequired`] where its payload says so (R36, R39, R40).
    pub(crate) fn parse(text: &str, claim_mapping: &ClaimMapping) -> Result<Self, TokenError> {
        let unexpected = TokenError::from(Reason::UnexpectedResponse);
        let jws = Jws::parse(text).map_err(|no_jws| TokenError { member: no_jws.member(), ..unexpected })?;
        if jws.is_of_other_kind() {
            return Err(TokenError { member: Some("typ"), ..unexpected });
        }
        if jws.media_type().is_some_and(|media_type| kinds::is_other_kind(&media_type)) {
            return Err(TokenError::about("typ", Reason::NotAnAccessToken));
        }
        let payload = jws.payload();
        if payload.get("active") == Some(&Value::Bool(false)) {
            return Err(Reason::Inactive.into());
        }
        if payload.has("active") || payload.has("token_introspection") {
            return Err(unexpected);
        }
        let claims = Claims::read(payload, claim_mapping)?;
        Ok(Self { jws: jws.into_owned(), claims })
    }
}

#[cfg(test)]
mod tests;
