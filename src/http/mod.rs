//! HTTP messages as values: the requests of clients, the callouts of the gateway and its own replies. Nothing here knows tokens,
//! configuration or the reasons of refusals.

pub(crate) mod authority;
pub(crate) mod byte_class;
pub(crate) mod callout;
pub(crate) mod cors;
mod date;
pub(crate) mod field_name;
pub(crate) mod form;
pub(crate) mod freshness;
pub(crate) mod grpc;
pub(crate) mod lifetime;
pub(crate) mod media_type;
pub(crate) mod opaque_path;
pub(crate) mod path;
pub(crate) mod private_response;
pub(crate) mod reply;
pub(crate) mod request_head;
pub(crate) mod sanitize;
pub(crate) mod traceparent;
