//! The introspection response (RFC 7662 §2.2, §2.3): a JWT in the body (`application/jwt`) or in a member of JSON, JSON
//! alone, or JSON inside a signed response (RFC 9701).
//!
//! The response is untrusted input, read by its actual media type. The result says which signature has to be verified before the claims
//! count; verifying is not done here.

use serde_json::Value;

use crate::http::callout::{CallResult, status};
use crate::http::freshness::Freshness;
use crate::http::media_type;
use crate::introspection::{InactiveAnswers, SignedResponse, user_info};
use crate::json::Object;
use crate::refusal::{Reason, TokenError};
use crate::time::Timestamp;
use crate::token::active_token::{ActiveToken, Source};
use crate::token::claims::{ClaimMapping, Claims};
use crate::token::phantom_token::PhantomToken;

/// The format of the authorization server's responses.
#[derive(Clone, Debug)]
pub struct ResponseFormat {
    /// The requested format, which determines what is accepted.
    pub format: Format,
    /// The member of a JSON response that holds the JWT; `None` if JSON holds no JWT.
    pub jwt_field: Option<String>,
    /// The errors by which the server says that a token is not active.
    pub inactive: InactiveAnswers,
    /// The longest JWT, in bytes, that the services behind the gateway accept.
    pub max_jwt_length: usize,
}

/// A format of responses.
#[derive(Clone, Debug)]
pub enum Format {
    /// `application/jwt`: the body is the JWT, and 204 says "not active".
    Jwt,
    /// `application/json`.
    Json,
    /// `application/token-introspection+jwt`.
    Signed(SignedResponse),
    /// `application/json` of the UserInfo endpoint.
    UserInfo,
}

impl Format {
    /// The one media type that is requested (R18).
    pub(crate) fn media_type(&self) -> &'static str {
        match self {
            Self::Jwt => "application/jwt",
            Self::Json | Self::UserInfo => "application/json",
            Self::Signed(_) => "application/token-introspection+jwt",
        }
    }
}

impl ResponseFormat {
    /// The longest body that is read, in bytes: a JWT, and its claims once more next to it.
    pub fn body_limit(&self) -> usize {
        self.max_jwt_length.saturating_mul(4).max(MIN_BODY_LIMIT)
    }

    /// Reads the result of a callout.
    ///
    /// # Errors
    /// The client's fault where the server says so of the token, as by [`Reason::Inactive`] or [`Reason::NotAnAccessToken`]; all else is
    /// the server's fault.
    pub(crate) fn parse(
        &self,
        result: CallResult<'_>,
        claim_mapping: &ClaimMapping,
        now: Timestamp,
    ) -> Result<ActiveToken, TokenError> {
        let CallResult::Response { headers, body } = result else {
            return Err(Reason::of_failure(&result).into());
        };
        let active = match (status(headers), MediaType::of(headers), &self.format) {
            (Some(200), MediaType::Jwt, Format::Jwt) => self.parse_jwt(body, claim_mapping),
            (Some(200), MediaType::Signed, Format::Signed(signed)) => {
                parse_signed(signed, body, claim_mapping, now)
            }
            (Some(200), MediaType::Json, Format::Signed(SignedResponse { required: true, .. })) => {
                Err(Reason::UnexpectedResponse.into())
            }
            (Some(200), MediaType::Json, Format::UserInfo) => {
                user_info::parse(body, claim_mapping).map(|claims| ActiveToken::new(Source::Response, claims))
            }
            (Some(status), _, Format::UserInfo) => {
                Err(user_info::reason(&self.inactive, status, headers, body).into())
            }
            (Some(200), MediaType::Json, _) => self.parse_json(body, claim_mapping),
            (Some(204), _, Format::Jwt) => Err(Reason::Inactive.into()),
            (Some(status), ..) => Err(self.inactive.reason(status, headers, body).into()),
            (None, ..) => Err(Reason::UnexpectedResponse.into()),
        }?;
        Ok(ActiveToken { freshness: Freshness::of(headers, now), ..active })
    }

    fn parse_jwt(&self, body: &[u8], claim_mapping: &ClaimMapping) -> Result<ActiveToken, TokenError> {
        let PhantomToken { jws, claims } = self.phantom_token(text(body)?, claim_mapping)?;
        Ok(ActiveToken::new(Source::PhantomToken(Box::new(jws)), claims))
    }

    fn parse_json(&self, body: &[u8], claim_mapping: &ClaimMapping) -> Result<ActiveToken, TokenError> {
        let response = Object::parse(body).map_err(|_| Reason::UnexpectedResponse)?;
        let beside = claims_of_active(&response, claim_mapping)?;
        let jwt = match (&self.jwt_field, &self.format) {
            (Some(name), _) => response.get(name).and_then(Value::as_str),
            (None, Format::Jwt) => None,
            (None, Format::Json | Format::Signed(_) | Format::UserInfo) => {
                return Ok(ActiveToken::new(Source::Response, beside.without_empty_audience()));
            }
        };
        let PhantomToken { jws, claims } =
            self.phantom_token(jwt.ok_or(Reason::MissingPhantomToken)?, claim_mapping)?;
        Ok(ActiveToken::new(Source::PhantomToken(Box::new(jws)), claims.narrowed_by(beside)?))
    }

    fn phantom_token(&self, text: &str, claim_mapping: &ClaimMapping) -> Result<PhantomToken, TokenError> {
        if text.len() > self.max_jwt_length {
            return Err(Reason::PhantomTokenTooLong.into());
        }
        PhantomToken::parse(text, claim_mapping)
    }
}

fn parse_signed(
    signed: &SignedResponse,
    body: &[u8],
    claim_mapping: &ClaimMapping,
    now: Timestamp,
) -> Result<ActiveToken, TokenError> {
    let (jws, response) = signed.open(text(body)?, now)?;
    let claims = claims_of_active(&response, claim_mapping)?.without_empty_audience();
    Ok(ActiveToken::new(Source::SignedResponse(Box::new(jws.into_owned())), claims))
}

/// Reads the claims. `active` must be the boolean true (R25); anything next to `"active": false` is ignored (R26).
fn claims_of_active(response: &Object, claim_mapping: &ClaimMapping) -> Result<Claims, TokenError> {
    match response.get("active").and_then(Value::as_bool) {
        // Refresh tokens are active as well, and many servers describe them without a type.
        Some(true) if claim_mapping.requires_token_type && response.get("token_type").is_none() => {
            Err(TokenError::about("token_type", Reason::NotAnAccessToken))
        }
        Some(true) => {
            let claims = Claims::read(response, claim_mapping)?;
            let says_zero = response.get("exp").and_then(Value::as_f64) == Some(0.0);
            let has_no_end = says_zero && claim_mapping.allows_zero_expiration;
            Ok(if has_no_end { claims.without_end() } else { claims })
        }
        Some(false) => Err(Reason::Inactive.into()),
        None => Err(TokenError::about("active", Reason::UnexpectedResponse)),
    }
}

fn text(body: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(body).map_err(|_| Reason::UnexpectedResponse)
}

/// The media types that are recognized; parameters and letter case do not count (R27).
#[derive(Clone, Copy)]
enum MediaType {
    Jwt,
    Json,
    Signed,
    Other,
}

impl MediaType {
    fn of(headers: &[(&[u8], &[u8])]) -> Self {
        match media_type::of(headers).as_deref() {
            Some("application/jwt") => Self::Jwt,
            Some("application/json") => Self::Json,
            Some("application/token-introspection+jwt") => Self::Signed,
            _ => Self::Other,
        }
    }
}

/// Room for a plain JSON response where JWTs are configured to be short.
const MIN_BODY_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests;
