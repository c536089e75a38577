//! What services behind the gateway receive.

pub(crate) mod headers;
pub(crate) mod mint;
