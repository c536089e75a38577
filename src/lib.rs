//! The phantom token pattern at the ingress, without a proxy.
//!
//! Clients hold opaque access tokens; the services behind the ingress receive JWTs. Events go into the [`Engine`], and actions
//! come out:
//!
//! ```text
//! request head ──▶ rules ──▶ credentials ──▶ cache ──┬─ hit ──▶ check for this request ──▶ continue | reply
//!                                                    └─ miss ─▶ call to the authorization server, request waits
//! response ──▶ introspection ──▶ signature ──▶ cache ──▶ check for each request that waits ──▶ continue | reply
//! ```
//!
//! *Invariant:* nothing here knows a proxy, a socket or a clock. Host services available during one call are a [`Host`].
//! *Invariant:* nothing here panics, and no failure forwards a request.
//!
//! Start at [`Engine`].

#![forbid(unsafe_code)]

mod authorization_server;
mod cache;
mod config;
mod credentials;
mod documents;
#[cfg(any(test, feature = "driver"))]
pub mod driver;
mod engine;
mod fields;
mod fingerprint;
mod host;
mod http;
mod introspection;
mod json;
mod jwt;
mod metrics;
mod policy;
mod refusal;
mod secret;
mod server;
mod server_id;
mod session;
mod settings;
#[cfg(test)]
mod testing;
mod time;
mod token;
mod token_info;
mod token_key;
mod upstream;

pub use authorization_server::{Permit, Protections};
pub use config::HostKind;
#[cfg(feature = "schema")]
pub use config::{configuration_fields, configuration_schema};
pub use engine::{
    Action, Attributes, Call, CallId, Capabilities, DecisionLog, Edit, Engine, HeaderEdits, Instructions,
    LogSink, RequiredAttributes, StreamId, UpstreamHeaders,
};
#[cfg(feature = "schema")]
pub use fields::schema::{Dialect, DocumentedField};
pub use fields::{ConfigError, ConfigErrors, SdsSecret, SecretDiscovery, SecretSources};
pub use host::{Host, Metrics, NoMetrics, NoRandomness, NoSharedData, Randomness, SharedData};
pub use http::callout::{CallResult, Callout, Target};
pub use http::field_name::AUTHORIZATION;
pub use http::private_response::private_cache_control;
pub use http::reply::Reply;
pub use http::request_head::{McpCall, NamedField, Presented, RequestHead};
pub use jwt::{KeySet, UnusableKey};
pub use metrics::{Counter, Gauge, Histogram, Metric, MetricKind, denied, metrics, shadow_denied};
pub use refusal::{Reason, internal_error};
pub use server::query::QueryKey;
pub use session::{SESSION_ID, SessionSeal};
pub use settings::Settings;
pub use time::Timestamp;
pub use token::kinds::is_other_kind;
pub use token_key::TokenKey;
