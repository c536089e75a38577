//! What was learned of an active token, and whose signature has to be verified before it is believed. Verifying is not done here.

use crate::http::freshness::Freshness;
use crate::jwt::Jws;
use crate::rejection::Reason;
use crate::token::claims::Claims;

/// What was learned of an active token.
#[derive(Debug)]
pub(crate) struct ActiveToken {
    /// The JWT that stands for the token; none, if services receive its claims alone.
    pub(crate) jwt: Option<String>,
    /// What has to be verified before any of this is believed.
    pub(crate) signature: Signature,
    /// What is claimed of both.
    pub(crate) claims: Claims,
    /// Whether, and for how long, HTTP allows the answer to be used again.
    pub(crate) freshness: Freshness,
}

/// Whose signature has to be verified.
#[derive(Debug)]
pub(crate) enum Signature {
    /// None: the answer came by an authenticated call.
    Nothing,
    /// That of the JWT in the answer, if the server's keys are known.
    PhantomToken,
    /// That of the JWT which the client presented.
    Presented,
    /// That of this text, a signed response.
    Response(String),
}

impl ActiveToken {
    /// A JWT that the client presented: it is what services receive.
    pub(crate) fn presented(jws: &Jws<'_>, claims: Claims) -> Self {
        let jwt = Some(jws.text().to_owned());
        Self { jwt, signature: Signature::Presented, claims, freshness: Freshness::default() }
    }
}

impl Signature {
    /// Whose fault a wrong one is.
    pub(crate) fn refusal(&self) -> Reason {
        match self {
            Self::Presented => Reason::InvalidSignature,
            Self::Nothing | Self::PhantomToken | Self::Response(_) => Reason::UnverifiableResponse,
        }
    }
}
