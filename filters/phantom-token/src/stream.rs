//! One request on its way through the filter.

use std::cell::Cell;
use std::rc::Rc;

use log::Level;
use phantom_token_core::internal_error;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host;
use crate::worker::Worker;

/// The context of a stream.
pub(crate) struct Stream {
    context: u32,
    /// `None` without a valid configuration: then no request gets through.
    worker: Option<Rc<Worker>>,
    progress: Progress,
    is_response_private: bool,
}

/// How far a request has come.
pub(crate) enum Progress {
    /// The outcome is known.
    Settled(Outcome),
    /// The request waits until its worker sets the outcome here.
    Waiting(Rc<Cell<Outcome>>),
}

/// What has become of a request. Some hosts deliver its body while its head is still paused.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// The request waits, or was refused because a host call failed.
    Paused,
    /// The filter answered the request. For a gRPC call, this is the media type of the reply, which the host may remove since there is no
    /// content.
    Answered(Option<&'static str>),
    /// The request continues.
    Forwarded,
    /// The request continues, and the session id of its response is sealed.
    ForwardedInSession,
}

impl Outcome {
    /// Whether the request continues.
    pub(crate) fn is_forwarded(self) -> bool {
        matches!(self, Self::Forwarded | Self::ForwardedInSession)
    }
}

impl Stream {
    pub(crate) fn new(context: u32, worker: Option<Rc<Worker>>) -> Self {
        Self { context, worker, progress: Progress::Settled(Outcome::Paused), is_response_private: false }
    }

    /// Drops the seal for the session id of the response.
    fn leave_session(&self) {
        if let (Some(worker), Outcome::ForwardedInSession) = (&self.worker, self.outcome()) {
            worker.forget_session(self.context);
        }
    }

    fn outcome(&self) -> Outcome {
        match &self.progress {
            Progress::Settled(outcome) => *outcome,
            Progress::Waiting(outcome) => outcome.get(),
        }
    }

    fn action(&self) -> Action {
        if self.outcome().is_forwarded() { Action::Continue } else { Action::Pause }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, field_count: usize, _end_of_stream: bool) -> Action {
        match &self.worker {
            Some(worker) => {
                (self.progress, self.is_response_private) = worker.on_request(self.context, field_count);
            }
            None => {
                if host::reply(internal_error()).is_err() {
                    host::log(Level::Error, "the host did not accept a reply");
                }
            }
        }
        self.action()
    }

    fn on_http_request_body(&mut self, _body_size: usize, _end_of_stream: bool) -> Action {
        self.action()
    }

    fn on_http_request_trailers(&mut self, field_count: usize) -> Action {
        let worker = self.worker.as_ref();
        if worker.is_some_and(|worker| worker.clean_trailers(self.context, field_count).is_err()) {
            self.leave_session();
            self.progress = Progress::Settled(Outcome::Paused);
        }
        self.action()
    }

    fn on_http_response_headers(&mut self, _field_count: usize, _end_of_stream: bool) -> Action {
        if let Some(worker) = &self.worker {
            worker.on_response(self.context, self.outcome(), self.is_response_private);
        }
        Action::Continue
    }
}

impl Context for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(worker) = &self.worker else { return };
        if matches!(self.progress, Progress::Waiting(_)) {
            worker.on_stream_gone(self.context);
        }
        self.leave_session();
    }
}
