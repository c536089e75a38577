//! Token introspection (RFC 7662), or UserInfo in its place: the request to the authorization server and what its response means.

mod client_auth;
mod error_response;
mod request;
mod response;
mod signed_response;
mod user_info;

pub use client_auth::{ClientAuthentication, ClientFields, FieldReader, Method};
pub(crate) use error_response::OF_GATEWAY;
pub use error_response::{InactiveAnswer, InactiveAnswers};
pub use request::{Endpoint, IntrospectionRequest, Protocol};
pub use response::{Format, ResponseFormat};
pub use signed_response::SignedResponse;
