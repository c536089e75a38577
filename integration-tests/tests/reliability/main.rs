//! What clients see while something fails: a load at a real Envoy, before, during and after. Whatever fails, no request without
//! a good token arrives at the API, nobody is forgotten, no VM stops, no good token is called a bad one, what is in the cache is
//! served, and all is well again soon after the end.
//!
//! What the clients saw is left in `target/reliability`, and `just reliability` makes docs/reliability.md of it; it also comes with
//! more clients, for longer.

mod authorization_server;
mod effort;
mod proxy;
