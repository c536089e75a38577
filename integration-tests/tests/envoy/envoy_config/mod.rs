//! Every file of `envoy-config/` in a real Envoy, with the authorization server and an API: the same story runs through each.

mod complete;
mod dynamic;
mod facts;
mod mcp;
mod minimal;
pub mod story;
