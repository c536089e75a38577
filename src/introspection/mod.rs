//! Token introspection (RFC 7662): the request to the authorization server and what its response means.

mod authentication;
mod client_assertion;
mod request;
mod response;
mod signed_response;

pub use authentication::{ClientAuthentication, ClientCredentials};
pub use client_assertion::ClientAssertion;
pub use request::{Endpoint, Inquiry};
pub use response::{Format, ResponseFormat};
pub use signed_response::SignedResponse;
