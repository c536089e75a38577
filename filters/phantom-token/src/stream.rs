//! One request on its way through the filter.

use std::rc::Rc;

use phantom_token_core::Verdict;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::worker::{Fate, Next, Paused, Reception, Worker};

/// The context of a stream.
pub(crate) struct Stream {
    context: u32,
    worker: Rc<Worker>,
    gate: Gate,
    is_answer_private: bool,
}

/// Whether the rest of the request may pass. Some hosts deliver a body while its head is still paused.
enum Gate {
    Open,
    Shut,
    Waiting(Rc<Paused>),
}

impl Stream {
    pub(crate) fn new(context: u32, worker: Rc<Worker>) -> Self {
        Self { context, worker, gate: Gate::Shut, is_answer_private: false }
    }

    fn pass(&self) -> Action {
        match &self.gate {
            Gate::Open => Action::Continue,
            Gate::Waiting(stream) if stream.fate() == Fate::Forwarded => Action::Continue,
            Gate::Waiting(_) | Gate::Shut => Action::Pause,
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, field_count: usize, _end_of_stream: bool) -> Action {
        let Reception { next, is_answer_private } = self.worker.authenticate(self.context, field_count);
        self.is_answer_private = is_answer_private;
        self.gate = match next {
            Next::Pause(stream) => Gate::Waiting(stream),
            Next::Perform(verdict) => match self.worker.performer().perform(verdict) {
                Action::Continue => Gate::Open,
                _ => Gate::Shut,
            },
        };
        self.pass()
    }

    fn on_http_request_body(&mut self, _body_size: usize, _end_of_stream: bool) -> Action {
        self.pass()
    }

    fn on_http_request_trailers(&mut self, field_count: usize) -> Action {
        let Err(rejection) = self.worker.clean_trailers(field_count) else { return self.pass() };
        if let Gate::Waiting(stream) = std::mem::replace(&mut self.gate, Gate::Shut) {
            self.worker.on_gone(&stream);
        }
        self.worker.performer().perform(Verdict::Reject(rejection))
    }

    fn on_http_response_headers(&mut self, _field_count: usize, _end_of_stream: bool) -> Action {
        if self.is_answer_private {
            self.worker.performer().make_private();
        }
        Action::Continue
    }
}

impl Context for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Gate::Waiting(stream) = &self.gate {
            self.worker.on_gone(stream);
        }
    }
}
