//! What the gateway publishes: its keys, and what it says of the resource (RFC 9728).

pub(crate) mod document;
pub(crate) mod resource_metadata;
