//! One authorization server: queries, their limits and circuit breaker, and published keys.

pub(crate) mod circuit_breaker;
pub(crate) mod jwks;
pub(crate) mod query;
pub(crate) mod rate_limiter;
