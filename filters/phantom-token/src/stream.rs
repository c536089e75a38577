//! One request on its way through the filter.

use std::rc::Rc;

use log::Level;
use phantom_token_core::{ProtectionSpace, Reason, Rejection};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host;
use crate::worker::{Gate, Passage, Worker};

/// The context of a stream.
pub(crate) struct Stream {
    context: u32,
    /// None without a configuration that can be used: then no request gets through.
    worker: Option<Rc<Worker>>,
    gate: Gate,
    is_response_private: bool,
}

impl Stream {
    pub(crate) fn new(context: u32, worker: Option<Rc<Worker>>) -> Self {
        Self { context, worker, gate: Gate::Decided(Passage::Shut), is_response_private: false }
    }

    fn passage(&self) -> Passage {
        match &self.gate {
            Gate::Decided(passage) => *passage,
            Gate::Waiting(passage) => passage.get(),
        }
    }

    fn pass(&self) -> Action {
        match self.passage() {
            Passage::Open => Action::Continue,
            Passage::Shut | Passage::ShutWithout(_) => Action::Pause,
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, field_count: usize, _end_of_stream: bool) -> Action {
        match &self.worker {
            Some(worker) => {
                (self.gate, self.is_response_private) = worker.on_request(self.context, field_count)
            }
            None => refuse(),
        }
        self.pass()
    }

    fn on_http_request_body(&mut self, _body_size: usize, _end_of_stream: bool) -> Action {
        self.pass()
    }

    fn on_http_request_trailers(&mut self, field_count: usize) -> Action {
        let worker = self.worker.as_ref();
        if worker.is_some_and(|worker| worker.clean_trailers(self.context, field_count).is_err()) {
            self.gate = Gate::Decided(Passage::Shut);
        }
        self.pass()
    }

    fn on_http_response_headers(&mut self, _field_count: usize, _end_of_stream: bool) -> Action {
        if let Some(worker) = self.worker.as_ref().filter(|_| self.is_response_private) {
            worker.make_private();
        }
        if let (Some(worker), Passage::ShutWithout(media_type)) = (&self.worker, self.passage()) {
            worker.restore_content_type(media_type);
        }
        Action::Continue
    }
}

impl Context for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (Gate::Waiting(_), Some(worker)) = (&self.gate, &self.worker) {
            worker.on_stream_gone(self.context);
        }
    }
}

fn refuse() {
    let reply = Rejection::from(Reason::Internal).reply(&ProtectionSpace::default());
    if host::reply(reply).is_err() {
        host::log(Level::Error, "the host did not accept a reply");
    }
}
