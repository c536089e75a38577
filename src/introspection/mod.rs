//! Token introspection (RFC 7662): the request to the authorization server and what its response means.

mod request;
mod response;

pub use request::{Callout, ClientCredentials, Endpoint};
pub(crate) use response::ActiveToken;
pub use response::{Outcome, ResponseFormat};
