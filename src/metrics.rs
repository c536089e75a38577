//! The one list of metrics. All are counters; none has a label that a client can choose.

use crate::cache::Level;
use crate::rejection::{Fault, Reason};

/// Where counters go. The null implementation counts nothing.
pub trait Metrics {
    /// Adds one.
    fn increment(&self, counter: Counter);
}

/// Counts nothing.
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn increment(&self, _counter: Counter) {}
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $counter:ident = $name:literal,)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[doc = $doc])+ $counter,)+
        }

        impl Counter {
            /// All counters, in the order of their discriminants.
            pub const ALL: &[Self] = &[$(Self::$counter,)+];

            /// The name in the host's statistics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$counter => concat!("phantom_token_", $name),)+
                }
            }
        }
    };
}

counters! {
    /// Requests forwarded with a JWT.
    Forwarded = "forwarded",
    /// Requests forwarded because their route is public.
    ForwardedPublic = "forwarded_public",
    /// Requests refused by the client's fault.
    RejectedClient = "rejected_client",
    /// Requests refused by the authorization server's fault.
    RejectedAuthorizationServer = "rejected_authorization_server",
    /// Grants found in the VM.
    CacheHitLocal = "cache_hit_local",
    /// Grants found in the host's shared data.
    CacheHitShared = "cache_hit_shared",
    /// Tokens that were known not to be active.
    CacheHitInactive = "cache_hit_inactive",
    /// Grants that served beyond their time, since the authorization server did not.
    CacheHitStale = "cache_hit_stale",
    /// Tokens found in neither.
    CacheMiss = "cache_miss",
    /// Introspections that were asked for to renew a grant before its end.
    Renewal = "renewal",
    /// Introspections that found an active token.
    IntrospectionActive = "introspection_active",
    /// Introspections that found a token that is none, or not active any more.
    IntrospectionInactive = "introspection_inactive",
    /// Introspections that failed by the authorization server's fault.
    IntrospectionFailed = "introspection_failed",
    /// Introspections that were not asked for, since as many as may were under way.
    IntrospectionWithheld = "introspection_withheld",
    /// Introspections that were not asked for, since the authorization server is left alone for a while.
    IntrospectionCircuitOpen = "introspection_circuit_open",
    /// How often an authorization server that failed again and again was left alone.
    CircuitOpened = "circuit_opened",
    /// Requests that waited for an answer that another had asked for.
    Coalesced = "coalesced",
    /// Introspections at which the authorization server refused the gateway's own credentials.
    IntrospectionCredentialsRefused = "introspection_credentials_refused",
}

impl Counter {
    /// The gateway's own failures happen outside the core, which cannot count them; they are errors in the log.
    pub(crate) fn of_rejection(reason: Reason) -> Option<Self> {
        match reason.fault() {
            Fault::Client => Some(Self::RejectedClient),
            Fault::AuthorizationServer => Some(Self::RejectedAuthorizationServer),
            Fault::Gateway => None,
        }
    }

    pub(crate) fn of_hit(level: Level) -> Self {
        match level {
            Level::Local => Self::CacheHitLocal,
            Level::Shared => Self::CacheHitShared,
        }
    }

    pub(crate) fn of_introspection(result: Result<(), Reason>) -> Self {
        match result {
            Ok(()) => Self::IntrospectionActive,
            Err(Reason::GatewayCredentialsRefused) => Self::IntrospectionCredentialsRefused,
            Err(Reason::Overloaded) => Self::IntrospectionWithheld,
            Err(Reason::CircuitOpen) => Self::IntrospectionCircuitOpen,
            Err(reason) => match reason.fault() {
                Fault::Client => Self::IntrospectionInactive,
                Fault::AuthorizationServer | Fault::Gateway => Self::IntrospectionFailed,
            },
        }
    }
}
