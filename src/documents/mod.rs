//! Documents that the gateway publishes: its keys and the resource metadata (RFC 9728).

pub(crate) mod document;
pub(crate) mod resource_metadata;
