//! The phantom token pattern at the ingress, without a proxy.
//!
//! Clients hold opaque access tokens; the services behind the ingress receive JWTs. A request enters as a value and leaves
//! as a value:
//!
//! ```text
//! request head ──▶ rules ──▶ bearer ──▶ cache ──┬─ hit ──▶ validate for this rule ──▶ Forward | Reject
//!                                               └─ miss ─▶ Introspect(callout, pending)
//! callout outcome ──▶ introspection ──▶ jwt ──▶ cache ──▶ conclusion
//! conclusion + pending ──▶ validate for its rule ──▶ Forward | Reject
//! ```
//!
//! *Invariant:* nothing here knows a proxy, a socket or a clock. What the proxy lends for one call is a [`Host`].
//! *Invariant:* nothing here panics, and no failure forwards a request.
//!
//! Start at [`Authenticator`].

#![forbid(unsafe_code)]

mod authenticator;
mod authorization_server;
mod bearer;
mod cache;
mod callout;
mod challenge;
mod circuit_breaker;
mod claims;
mod client_certificate;
mod config;
mod cors;
mod document;
mod dpop;
mod error_body;
mod form;
mod forwarding;
mod grant;
mod in_flight;
mod introspection;
mod json;
mod jwt;
mod key_store;
mod limiter;
mod metadata;
mod metrics;
mod mint;
mod named_claim;
mod path;
mod presentation;
mod rejection;
mod request;
mod requirement;
mod rules;
mod sanitize;
mod secret;
mod sender;
mod sources;
#[cfg(test)]
mod testing;
mod time;
mod trace_context;
mod verification_budget;

pub use authenticator::{
    Asks, Authenticator, Census, Conclusion, Credentials, Host, Load, Pending, Step, TokenConclusion, Verdict,
};
pub use cache::{NoSharedData, SharedData, TokenKey};
pub use callout::{
    Callout, NoRandomness, Occasion, Outcome, Question, Randomness, Subject, Target, Withheld,
};
pub use challenge::ProtectionSpace;
pub use circuit_breaker::CircuitChange;
#[cfg(feature = "schema")]
pub use config::{Dialect, DocumentedField, configuration_fields, configuration_schema};
pub use config::{HostKind, Mistake, Mistakes, Settings};
pub use error_body::ErrorBody;
pub use forwarding::AUTHORIZATION;
pub use grant::Passage;
pub use in_flight::{CalloutId, Flight, InFlight, Waiting};
pub use metrics::{Counter, Gauge, Histogram, Metric, MetricKind, Metrics, NoMetrics, metrics, refusals};
pub use rejection::{Reason, Rejection, Reply};
pub use request::{Presented, RequestHead};
pub use sources::Extracted;
pub use time::Timestamp;
