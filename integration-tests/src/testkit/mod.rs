//! The fixture of every test in a real Envoy: a [`World`] of one Envoy, its authorization servers and the services behind it; requests in
//! one line; and outcomes that check what holds for every request.

mod call;
mod outcome;
mod shared;
mod web_socket;
mod world;

pub use call::Call;
pub use outcome::Outcome;
pub use shared::Shared;
pub use web_socket::WebSocket;
pub use world::{World, WorldBuilder, by_scripted_server};
