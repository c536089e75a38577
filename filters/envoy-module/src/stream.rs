//! One request on its way through the filter.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use phantom_token_core::{SessionSeal, StreamId};

use crate::config::Config;
use crate::host::{StreamCell, StreamHandle};
use crate::worker::Worker;

/// The filter of a stream.
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    envoy: StreamCell,
    worker: Rc<Worker>,
    passage: Cell<Passage>,
    is_response_private: Cell<bool>,
    /// Seals the session id of the response.
    seal: RefCell<Option<SessionSeal>>,
}

/// Whether a request passes the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The request waits, or the filter has answered it.
    Shut,
    /// The request continues.
    Open,
}

impl Stream {
    /// Returns `None` while a secret of the configuration is missing; the request is then refused.
    pub(crate) fn new(config: &Arc<Config>, handle: StreamHandle) -> Option<Rc<Self>> {
        let worker = Worker::of(config, &handle)?;
        Some(Rc::new(Self {
            id: worker.next_stream(),
            envoy: StreamCell::new(handle),
            worker,
            passage: Cell::new(Passage::Shut),
            is_response_private: Cell::new(false),
            seal: RefCell::default(),
        }))
    }

    /// Returns Envoy's stream, unless Envoy has destroyed it.
    pub(crate) fn handle(&self) -> Option<StreamHandle> {
        self.envoy.handle()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.passage.get() == Passage::Open
    }

    pub(crate) fn set_passage(&self, passage: Passage) {
        self.passage.set(passage);
    }

    pub(crate) fn keep_response_private(&self) {
        self.is_response_private.set(true);
    }

    pub(crate) fn seal_session(&self, seal: Option<&SessionSeal>) {
        self.seal.replace(seal.cloned());
    }

    /// Handles a request head. Returns whether the request continues.
    pub(crate) fn on_request_headers(self: &Rc<Self>) -> bool {
        self.plant_panic("request");
        if let Some(handle) = self.handle() {
            self.worker.on_request(self, handle);
        }
        self.is_open()
    }

    /// Cleans the trailers, whether the request waits or has continued: the filter does not see them again. Returns whether the request
    /// continues.
    pub(crate) fn on_request_trailers(self: &Rc<Self>) -> bool {
        if let Some(handle) = self.handle() {
            self.worker.clean_trailers(self, handle);
        }
        self.is_open()
    }

    pub(crate) fn on_response_headers(&self) {
        self.plant_panic("response");
        if let Some(handle) = self.handle().filter(|_| self.is_response_private.get()) {
            self.worker.make_private(handle);
        }
        if let (Some(handle), Some(seal)) = (self.handle(), &*self.seal.borrow()) {
            self.worker.seal_session(handle, seal);
        }
    }

    /// Reads the call results that have arrived for the worker.
    pub(crate) fn on_scheduled(&self) {
        self.plant_panic("scheduled");
        if let Some(handle) = self.handle() {
            self.worker.on_mail(handle);
        }
    }

    /// Handles the end of the stream.
    pub(crate) fn on_complete(&self) {
        self.plant_panic("complete");
        if let Some(handle) = self.handle() {
            self.worker.on_stream_gone(self);
            self.worker.on_tick(handle);
        }
    }

    /// Forgets Envoy's stream, which Envoy is destroying.
    pub(crate) fn on_destroy(&self) {
        self.envoy.forget();
        self.worker.on_stream_gone(self);
    }

    /// Handles a panic in a hook: the worker discards what may be inconsistent, and the request is refused.
    pub(crate) fn on_panic(&self) {
        self.on_panic_at_end();
        self.refuse();
    }

    /// Handles a panic in a hook at the end of the stream, when there is no longer a request to refuse.
    pub(crate) fn on_panic_at_end(&self) {
        self.worker.on_panic(self);
    }

    /// Refuses the request because of a defect of the filter.
    pub(crate) fn refuse(&self) {
        self.passage.set(Passage::Shut);
        if let Some(handle) = self.handle() {
            self.worker.refuse(handle);
        }
    }

    /// Panics if the request names the hook in `x-planted-panic`, for tests.
    #[cfg(feature = "planted-panic")]
    #[allow(clippy::panic, reason = "it is planted")]
    fn plant_panic(&self, hook: &str) {
        let planted = self.handle().is_some_and(|handle| {
            handle.field(crate::host::FieldMap::RequestHeaders, "x-planted-panic") == Some(hook.as_bytes())
        });
        if planted {
            panic!("planted in the hook {hook}, with a text that no log may show: opaque-in-a-panic");
        }
    }

    #[cfg(not(feature = "planted-panic"))]
    fn plant_panic(&self, _hook: &str) {}
}
