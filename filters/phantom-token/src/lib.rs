//! The phantom token filter for proxy-wasm hosts: a thin adapter that carries bytes between the host and the
//! [engine](phantom_token_core::Engine).
//!
//! *Invariant:* only this crate knows proxy-wasm. *Invariant:* `actions` is the only place that changes a request or a response; `worker`
//! is the only one that sends calls, replies and resumes, except that `stream` refuses requests when there is no worker.

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

/// The start function in Kong's package: the packaging step exports it as `_initialize`, in place of the SDK's.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "a host calls it by its name")]
pub extern "C" fn phantom_token_start_in_kong() {
    capabilities::set_for_kong();
    _initialize();
}
