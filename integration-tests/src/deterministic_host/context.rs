//! A context of the module, and the current call into it.

use std::time::Duration;

use super::context_key::ContextKey;
use super::header_map::HeaderMap;
use super::stream::StreamId;

pub(super) enum Context {
    Root(Root),
    Stream(StreamId),
}

/// A root context: one configuration in one VM.
#[derive(Default)]
pub(super) struct Root {
    pub(super) configuration: Vec<u8>,
    pub(super) tick: Option<Tick>,
}

#[derive(Clone, Copy)]
pub(super) struct Tick {
    pub(super) period: Duration,
    pub(super) due: Duration,
}

/// The current call into a module.
pub(super) struct Call {
    pub(super) callback: Callback,
    pub(super) context: ContextKey,
    /// The context on which host functions act.
    pub(super) effective: ContextKey,
    pub(super) worker: usize,
    /// The fuel that was left when a context was last charged.
    pub(super) fuel: u64,
}

pub(super) enum Callback {
    Start,
    Configure,
    RequestHead,
    RequestTrailers(HeaderMap),
    Answer(HeaderMap, Vec<u8>),
    ResponseHead,
    Other,
}
