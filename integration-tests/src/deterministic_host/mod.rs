//! A deterministic proxy-wasm host for tests: it runs the very module that is deployed, but the test controls the clock, randomness, the
//! order of responses and every failure. It counts the cost of each request, in instructions and host calls, and records anything that a
//! real host would punish.
//!
//! It follows Envoy 1.40: the order of callbacks, the statuses of its functions, and when callouts are dropped. The features that filters
//! rely on ([`Guarantee`]) can be removed one by one, or as ngx_wasm_module lacks them ([`Behaviour::NgxWasm`]). It is not a proxy: it has
//! no routing, no network and no threads, and the body of a request is just a size.

mod behaviour;
mod callout;
mod configuration;
mod context;
mod context_key;
mod cost;
pub mod fixture;
mod guarantee;
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

pub use behaviour::{Behaviour, Package};
pub use callout::{Answer, Callout, CalloutId};
pub use configuration::{Replacement, Setup};
pub use context_key::ContextKey;
pub use cost::Cost;
pub use guarantee::Guarantee;
pub use header_map::HeaderMap;
pub use host::Host;
pub use module::{module_compiler, module_exports, module_size};
pub use request::Request;
pub use status::Status;
pub use stream::{State, Stream, StreamId};

#[cfg(test)]
mod tests;
