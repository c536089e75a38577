//! The phantom token filter for proxy-wasm hosts: a thin adapter that carries bytes between the host and the
//! [engine](phantom_token_core::Engine).
//!
//! *Invariant:* only this crate knows proxy-wasm. *Invariant:* `actions` is the only place that changes a request or a response;
//! `worker` is the only one that sends calls, replies and resumes.

#![allow(missing_docs, reason = "the SDK's macro defines a function without one")]

mod actions;
mod attributes;
mod callouts;
mod capabilities;
mod field_map;
mod host;
mod host_services;
mod root;
mod statistics;
mod stream;
mod worker;

use proxy_wasm::types::LogLevel;

use crate::root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context| Box::new(Root::new(context)));
}}

/// How the package for Kong starts: the packaging step gives it the name of the other start.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "a host calls it by its name")]
pub extern "C" fn phantom_token_start_in_kong() {
    capabilities::set_for_kong();
    _initialize();
}
