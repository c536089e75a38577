//! What is claimed about a token, be it in a JWT (RFC 7519 §4.1, RFC 9068 §2.2) or in an introspection response
//! (RFC 7662 §2.2), and whether that satisfies the configuration and a rule.

use std::time::Duration;

use serde_json::Value;

use crate::json::Object;
use crate::rejection::{Reason, Rejection};
use crate::rules::Requirement;
use crate::time::{Timestamp, Validity};

/// The claims that decide about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    issuer: Option<Box<str>>,
    audience: Box<[Box<str>]>,
    scope: Box<[Box<str>]>,
}

/// What every token must claim, whatever the rule.
#[derive(Clone, Debug, Default)]
pub struct TokenPolicy {
    /// `iss`, if it is checked.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; none named means it is not checked.
    pub audience: Vec<String>,
    /// How far the clocks of issuer and gateway may differ.
    pub leeway: Duration,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
}

impl Claims {
    /// Reads the claims of a JWT's payload.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for a claim of the wrong type: the authorization server made it.
    pub(crate) fn read(payload: &Object) -> Result<Self, Reason> {
        let issuer = payload.get("iss").map(text).transpose()?;
        let audience = match payload.get("aud") {
            None => Vec::new(),
            Some(Value::Array(values)) => values.iter().map(text).collect::<Result<_, _>>()?,
            Some(value) => vec![text(value)?],
        };
        let scope = payload.get("scope").map(text).transpose()?.unwrap_or_default();
        Ok(Self {
            issuer,
            audience: audience.into(),
            scope: scope.split(' ').filter(|token| !token.is_empty()).map(Box::from).collect(),
        })
    }

    /// How many bytes of memory the claims take, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.issuer
            .iter()
            .chain(&self.audience)
            .chain(&self.scope)
            .map(|text| text.len().saturating_add(16))
            .sum()
    }
}

impl TokenPolicy {
    /// Validates a token for one request: time, issuer, audience and the rule's scope (R31 to R35, R53).
    pub(crate) fn validate(
        &self,
        claims: &Claims,
        validity: Validity,
        requirement: &Requirement,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.validate_token(claims, validity, now)?;
        let has = |required: &String| claims.scope.iter().any(|token| **token == **required);
        if requirement.scopes().iter().all(has) {
            return Ok(());
        }
        let required_scope = Some(requirement.scope().clone());
        Err(Rejection { reason: Reason::InsufficientScope, required_scope })
    }

    fn validate_token(&self, claims: &Claims, validity: Validity, now: Timestamp) -> Result<(), Reason> {
        if validity.has_expired(now, self.leeway) {
            return Err(Reason::Expired);
        }
        if validity.is_premature(now, self.leeway) {
            return Err(Reason::Premature);
        }
        if self.require_exp && validity.expires.is_none() {
            return Err(Reason::MissingExpiration);
        }
        if self.issuer.is_some() && self.issuer.as_deref() != claims.issuer.as_deref() {
            return Err(Reason::WrongIssuer);
        }
        let is_ours = |audience: &str| self.audience.iter().any(|ours| ours == audience);
        if !self.audience.is_empty() && !claims.audience.iter().any(|audience| is_ours(audience)) {
            return Err(Reason::WrongAudience);
        }
        Ok(())
    }
}

/// Refuses what says of itself that it is no access token: on many servers a refresh token introspects as active (R36).
/// A token that is bound to its sender's key is not a bearer token, and we cannot verify the binding (R98).
///
/// # Errors
/// [`Reason::NotAnAccessToken`] or [`Reason::SenderConstrained`].
pub(crate) fn refuse_other_kinds(claims: &Object) -> Result<(), Reason> {
    let is = |name: &str, kind: &str| match claims.get(name) {
        Some(value) => value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(kind)),
        None => false,
    };
    let is_unlike = |name: &str, kind: &str| claims.get(name).is_some() && !is(name, kind);
    if claims.get("cnf").is_some() || is("token_type", "DPoP") {
        return Err(Reason::SenderConstrained);
    }
    let is_other_kind = ["Refresh", "Offline", "ID"].iter().any(|kind| is("typ", kind));
    if is_other_kind || is_unlike("token_type", "Bearer") || is_unlike("token_use", "access_token") {
        return Err(Reason::NotAnAccessToken);
    }
    Ok(())
}

/// `exp` and `nbf`, NumericDates that may have a fraction (R31).
///
/// # Errors
/// [`Reason::UnexpectedResponse`] for a date that is no number.
pub(crate) fn validity(claims: &Object) -> Result<Validity, Reason> {
    let date = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            value.as_f64().map(Timestamp::from_numeric_date).map(Some).ok_or(Reason::UnexpectedResponse)
        }
    };
    Ok(Validity { expires: date("exp")?, not_before: date("nbf")? })
}

fn text(value: &Value) -> Result<Box<str>, Reason> {
    value.as_str().map(Box::from).ok_or(Reason::UnexpectedResponse)
}
