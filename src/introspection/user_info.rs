//! The UserInfo response (OpenID Connect Core §5.3), for servers without introspection: the token is presented to the UserInfo endpoint,
//! whose response shows whether it is a user's valid token.
//!
//! The response describes the user, not the token: it has neither client nor audience, scope or expiry. Members with such names are about
//! the user, who may have written them, so they are not read.

use serde_json::Value;

use super::error_response::InactiveAnswers;
use crate::http::media_type;
use crate::json::Object;
use crate::refusal::{Reason, TokenError};
use crate::token::claims::{ClaimMapping, Claims};

/// Reads the claims of the user.
///
/// # Errors
/// [`Reason::UnexpectedResponse`] for a body that is not a JSON object or lacks `sub`, which every response has (§5.3.2).
pub(super) fn parse(body: &[u8], claim_mapping: &ClaimMapping) -> Result<Claims, TokenError> {
    let response = Object::parse(body).map_err(|_| Reason::UnexpectedResponse)?;
    let response = response.without(|name| OF_TOKENS.contains(&name) || name == claim_mapping.scope_claim);
    if response.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Reason::UnexpectedResponse.into());
    }
    Claims::read(&response, claim_mapping)
}

/// The reason for a response without claims. The only credentials are the client's token, so a challenge for a bearer token is about that
/// token (RFC 6750 §3); a challenge for other credentials is a proxy's, and an HTML page says nothing of a token.
pub(super) fn reason(
    inactive: &InactiveAnswers,
    status: u16,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
) -> Reason {
    let challenges = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"www-authenticate"));
    let challenges = challenges.map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase());
    let challenges: Vec<String> = challenges.collect();
    let mut parts = challenges.iter().flat_map(|challenge| challenge.split(',')).map(str::trim);
    let is_page = media_type::of(headers).is_some_and(|media_type| media_type == "text/html");
    match status {
        401 if parts.any(|part| part.starts_with("bearer") || part.starts_with("dpop")) => Reason::Inactive,
        401 if challenges.is_empty() && !is_page => Reason::Inactive,
        // The token is a client's own, or was granted without the scope `openid`: it is valid, but says nothing of a user.
        403 if challenges.iter().any(|challenge| challenge.contains("insufficient_scope")) => {
            Reason::InsufficientScope
        }
        _ => match inactive.reason(status, headers, body) {
            Reason::GatewayCredentialsRefused => Reason::UnexpectedResponse,
            reason => reason,
        },
    }
}

/// Claims about a token (RFC 7519 §4.1, RFC 7662 §2.2, RFC 7800 §3, RFC 9068 §2.2), and about how its user authenticated.
const OF_TOKENS: &[&str] = &[
    "acr",
    "active",
    "amr",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "cnf",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "scope",
    "scp",
    "token_type",
];

#[cfg(test)]
mod tests;
