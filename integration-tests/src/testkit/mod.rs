//! What every test in a real Envoy starts from: a [`World`] of one Envoy, the authorization servers it asks and the services behind it;
//! requests to it in one line; and outcomes that check what is true of every request.

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
