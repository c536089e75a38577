//! What the command `phantom-token` does: it checks configurations of the filter where they stand, tells what the filter will do
//! with a request, and tries the authorization server.
//!
//! All decisions are the core's, by the same calls that the filter makes. *Invariant:* no text that comes out of here holds a
//! token or a secret.

pub mod check;
pub mod configuration;
pub mod document;
mod embedded;
mod environment;
pub mod explain;
mod foreign;
pub mod http_filters;
pub mod jws;
mod local_host;
#[cfg(feature = "command")]
pub mod probe;
pub mod report;
pub mod show;
mod simulated_client;
mod simulated_key;
mod simulated_server;
pub mod source;
