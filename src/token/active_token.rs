//! An active token, and the issuer whose signature has to be verified before its claims count. Verification is elsewhere.

use crate::http::freshness::Freshness;
use crate::jwt::Jws;
use crate::refusal::Reason;
use crate::token::claims::Claims;

/// An active token and its claims.
#[derive(Debug)]
pub(crate) struct ActiveToken {
    /// Where it was learned.
    pub(crate) source: Source,
    /// Its claims.
    pub(crate) claims: Claims,
    /// Whether, and for how long, HTTP allows the answer to be used again.
    pub(crate) freshness: Freshness,
}

/// Where something was learned, with the JWT whose signature speaks for it.
#[derive(Debug)]
pub(crate) enum Source {
    /// In an introspection response without a signature, which came by an authenticated call.
    Response,
    /// In a signed introspection response.
    SignedResponse(Box<Jws<'static>>),
    /// In the JWT of an introspection response, which services receive. It is verified if the server's keys are known.
    PhantomToken(Box<Jws<'static>>),
    /// In the JWT that the client presented, which services receive.
    Presented(Box<Jws<'static>>),
}

impl ActiveToken {
    /// Creates it.
    pub(crate) fn new(source: Source, claims: Claims) -> Self {
        Self { source, claims, freshness: Freshness::default() }
    }
}

impl Source {
    /// The JWT that services receive; none, if they receive claims alone.
    pub(crate) fn jwt(&self) -> Option<&str> {
        match self {
            Self::Response | Self::SignedResponse(_) => None,
            Self::PhantomToken(jws) | Self::Presented(jws) => Some(jws.text()),
        }
    }

    /// Whether the client presented it.
    pub(crate) fn is_presented(&self) -> bool {
        matches!(self, Self::Presented(_))
    }

    /// Whose fault a wrong signature is.
    pub(crate) fn refusal(&self) -> Reason {
        match self {
            Self::Presented(_) => Reason::InvalidSignature,
            Self::Response | Self::PhantomToken(_) | Self::SignedResponse(_) => {
                Reason::ResponseSignatureInvalid
            }
        }
    }
}
