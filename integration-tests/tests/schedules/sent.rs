//! A request that was sent: its target, credentials and configuration.

use std::rc::Rc;
use std::time::Duration;

use integration_tests::deterministic_host::StreamId;

use crate::bounds::Bounds;
use crate::proofs::ProofId;

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Public,
    Orders,
    /// Orders, with a method that changes them.
    Changes,
    Profile,
    /// The rule of this place only reports what it would refuse.
    Trial,
    /// No rule matches this place.
    Internal,
}

/// Places and their paths. The method follows from the place.
pub const PATHS: &[(Place, &str)] = &[
    (Place::Orders, "/orders"),
    (Place::Orders, "/orders"),
    (Place::Orders, "/orders/17?full=true"),
    (Place::Orders, "/orders/17?full=true"),
    (Place::Changes, "/orders"),
    (Place::Changes, "/orders/17"),
    (Place::Profile, "/profile"),
    (Place::Profile, "/profile"),
    (Place::Trial, "/trial"),
    (Place::Trial, "/trial"),
    (Place::Public, "/public/index.html"),
    (Place::Internal, "/internal"),
];

/// The credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    None,
    /// Credentials of another scheme.
    Basic,
    /// A malformed field that begins like valid credentials.
    Malformed,
    /// A token with characters that no server uses.
    BadSyntax,
    Bearer(usize),
    /// A token with the scheme DPoP, and its proof.
    Dpop(usize, Option<ProofId>),
}

/// A request that was sent.
#[derive(Clone)]
pub struct Sent {
    pub stream: StreamId,
    pub worker: usize,
    pub place: Place,
    pub credentials: Credentials,
    pub bounds: Rc<Bounds>,
    pub step: u64,
    /// The first step whose response about the token may be the one that the request waits for: it joins requests that already wait for
    /// keys.
    pub since: u64,
    /// When it was sent, by the host's clock.
    pub at: Duration,
    /// The number of the configuration under which it was sent.
    pub generation: u32,
}

/// What the rule of a place requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    Protected { scope: Option<&'static str>, enforcement: Enforcement },
    Closed,
}

/// What is refused rather than only reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Everything.
    Full,
    /// Requests without a valid token; one that lacks a scope is forwarded with its JWT.
    Authentication,
    /// Nothing: a request without a valid token is forwarded without credentials.
    Nothing,
}

impl Place {
    pub fn method(self) -> &'static str {
        if self == Self::Changes { "POST" } else { "GET" }
    }
}

impl Credentials {
    pub fn token(self) -> Option<usize> {
        match self {
            Self::Bearer(token) | Self::Dpop(token, _) => Some(token),
            _ => None,
        }
    }
}

impl Sent {
    /// What the rule for this request requires.
    pub fn access(&self) -> Access {
        let by_default =
            if self.bounds.reports_only { Enforcement::Authentication } else { Enforcement::Full };
        let (scope, enforcement) = match self.place {
            Place::Internal => return Access::Closed,
            Place::Public => return Access::Public,
            Place::Profile if self.bounds.is_profile_public => return Access::Public,
            Place::Profile => (None, by_default),
            Place::Orders => (Some("orders:read"), by_default),
            Place::Changes => (Some("orders:write"), by_default),
            Place::Trial => (Some("orders:read"), Enforcement::Nothing),
        };
        Access::Protected { scope, enforcement }
    }
}
