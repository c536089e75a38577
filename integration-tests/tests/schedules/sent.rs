//! A request that was sent: where to, with which credentials, under which configuration.

use std::rc::Rc;
use std::time::Duration;

use integration_tests::deterministic_host::StreamId;

use crate::bounds::Bounds;
use crate::proofs::ProofId;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Public,
    Orders,
    /// Orders, to be changed.
    Changes,
    Profile,
    /// Where the rule only reports what it would refuse.
    Trial,
    /// What no rule exposes.
    Internal,
}

/// Places and paths that lead there; the method follows from the place.
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

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    None,
    /// Credentials of another scheme.
    Basic,
    /// A field that is none, though it begins like one.
    Malformed,
    /// A token that no server issues, by its characters alone.
    BadSyntax,
    Bearer(usize),
    /// A token by the scheme DPoP, with this proof.
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
    /// Since which step an answer about its token may be the one that it waits with: it joins those that wait for keys already.
    pub since: u64,
    /// When, by the host's clock.
    pub at: Duration,
    /// Under which configuration.
    pub generation: u32,
}

/// What the rule of a place asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    Protected { scope: Option<&'static str>, enforcement: Enforcement },
    Closed,
}

/// What is refused, and not only reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Everything.
    Full,
    /// Requests without a good token; one that lacks a scope goes on with its JWT.
    Authentication,
    /// Nothing: a request without a good token goes on without credentials.
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
    /// What the rule asks that is for this request.
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
