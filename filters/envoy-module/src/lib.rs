//! The phantom token filter as a native Envoy dynamic module: a thin adapter that carries bytes between Envoy and the
//! [engine](phantom_token_core::Engine), without a VM and for all workers of the process.
//!
//! *Invariant:* unsafe code is in `abi`, which declares both directions of the boundary, and in `host`, which makes Envoy's side of it
//! safe. *Invariant:* no panic crosses the boundary. *Invariant:* a stream that Envoy has destroyed is not touched.

#![deny(unsafe_code)]

mod abi;
mod background;
mod calls;
mod config;
mod host;
mod secrets;
mod services;
mod stream;
mod worker;
