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
    /// What seals the session id of the response.
    seal: RefCell<Option<SessionSeal>>,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It waits, or is answered here.
    Shut,
    /// It continues.
    Open,
}

impl Stream {
    /// None, if the configuration cannot be at work yet: then its request is refused.
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

    /// Envoy's side of it, unless Envoy has destroyed that.
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

    /// A request head arrived. Whether it continues.
    pub(crate) fn on_request_headers(self: &Rc<Self>) -> bool {
        self.plant_panic("request");
        if let Some(handle) = self.handle() {
            self.worker.on_request(self, handle);
        }
        self.is_open()
    }

    /// A trailer section arrived. It is not looked at again, so it is cleaned whether the request waits or has continued.
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

    /// An answer has come for the worker.
    pub(crate) fn on_scheduled(&self) {
        self.plant_panic("scheduled");
        if let Some(handle) = self.handle() {
            self.worker.on_mail(handle);
        }
    }

    /// The stream is over.
    pub(crate) fn on_complete(&self) {
        self.plant_panic("complete");
        if let Some(handle) = self.handle() {
            self.worker.on_stream_gone(self);
            self.worker.on_tick(handle);
        }
    }

    /// Envoy destroys it.
    pub(crate) fn on_destroy(&self) {
        self.envoy.forget();
        self.worker.on_stream_gone(self);
    }

    /// One of its hooks panicked: what its worker may have left half-done is thrown away, and it is refused.
    pub(crate) fn on_panic(&self) {
        self.on_panic_at_end();
        self.refuse();
    }

    /// A hook at its end panicked, when there is no request to refuse any more.
    pub(crate) fn on_panic_at_end(&self) {
        self.worker.on_panic(self);
    }

    /// It meets a defect of the filter.
    pub(crate) fn refuse(&self) {
        self.passage.set(Passage::Shut);
        if let Some(handle) = self.handle() {
            self.worker.refuse(handle);
        }
    }

    /// Panics where a request asks for it.
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
