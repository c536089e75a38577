//! What clients see while something fails: a load at a real Envoy, before, during and after. Whatever fails, no request without
//! a valid token reaches the API, every request gets a response, no VM stops, no valid token is a 401, cached tokens are
//! served, and all is well again soon after the end.
//!
//! What the clients saw is left in `target/reliability`, and `just reliability` makes docs/reliability.md of it; it also comes with
//! more clients, for longer.

mod authorization_server;
mod effort;
mod proxy;
