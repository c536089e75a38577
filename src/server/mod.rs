//! One authorization server, as the gateway knows it: what it is asked, how much, when it is left alone, and its published keys.

pub(crate) mod circuit_breaker;
pub(crate) mod jwks;
pub(crate) mod query;
pub(crate) mod rate_limiter;
