//! A real Envoy with the filter. One process serves several configurations of the filter, each on its own listener.

mod builder;
mod cluster;
mod launch;
mod listener;
mod running;

pub use builder::EnvoyBuilder;
pub use listener::Listener;
pub use running::{Envoy, validate, version};
