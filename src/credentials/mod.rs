//! What a request shows: its access token, wherever that stands, and what proves that the token is its sender's.

pub(crate) mod bearer;
pub(crate) mod client_certificate;
pub(crate) mod dpop;
pub(crate) mod token_form;
pub(crate) mod token_sources;
