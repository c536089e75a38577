//! JWT access tokens that clients present, read for verification here (RFC 9068 §4, RFC 8725 §3).

use std::time::Duration;

use serde_json::Value;

use crate::jwt::Jws;
use crate::refusal::Reason;
use crate::time::Timestamp;
use crate::token::claims::{ClaimMapping, Claims};

/// How much an access token has to say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All that RFC 9068 §2 requires.
    Rfc9068,
    /// What decides: issuer, audience and expiry. For servers that are older than RFC 9068.
    Lax,
}

/// What becomes of access tokens that are JWTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAccessTokens {
    /// They are introspected like any token.
    Introspected,
    /// They are refused.
    Refused,
    /// Their issuer's are verified here (RFC 9068 §4).
    Verified(Profile),
}

impl Profile {
    /// Reads the claims of a token whose signature is still to be verified. Issuer and audience are validated with every request.
    ///
    /// # Errors
    /// [`Reason::NotAnAccessToken`] for an ID token and the like (R69), [`Reason::MissingExpiration`] and
    /// [`Reason::MissingClaim`] for what has to be there (R67, R68), [`Reason::NotYetValid`] for one that was issued in the future.
    pub(crate) fn read(
        self,
        jws: &Jws<'_>,
        claim_mapping: &ClaimMapping,
        now: Timestamp,
    ) -> Result<Claims, Reason> {
        let payload = jws.payload();
        let says_access_token = jws.media_type().as_deref() == Some("at+jwt");
        let is_of_type = match self {
            Self::Rfc9068 => says_access_token,
            Self::Lax => {
                let has = |names: &[&str]| names.iter().any(|name| payload.has(name));
                let says = |names: &[&str]| names.iter().any(|name| payload.get(name).is_some());
                let is_for_api = says(&ACCESS_TOKEN_CLAIMS)
                    || (says(&PERMISSIONS) && (says(&CLIENTS) || says_access_token));
                let is_plain = matches!(jws.media_type().as_deref(), None | Some("jwt" | "at+jwt"));
                is_plain && !has(&OTHER_KINDS) && is_for_api
            }
        };
        if jws.is_of_other_kind() || !is_of_type {
            return Err(Reason::NotAnAccessToken);
        }
        if jws.validity().expires.is_none() {
            return Err(Reason::MissingExpiration);
        }
        if self == Self::Rfc9068 {
            let is_text = |name: &&str| payload.get(name).is_some_and(Value::is_string);
            if !REQUIRED_TEXTS.iter().all(is_text) || jws.issued_at().is_none() {
                return Err(Reason::MissingClaim);
            }
        }
        if jws.issued_at().is_some_and(|issued_at| issued_at > now.plus(MAX_CLOCK_DIFFERENCE)) {
            return Err(Reason::NotYetValid);
        }
        let claims = Claims::read(payload, claim_mapping).map_err(|reason| match reason {
            // The client shows this, so it is not the server's fault.
            Reason::UnexpectedResponse => Reason::InvalidSignature,
            reason => reason,
        })?;
        Ok(claims.with_validity(jws.validity()))
    }
}

/// Claims of ID tokens (OpenID Connect Core §2, §3.1.3.6, §3.3.2.11) and of security events, logout tokens among them
/// (RFC 8417 §2.2).
const OTHER_KINDS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

/// What says what a token is good for, or for which client, in one server's words or another's; ID tokens say neither.
const ACCESS_TOKEN_CLAIMS: [&str; 4] = ["scope", "scp", "client_id", "cid"];

/// What the user or the client may do. ID tokens of Entra ID have the user's roles as well, but name the client in `aud` alone.
const PERMISSIONS: [&str; 2] = ["roles", "permissions"];

/// For which client an access token is, of Entra ID (version 2.0 and 1.0) and Auth0.
const CLIENTS: [&str; 2] = ["azp", "appid"];

/// What RFC 9068 §2.2 requires, beside the dates and `aud`.
const REQUIRED_TEXTS: [&str; 4] = ["iss", "sub", "client_id", "jti"];

const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
