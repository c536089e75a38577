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
mod bearer;
mod cache;
mod challenge;
mod claim_header;
mod claims;
mod config;
mod cors;
mod form;
mod grant;
mod in_flight;
mod introspection;
mod json;
mod jwt;
mod metadata;
mod metrics;
mod path;
mod rejection;
mod request;
mod requirement;
mod rules;
mod secret;
#[cfg(test)]
mod testing;
mod time;

pub use authenticator::{Authenticator, Conclusion, Credentials, Host, Pending, Step, Verdict};
pub use cache::{NoSharedData, SharedData, TokenKey};
pub use challenge::ProtectionSpace;
pub use config::{Mistakes, Settings};
pub use grant::Grant;
pub use in_flight::{CalloutId, Flight, InFlight, Waiting};
pub use introspection::{Callout, Outcome};
pub use metrics::{Counter, Metrics, NoMetrics};
pub use rejection::{Reason, Rejection, Reply};
pub use request::{AuthorizationField, RequestHead};
pub use time::Timestamp;
