//! JWT access tokens that clients present, read for verification here (RFC 9068 §4, RFC 8725 §3).

use std::time::Duration;

use serde_json::Value;

use crate::json::Object;
use crate::jwt::Jws;
use crate::refusal::{Reason, TokenError};
use crate::time::Timestamp;
use crate::token::claims::{ClaimMapping, Claims};

/// What an access token has to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All that RFC 9068 §2 requires.
    Rfc9068,
    /// Issuer, audience and expiry, and that it is not an ID token. For servers older than RFC 9068.
    Lax,
    /// Issuer, audience and expiry, for any JWT that does not declare another kind. Few servers mark ID tokens.
    Any,
}

/// The treatment of access tokens that are JWTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAccessTokens {
    /// They are introspected like any token.
    Introspected,
    /// They are refused.
    Refused,
    /// Those that the server issued are verified here (RFC 9068 §4).
    Verified(Profile),
}

impl Profile {
    /// Reads the claims of a token whose signature is still to be verified. Issuer and audience are validated with every request.
    ///
    /// # Errors
    /// [`Reason::NotAnAccessToken`] for an ID token and the like (R69), [`Reason::MissingExpiration`] and [`Reason::MissingClaim`] for
    /// missing claims (R67, R68), [`Reason::NotYetValid`] for a token that was issued in the future, [`Reason::MalformedJwt`] for a claim
    /// of the wrong type.
    pub(crate) fn read(
        self,
        jws: &Jws<'_>,
        claim_mapping: &ClaimMapping,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let payload = jws.payload();
        let is_typed = jws.media_type().as_deref() == Some("at+jwt");
        let is_plain = is_typed || matches!(jws.media_type().as_deref(), None | Some("jwt" | "jose"));
        let says_access_token = claim_mapping.kinds.says_access_token(payload)? || is_typed;
        let is_other = OTHER_KINDS_CLAIMS.iter().any(|name| payload.has(name));
        let is_of_kind = match self {
            Self::Rfc9068 => is_typed,
            Self::Lax => is_plain && !is_other && (says_access_token || resembles_access_token(payload)),
            Self::Any => is_plain && !is_other,
        };
        if !is_of_kind {
            return Err(Reason::NotAnAccessToken.into());
        }
        let issued_at = self.validate_claims(payload).map_err(TokenError::of_presented_jwt)?;
        if issued_at.is_some_and(|issued_at| issued_at > now.plus(MAX_CLOCK_DIFFERENCE)) {
            return Err(Reason::NotYetValid.into());
        }
        Claims::read(payload, claim_mapping).map_err(TokenError::of_presented_jwt)
    }

    /// Checks that the required claims are present. Returns `iat`.
    fn validate_claims(self, payload: &Object) -> Result<Option<Timestamp>, TokenError> {
        let issued_at = payload.date("iat")?;
        if payload.date("exp")?.is_none() {
            return Err(Reason::MissingExpiration.into());
        }
        if self == Self::Rfc9068 {
            for name in REQUIRED_TEXTS {
                payload.text(name)?.ok_or(TokenError::about(name, Reason::MissingClaim))?;
            }
            issued_at.ok_or(TokenError::about("iat", Reason::MissingClaim))?;
        }
        Ok(issued_at)
    }
}

/// Whether a JWT that does not declare its kind has the claims of an access token. Those of an ID token count against it,
/// unless `aud` rules that out.
fn resembles_access_token(payload: &Object) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| payload.get(name).is_some());
    // AD FS has `appid` in all of its JWTs, and a scope only where one was asked for.
    let is_of_use = has(&ACCESS_TOKEN_CLAIMS) || (has(&["appid"]) && is_for_other_than_client(payload));
    if has(&ID_TOKEN_CLAIMS) {
        return is_of_use && is_for_other_than_client(payload);
    }
    is_of_use || (has(&PERMISSIONS) && has(&CLIENTS))
}

/// Whether a client is named and is not in `aud`, where every ID token has it (OpenID Connect Core §2).
fn is_for_other_than_client(payload: &Object) -> bool {
    let mut clients =
        ["client_id", "cid"].iter().chain(&CLIENTS).filter_map(|name| payload.get(name)).peekable();
    let is_audience = |client: &Value| match payload.get("aud") {
        Some(Value::Array(audience)) => audience.contains(client),
        audience => audience == Some(client),
    };
    clients.peek().is_some() && !clients.any(is_audience)
}

/// Claims that access tokens never have: those of security events (RFC 8417 §2.2), and those of refresh tokens that otherwise look like
/// access tokens, which have the access token's `jti` in `ati` (Spring Security OAuth), or the scopes that it may be granted (Cloud Foundry
/// UAA).
const OTHER_KINDS_CLAIMS: [&str; 3] = ["events", "ati", "granted_scopes"];

/// Claims of ID tokens (OpenID Connect Core §2, §3.1.3.6, §3.3.2.11).
const ID_TOKEN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Claims about the token's permissions, client or client authentication in various servers (RFC 9068 §2.2, RFC 9396 §9.1,
/// Okta, Entra ID); ID tokens have none of them.
const ACCESS_TOKEN_CLAIMS: [&str; 7] =
    ["scope", "scp", "client_id", "cid", "authorization_details", "azpacr", "appidacr"];

/// Permissions of the user or the client, or the grant type. ID tokens of Entra ID have the user's roles as well, but name the
/// client only in `aud`.
const PERMISSIONS: [&str; 4] = ["roles", "permissions", "gty", "idtyp"];

/// Claims that name the client of an access token, on Entra ID (version 2.0 and 1.0) and Auth0. ID tokens of Google have `azp` as well.
const CLIENTS: [&str; 2] = ["azp", "appid"];

/// The claims that RFC 9068 §2.2 requires, besides the dates and `aud`.
const REQUIRED_TEXTS: [&str; 4] = ["iss", "sub", "client_id", "jti"];

const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
