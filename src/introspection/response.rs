//! The introspection response (RFC 7662 §2.2, §2.3): a JWT in the body (`application/jwt`) or in a member of JSON.
//!
//! The answer is untrusted input, read by its actual media type. This module does not verify signatures, and a signed
//! introspection response (RFC 9701) is refused: it must never travel upstream as a token (RFC 9701 §8).

use crate::cache::Freshness;
use crate::claims::Claims;
use crate::json::Object;
use crate::jwt::PhantomToken;
use crate::rejection::Reason;

/// What became of a callout.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// A response, be it from the server or from the proxy in its place.
    Response {
        /// All header fields, `:status` included.
        headers: &'a [(&'a [u8], &'a [u8])],
        /// The body.
        body: &'a [u8],
    },
    /// The response has a body over the limit, so it was not read.
    Oversized,
    /// The host could not dispatch the call, or lost it: unknown upstream, no host, connection reset.
    Lost,
}

/// How the authorization server hands out the JWT.
#[derive(Clone, Debug)]
pub struct ResponseFormat {
    /// Whether `application/jwt` was asked for: only then may the whole body be the JWT, and 204 say "not active".
    pub is_jwt: bool,
    /// The member of a JSON response that holds the JWT.
    pub jwt_member: Option<String>,
    /// The longest JWT, in bytes, that the services behind the gateway accept.
    pub max_jwt_length: usize,
    /// The pointers of the claims that rules ask about.
    pub asked_claims: Vec<String>,
}

/// What the authorization server said of an active token.
#[derive(Debug)]
pub(crate) struct ActiveToken {
    /// The JWT that stands for the token.
    pub(crate) jwt: String,
    /// What is claimed of both.
    pub(crate) claims: Claims,
    /// Whether, and for how long, HTTP allows the answer to be used again.
    pub(crate) freshness: Freshness,
}

impl ResponseFormat {
    /// The longest body worth reading, in bytes: a JWT and, beside it, its claims once more.
    pub fn body_limit(&self) -> usize {
        self.max_jwt_length.saturating_mul(4).max(MIN_BODY_LIMIT)
    }

    /// Reads the outcome of a callout.
    ///
    /// # Errors
    /// [`Reason::Inactive`] and [`Reason::NotAnAccessToken`] where the server says so of the token; all else is the
    /// server's fault.
    pub(crate) fn parse(&self, outcome: Outcome<'_>) -> Result<ActiveToken, Reason> {
        let (headers, body) = match outcome {
            Outcome::Response { headers, body } => (headers, body),
            Outcome::Oversized => return Err(Reason::UnexpectedResponse),
            Outcome::Lost => return Err(Reason::Unavailable),
        };
        let media_type = MediaType::of(headers);
        match (status(headers), media_type) {
            (Some(200), MediaType::Jwt) if self.is_jwt => self.parse_jwt(headers, body),
            (Some(200), MediaType::Json) => self.parse_json(headers, body),
            (Some(204), _) if self.is_jwt => Err(Reason::Inactive),
            (Some(400), MediaType::Json) if names_unsupported_token(body) => Err(Reason::Inactive),
            (Some(401 | 403), _) => Err(Reason::GatewayCredentialsRefused),
            (Some(504), _) => Err(Reason::TimedOut),
            (Some(429 | 500..), _) => Err(Reason::Unavailable),
            _ => Err(Reason::UnexpectedResponse),
        }
    }

    fn parse_jwt(&self, headers: Headers<'_>, body: &[u8]) -> Result<ActiveToken, Reason> {
        let text = std::str::from_utf8(body).map_err(|_| Reason::UnexpectedResponse)?;
        let PhantomToken { text: jwt, claims } = self.phantom_token(text)?;
        Ok(ActiveToken { jwt, claims, freshness: Freshness::of(headers) })
    }

    /// `active` must be the boolean true (R25); whatever stands beside `"active": false` is worthless (R26).
    fn parse_json(&self, headers: Headers<'_>, body: &[u8]) -> Result<ActiveToken, Reason> {
        let response = Object::parse(body).map_err(|_| Reason::UnexpectedResponse)?;
        match response.get("active").and_then(serde_json::Value::as_bool) {
            Some(true) => {}
            Some(false) => return Err(Reason::Inactive),
            None => return Err(Reason::UnexpectedResponse),
        }
        let beside = Claims::read(&response)?;
        let member = self.jwt_member.as_deref().and_then(|name| response.get(name));
        let text = member.and_then(serde_json::Value::as_str).ok_or(Reason::MissingPhantomToken)?;
        let PhantomToken { text: jwt, claims } = self.phantom_token(text)?;
        Ok(ActiveToken { jwt, claims: claims.narrowed_by(beside)?, freshness: Freshness::of(headers) })
    }

    fn phantom_token(&self, text: &str) -> Result<PhantomToken, Reason> {
        if text.len() > self.max_jwt_length {
            return Err(Reason::PhantomTokenTooLong);
        }
        PhantomToken::parse(text, &self.asked_claims)
    }
}

type Headers<'a> = &'a [(&'a [u8], &'a [u8])];

/// The media types that mean something here; parameters and letter case do not count (R27).
#[derive(Clone, Copy)]
enum MediaType {
    Jwt,
    Json,
    Other,
}

impl MediaType {
    fn of(headers: Headers<'_>) -> Self {
        let mut fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
        let (Some((_, value)), None) = (fields.next(), fields.next()) else { return Self::Other };
        let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/jwt") {
            Self::Jwt
        } else if essence.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

fn status(headers: Headers<'_>) -> Option<u16> {
    let (_, value) = headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// RFC 7009 §2.2.1 registers this error; oidc-provider answers it for a token that it would never introspect (R29).
fn names_unsupported_token(body: &[u8]) -> bool {
    Object::parse(body).is_ok_and(|error| {
        error.get("error").and_then(|name| name.as_str()) == Some("unsupported_token_type")
    })
}

/// Room for a plain JSON answer where JWTs are configured to be short.
const MIN_BODY_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests;
