//! What clients see while something fails: a load on a real Envoy, before, during and after. Whatever fails, no request without a valid
//! token reaches the API, every request gets a response, no VM stops, no valid token is a 401, cached tokens are served, and the gateway
//! recovers soon after the end.
//!
//! The results are written to `target/reliability`, from which `just reliability` generates docs/reliability.md; it also uses more clients,
//! for longer.

mod authorization_server;
mod effort;
mod proxy;
