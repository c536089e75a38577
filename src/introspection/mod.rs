//! Token introspection (RFC 7662): the request to the authorization server and what its response means.

mod authentication;
mod request;
mod response;

pub use authentication::{ClientAuthentication, ClientCredentials};
pub use request::{Callout, Endpoint};
pub(crate) use response::ActiveToken;
pub use response::{Outcome, ResponseFormat};
