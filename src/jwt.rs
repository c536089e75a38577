//! The phantom token: the JWT that stands for an opaque access token (RFC 7519 in the JWS compact serialization of
//! RFC 7515 §7.1). It comes from the authorization server by an authenticated call, and its signature is verified by the
//! services that receive it, not here.

use jwt_compact::UntrustedToken;
use serde_json::Value;

use crate::claims::{self, Claims};
use crate::json::Object;
use crate::rejection::Reason;
use crate::time::{Timestamp, Validity};

/// A JWT that may be forwarded once its claims are validated.
#[derive(Debug)]
pub(crate) struct PhantomToken {
    text: String,
    claims: Claims,
    validity: Validity,
}

impl PhantomToken {
    /// Parses a JWT from the authorization server.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for what is no signed JWT or no access token's; [`Reason::Inactive`],
    /// [`Reason::NotAnAccessToken`] or [`Reason::SenderConstrained`] where its payload says so (R36, R39, R40).
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let jwt = UntrustedToken::new(text).map_err(|_| Reason::UnexpectedResponse)?;
        if jwt.algorithm().eq_ignore_ascii_case("none") || jwt.signature_bytes().is_empty() {
            return Err(Reason::UnexpectedResponse);
        }
        if jwt.header().token_type.as_deref().is_some_and(is_type_of_other_jwt) {
            return Err(Reason::UnexpectedResponse);
        }
        let standard =
            jwt.deserialize_claims_unchecked::<Object>().map_err(|_| Reason::UnexpectedResponse)?;
        let payload = &standard.custom;
        match payload.get("active") {
            None => {}
            Some(Value::Bool(false)) => return Err(Reason::Inactive),
            Some(_) => return Err(Reason::UnexpectedResponse),
        }
        claims::refuse_other_kinds(payload)?;
        let date = |seconds: i64| Timestamp::from_numeric_date(seconds as f64);
        Ok(Self {
            text: text.to_owned(),
            claims: Claims::read(payload)?,
            validity: Validity {
                expires: standard.expiration.map(|moment| date(moment.timestamp())),
                not_before: standard.not_before.map(|moment| date(moment.timestamp())),
            },
        })
    }

    /// The JWT as the authorization server wrote it, byte by byte.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its dates.
    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }

    /// Its claims.
    pub(crate) fn into_claims(self) -> Claims {
        self.claims
    }
}

/// JWTs that are made to mean something else: RFC 9701 §5, RFC 9449 §4.2, OpenID Connect Back-Channel Logout §2.4,
/// RFC 8417 §2.3. None may be mistaken for an access token (RFC 8725 §3.11).
fn is_type_of_other_jwt(token_type: &str) -> bool {
    let name = token_type.to_ascii_lowercase();
    let name = name.strip_prefix("application/").unwrap_or(&name);
    matches!(name, "token-introspection+jwt" | "dpop+jwt" | "logout+jwt" | "secevent+jwt")
}

#[cfg(test)]
mod tests;
