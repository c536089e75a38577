//! The one list of metrics. The only label is the reason of a denied request; nothing that a client sends becomes a name or a label.

use crate::refusal::{Fault, Reason};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Never decreases.
    Counter,
    /// A current value, summed over all workers.
    Gauge,
    /// A distribution of values.
    Histogram,
}

/// A metric, as documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name in the host's statistics.
    pub name: String,
    /// Its kind.
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
    let denials = Reason::ALL.iter().flat_map(|reason| {
        let fault = match reason.fault() {
            Fault::Client => "client",
            Fault::AuthorizationServer => "authorization server",
            Fault::Gateway => "gateway",
        };
        let description = reason.description();
        let denied = format!("Denied, the {fault} is at fault: {description}.");
        let shadow_denied = format!("Allowed only because of `report_only`: {description}.");
        [(self::denied(*reason), denied), (self::shadow_denied(*reason), shadow_denied)]
    });
    let denials = denials.map(|(name, meaning)| (name, MetricKind::Counter, meaning));
    let all = counters.chain(gauges).chain(histograms).chain(denials);
    all.map(|(name, kind, meaning)| Metric { name, kind, meaning }).collect()
}

/// The counter of requests that were denied for a reason. Proxies with tags make the part after the dot a label.
pub fn denied(reason: Reason) -> String {
    format!("{PREFIX}denied.{}", reason.name())
}

/// The counter of requests that would have been denied for a reason without `report_only`.
pub fn shadow_denied(reason: Reason) -> String {
    format!("{PREFIX}shadow_denied.{}", reason.name())
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
    /// Counters.
    Counter:
    /// Requests allowed with a JWT.
    Allowed = "allowed",
    /// Requests allowed without a token, by `public` or `optional` rules.
    AllowedPublic = "allowed_public",
    /// Cache hits in the worker's memory.
    CacheHitLocal = "cache_hit_local",
    /// Cache hits in the host's shared data.
    CacheHitShared = "cache_hit_shared",
    /// Cache hits on tokens known to be inactive or not usable as access tokens.
    CacheHitInactive = "cache_hit_inactive",
    /// Stale entries served by `stale_if_error`.
    CacheHitStale = "cache_hit_stale",
    /// Cache misses.
    CacheMiss = "cache_miss",
    /// Entries evicted from the memory of a worker.
    CacheEvicted = "cache_evicted",
    /// Introspections sent to refresh an entry before it expires.
    CacheRefresh = "cache_refresh",
    /// Introspections of active tokens.
    IntrospectionActive = "introspection_active",
    /// Introspections of inactive tokens.
    IntrospectionInactive = "introspection_inactive",
    /// Introspections that failed at the authorization server.
    IntrospectionFailed = "introspection_failed",
    /// Introspections not sent because of a limit.
    IntrospectionLimited = "introspection_limited",
    /// Introspections not sent because the circuit breaker is open.
    IntrospectionCircuitOpen = "introspection_circuit_open",
    /// Introspections refused because of the gateway's own credentials.
    IntrospectionCredentialsRefused = "introspection_credentials_refused",
    /// Times a circuit breaker opened.
    CircuitBreakerOpened = "circuit_breaker_opened",
    /// Requests that joined an introspection in flight.
    IntrospectionCoalesced = "introspection_coalesced",
    /// JWK Sets fetched and accepted.
    JwksFetchSuccess = "jwks_fetch_success",
    /// JWK Sets that could not be fetched, or cannot be used.
    JwksFetchFailed = "jwks_fetch_failed",
    /// Authorization server metadata fetched and accepted.
    MetadataFetchSuccess = "metadata_fetch_success",
    /// Authorization server metadata that could not be fetched, or cannot be used.
    MetadataFetchFailed = "metadata_fetch_failed",
    /// Configurations accepted: one per worker, plus some for the host itself.
    ConfigAccepted = "config_accepted",
    /// Configurations rejected because of errors.
    ConfigRejected = "config_rejected",
}

metrics! {
    /// Gauges.
    Gauge:
    /// Cache entries in the memory of workers.
    CacheEntries = "cache_entries",
    /// Open circuit breakers, counted per worker; in the native module, per configuration.
    CircuitBreakerOpen = "circuit_breaker_open",
    /// Requests waiting for a response of an authorization server.
    RequestsPending = "requests_pending",
}

metrics! {
    /// Histograms.
    Histogram:
    /// Duration of introspections, in milliseconds.
    IntrospectionTimeMs = "introspection_time_ms",
}

impl Counter {
    /// The counter of a fetch of the JWK Set.
    pub(crate) fn of_jwks_fetch(is_success: bool) -> Self {
        if is_success { Self::JwksFetchSuccess } else { Self::JwksFetchFailed }
    }

    /// The counter of a fetch of the metadata.
    pub(crate) fn of_metadata_fetch(is_success: bool) -> Self {
        if is_success { Self::MetadataFetchSuccess } else { Self::MetadataFetchFailed }
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
