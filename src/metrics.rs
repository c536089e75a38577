//! The one list of metrics. None has a label, and none a name that a client can choose.

use crate::refusal::{Fault, Reason};

/// How a metric is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It is what it is now, for all workers together.
    Gauge,
    /// How often there was which value.
    Histogram,
}

/// A metric as the documentation tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name in the host's statistics.
    pub name: String,
    /// How it is to be read.
    pub kind: MetricKind,
    /// What it counts.
    pub meaning: String,
}

/// All metrics.
pub fn metrics() -> Vec<Metric> {
    let counters = Counter::ALL.iter().map(|one| (one.name().to_owned(), MetricKind::Counter, one.meaning()));
    let gauges = Gauge::ALL.iter().map(|one| (one.name().to_owned(), MetricKind::Gauge, one.meaning()));
    let histograms =
        Histogram::ALL.iter().map(|one| (one.name().to_owned(), MetricKind::Histogram, one.meaning()));
    let refusals = Reason::ALL.iter().map(|reason| {
        let meaning = format!("Refusals: {}.", reason.description());
        (refusals(*reason), MetricKind::Counter, meaning)
    });
    let all = counters.chain(gauges).chain(histograms).chain(refusals);
    all.map(|(name, kind, meaning)| Metric { name, kind, meaning }).collect()
}

/// The name of the counter of refusals for a reason.
pub fn refusals(reason: Reason) -> String {
    format!("{PREFIX}denied.{}", reason.name())
}

macro_rules! metrics {
    ($(#[doc = $title:literal])+ $kind:ident: $($(#[doc = $doc:literal])+ $metric:ident = $name:literal,)+) => {
        $(#[doc = $title])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[doc = $doc])+ $metric,)+
        }

        impl $kind {
            /// All of them, in the order of their discriminants.
            pub const ALL: &[Self] = &[$(Self::$metric,)+];

            /// The name in the host's statistics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => concat!("phantom_token_", $name),)+
                }
            }

            fn meaning(self) -> String {
                match self {
                    $(Self::$metric => concat!($($doc),+).trim().to_owned(),)+
                }
            }
        }
    };
}

metrics! {
    /// What is counted.
    Counter:
    /// Requests forwarded with a JWT.
    Allowed = "allowed",
    /// Requests forwarded because their route is public.
    AllowedPublic = "allowed_public",
    /// Requests that would have been refused, and went on where that is only reported.
    ShadowDenied = "shadow_denied",
    /// Requests refused by the client's fault.
    RejectedClient = "rejected_client",
    /// Requests refused by the authorization server's fault.
    RejectedAuthorizationServer = "rejected_authorization_server",
    /// Requests refused by the gateway's own fault, which the log tells, or by its limits on signatures and proofs.
    RejectedGateway = "rejected_gateway",
    /// Entries found in the VM.
    CacheHitLocal = "cache_hit_local",
    /// Entries found in the host's shared data.
    CacheHitShared = "cache_hit_shared",
    /// Tokens that were known not to be active, or to be refused for what they are.
    CacheHitInactive = "cache_hit_inactive",
    /// Entries that served beyond their time, since the authorization server did not.
    CacheHitStale = "cache_hit_stale",
    /// Tokens found in neither.
    CacheMiss = "cache_miss",
    /// Entries that a worker forgot since it had no room for more.
    CacheEvicted = "cache_evicted",
    /// Introspections that were asked for to refresh an entry before its end.
    CacheRefresh = "cache_refresh",
    /// Introspections that found an active token.
    IntrospectionActive = "introspection_active",
    /// Introspections that found a token that is none, or not active any more.
    IntrospectionInactive = "introspection_inactive",
    /// Introspections that failed by the authorization server's fault.
    IntrospectionFailed = "introspection_failed",
    /// Introspections that were not asked for, since as many as may were under way.
    IntrospectionLimited = "introspection_limited",
    /// Introspections that were not asked for, since the authorization server is left alone for a while.
    IntrospectionCircuitOpen = "introspection_circuit_open",
    /// Introspections at which the authorization server refused the gateway's own credentials.
    IntrospectionCredentialsRefused = "introspection_credentials_refused",
    /// How often an authorization server that failed again and again was left alone.
    CircuitBreakerOpened = "circuit_breaker_opened",
    /// Requests that waited for an answer that another had asked for.
    IntrospectionCoalesced = "introspection_coalesced",
    /// Metadata and keys of authorization servers that were fetched and taken.
    DocumentTaken = "document_taken",
    /// Metadata and keys of authorization servers that did not come, or are of no use.
    DocumentFailed = "document_failed",
    /// Configurations that a VM took: one for each worker, and some for the host itself.
    ConfigAccepted = "config_accepted",
    /// Configurations that a VM refused, since they have errors.
    ConfigRejected = "config_rejected",
}

metrics! {
    /// What there is now.
    Gauge:
    /// Entries in the memory of workers.
    CacheEntries = "cache_entries",
    /// Authorization servers that are left alone, each worker for itself.
    CircuitBreakerOpen = "circuit_breaker_open",
    /// Requests that wait for answers of authorization servers.
    RequestsPending = "requests_pending",
}

metrics! {
    /// What is measured.
    Histogram:
    /// How long introspections took, in milliseconds.
    IntrospectionTimeMs = "introspection_time_ms",
}

impl Counter {
    /// By whose fault a request is refused.
    pub fn of_refusal(reason: Reason) -> Self {
        match reason.fault() {
            Fault::Client => Self::RejectedClient,
            Fault::AuthorizationServer => Self::RejectedAuthorizationServer,
            Fault::Gateway => Self::RejectedGateway,
        }
    }

    pub(crate) fn of_introspection(result: Result<(), Reason>) -> Self {
        match result {
            Ok(()) => Self::IntrospectionActive,
            Err(Reason::GatewayCredentialsRefused) => Self::IntrospectionCredentialsRefused,
            Err(Reason::IntrospectionLimit) => Self::IntrospectionLimited,
            Err(Reason::CircuitOpen) => Self::IntrospectionCircuitOpen,
            Err(reason) => match reason.fault() {
                Fault::Client => Self::IntrospectionInactive,
                Fault::AuthorizationServer | Fault::Gateway => Self::IntrospectionFailed,
            },
        }
    }
}

const PREFIX: &str = "phantom_token_";

#[cfg(test)]
mod tests;
