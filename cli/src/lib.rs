//! The command `phantom-token`: checks configurations of the filter in files, shows what the filter does with a request, and
//! queries the authorization server.
//!
//! All decisions are the core's, through the same calls that the filter makes. *Invariant:* no output contains a token or a
//! secret.

pub mod check;
pub mod configuration;
pub mod document;
mod embedded;
mod environment;
pub mod explain;
mod fail_open;
mod foreign;
pub mod http_filters;
pub mod jws;
mod local_host;
#[cfg(feature = "command")]
pub mod probe;
mod reference;
pub mod report;
pub mod show;
mod simulated_client;
mod simulated_key;
mod simulated_server;
pub mod source;
