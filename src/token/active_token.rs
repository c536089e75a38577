//! An active token, and the JWT whose signature has to be verified before the claims count. Verification is elsewhere.

use crate::http::freshness::Freshness;
use crate::jwt::Jws;
use crate::refusal::Reason;
use crate::token::claims::Claims;

/// An active token and its claims.
#[derive(Debug)]
pub(crate) struct ActiveToken {
    /// The source of its claims.
    pub(crate) source: Source,
    /// Its claims.
    pub(crate) claims: Claims,
    /// Whether, and for how long, HTTP allows the response to be reused.
    pub(crate) freshness: Freshness,
}

/// The source of claims, with the JWT whose signature protects them.
#[derive(Debug)]
pub(crate) enum Source {
    /// An introspection response without a signature, from an authenticated call.
    Response,
    /// A signed introspection response.
    SignedResponse(Box<Jws<'static>>),
    /// The JWT of an introspection response, which services receive. It is verified if the server's keys are known.
    PhantomToken(Box<Jws<'static>>),
    /// The JWT that the client presented, which services receive.
    Presented(Box<Jws<'static>>),
}

impl ActiveToken {
    /// Creates an active token, without freshness.
    pub(crate) fn new(source: Source, claims: Claims) -> Self {
        Self { source, claims, freshness: Freshness::default() }
    }
}

impl Source {
    /// The JWT that services receive; `None` if they receive claims alone.
    pub(crate) fn jwt(&self) -> Option<&str> {
        match self {
            Self::Response | Self::SignedResponse(_) => None,
            Self::PhantomToken(jws) | Self::Presented(jws) => Some(jws.text()),
        }
    }

    /// Whether the client presented the JWT.
    pub(crate) fn is_presented(&self) -> bool {
        matches!(self, Self::Presented(_))
    }

    /// The refusal for a wrong signature, by whose fault it is.
    pub(crate) fn refusal(&self) -> Reason {
        match self {
            Self::Presented(_) => Reason::InvalidSignature,
            Self::Response | Self::PhantomToken(_) | Self::SignedResponse(_) => {
                Reason::ResponseSignatureInvalid
            }
        }
    }
}
