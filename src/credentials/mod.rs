//! The credentials of a request: its access token, wherever it is, and proofs of possession.

pub(crate) mod bearer;
pub(crate) mod client_certificate;
pub(crate) mod dpop;
pub(crate) mod token_form;
pub(crate) mod token_sources;
