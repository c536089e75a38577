//! A proxy-wasm host for tests in which nothing happens by chance: it runs the very module that proxies get, but its clock,
//! its randomness, the order of answers and every refusal are the test's to choose. It counts what each request costs, in
//! instructions and in calls to the host, and it notes what a real host would punish.
//!
//! It follows Envoy 1.40: the order of callbacks, the statuses of its functions, whose callouts are dropped and when. Where
//! [`Behaviour::NgxWasm`] differs in what matters to a filter, it can follow that. It is no proxy: there is no routing, no
//! network and no thread, and the body of a request is a size.

mod behaviour;
mod callout;
mod configuration;
mod cost;
mod guest;
mod header_map;
mod heads;
mod host;
mod imports;
mod lifecycle;
mod metrics;
mod module;
mod refusals;
mod request;
mod shared_data;
mod status;
mod stream;
mod vm;
mod wasi;
mod world;

pub use behaviour::Behaviour;
pub use callout::{Answer, Callout, CalloutId};
pub use configuration::{Replacement, Setup};
pub use cost::Cost;
pub use header_map::HeaderMap;
pub use host::Host;
pub use module::{module_compiler, module_size};
pub use request::Request;
pub use status::Status;
pub use stream::{State, Stream, StreamId};
pub use world::ContextKey;

#[cfg(test)]
mod tests;
