//! Drives an [`Engine`] without a proxy, one request after another: for tools, fuzz targets and tests. It applies the engine's edits to the
//! fields of a request as a proxy does.
//!
//! *Invariant:* the driver decides nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::engine::{
    Action, Attributes, Call, CallId, Capabilities, DecisionLog, Edit, Engine, HeaderEdits, Instructions,
    LogSink, StreamId, UpstreamHeaders,
};
use crate::host::{Host, NoRandomness, SharedData};
use crate::http::callout::CallResult;
use crate::http::reply::Reply;
use crate::http::request_head::McpCall;
use crate::refusal::Reason;
use crate::settings::Settings;
use crate::time::Timestamp;

/// Names and values of header fields, pseudo-header fields among them.
pub type Fields = Vec<(String, Vec<u8>)>;

/// One worker, with its engine.
pub struct Driver {
    engine: Engine,
    next_stream: u64,
}

/// A request as the host knows it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The header fields, pseudo-header fields among them.
    pub fields: Fields,
    /// The route that the host selected.
    pub route: Option<String>,
    /// The caller's identity: the first URI in its certificate.
    pub peer: Option<String>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits.
    pub certificate: Option<String>,
    /// The method and the tool of an MCP client's call, as reported by the host's filter that read the body.
    pub mcp_call: Option<(String, Option<String>)>,
}

/// The end of a call.
#[derive(Clone, Debug)]
pub enum Response {
    /// The server responded.
    Complete {
        /// The status code.
        status: u16,
        /// The header fields.
        fields: Fields,
        /// The body. If it exceeds the engine's limit, the engine receives an oversized result instead.
        body: Vec<u8>,
    },
    /// The server's response was too long.
    Oversized,
    /// The server did not respond.
    Lost,
}

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The services receive the request.
    Forwarded {
        /// All fields that the services receive.
        fields: Fields,
        /// State that the host stores for its access log and other filters.
        filter_state: Vec<(String, String)>,
        /// Why the request would be refused, if its rule did more than report that.
        shadow_denied: Option<Reason>,
    },
    /// The gateway replied to the request.
    Answered(Reply),
    /// The request waits for a response that never arrived.
    Waiting,
}

impl Driver {
    /// Creates a worker with empty caches on a host with all capabilities.
    pub fn new(settings: Settings, host: Host<'_>) -> Self {
        Self::with_capabilities(settings, Capabilities::ALL, host)
    }

    /// Creates a worker with empty caches on a host with these capabilities.
    pub fn with_capabilities(settings: Settings, capabilities: Capabilities, host: Host<'_>) -> Self {
        let log = DecisionLog::new(&settings, &NoRandomness, Box::new(NoLog));
        let mut engine = Engine::new(Arc::new(settings), capabilities, Rc::new(log));
        engine.prepare(host);
        Self { engine, next_stream: 0 }
    }

    /// Returns the engine, for tests that drive it themselves.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Processes a request. `respond` answers its calls; if it returns `None`, the request waits.
    pub fn process(
        &mut self,
        request: &Request,
        host: Host<'_>,
        respond: &mut dyn FnMut(&Call) -> Option<Response>,
    ) -> Outcome {
        let (stream, mut fields, action) = self.receive(request, host);
        let Some(action) = action.or_else(|| self.settle(stream, host, respond)) else {
            return Outcome::Waiting;
        };
        match action {
            Action::Continue(headers) => {
                set(&mut fields, &headers);
                let filter_state = headers.filter_state().to_vec();
                Outcome::Forwarded { fields, filter_state, shadow_denied: headers.shadow_denied() }
            }
            Action::Reply(reply) => Outcome::Answered(reply),
        }
    }

    /// Passes a request to the engine. Returns its stream, its fields after the edits, and the action, if the request does not have to
    /// wait.
    pub fn receive(&mut self, request: &Request, host: Host<'_>) -> (StreamId, Fields, Option<Action>) {
        let stream = StreamId(self.next_stream);
        self.next_stream = self.next_stream.wrapping_add(1);
        let attributes = Attributes {
            route: request.route.as_deref().map(str::as_bytes),
            peer: request.peer.as_deref().map(str::as_bytes),
            certificate: request.certificate.as_deref().map(str::as_bytes),
            mcp_call: request.mcp_call(),
            field_count: request.fields.len(),
            target: None,
        };
        let borrowed = borrowed(&request.fields);
        let Instructions { edits, action, .. } = self.engine.on_request(stream, borrowed, attributes, host);
        let mut fields = request.fields.clone();
        edit(&mut fields, &edits);
        (stream, fields, action)
    }

    /// Runs the engine's periodic tick. `respond` answers the background calls.
    pub fn tick(&mut self, host: Host<'_>, respond: &mut dyn FnMut(&Call) -> Option<Response>) {
        self.engine.on_tick(host);
        while let Some(call) = self.engine.poll_call(host) {
            if let Some(response) = respond(&call) {
                self.complete(&call, &response, host);
            }
        }
    }

    /// Reports the end of a call to the engine.
    pub fn complete(&mut self, call: &Call, response: &Response, host: Host<'_>) {
        let Call { id, max_response_bytes, .. } = call;
        let Response::Complete { status, fields, body } = response else {
            let is_lost = matches!(response, Response::Lost);
            return self.end(*id, if is_lost { CallResult::Lost } else { CallResult::Oversized }, host);
        };
        if body.len() > *max_response_bytes {
            return self.end(*id, CallResult::Oversized, host);
        }
        let status = status.to_string();
        let pseudo = [(&b":status"[..], status.as_bytes())];
        let headers: Vec<_> = pseudo.into_iter().chain(borrowed(fields)).collect();
        self.end(*id, CallResult::Response { headers: &headers, body }, host);
    }

    fn end(&mut self, call: CallId, result: CallResult<'_>, host: Host<'_>) {
        self.engine.on_call_done(call, result, host);
    }

    fn settle(
        &mut self,
        stream: StreamId,
        host: Host<'_>,
        respond: &mut dyn FnMut(&Call) -> Option<Response>,
    ) -> Option<Action> {
        loop {
            let call = self.engine.poll_call(host);
            if let Some(call) = &call {
                self.complete(call, &respond(call)?, host);
            }
            while let Some((settled, action)) = self.engine.poll_action() {
                if settled == stream {
                    return Some(action);
                }
            }
            call?;
        }
    }
}

impl Request {
    /// Returns the call of an MCP client in the form of a request head.
    pub fn mcp_call(&self) -> Option<McpCall<'_>> {
        let (method, name) = self.mcp_call.as_ref()?;
        Some(McpCall { method: method.as_bytes(), name: name.as_deref().map(str::as_bytes) })
    }
}

impl Outcome {
    /// Returns why the gateway refused the request, if it did.
    pub fn reason(&self) -> Option<Reason> {
        let Self::Answered(reply) = self else { return None };
        Reason::ALL.iter().copied().find(|reason| Some(reason.name()) == reply.reason)
    }
}

impl Response {
    /// Creates a successful response with a body of this media type.
    pub fn of(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let fields = vec![("content-type".to_owned(), media_type.as_bytes().to_vec())];
        Self::Complete { status: 200, fields, body: body.into() }
    }
}

/// Returns the fields in the form that the engine reads.
pub fn borrowed(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
}

fn edit(fields: &mut Fields, edits: &HeaderEdits<'_>) {
    for edit in edits.iter() {
        match edit {
            Edit::Remove(name) => remove(fields, name),
            Edit::Replace(name, value) => replace(fields, name, value),
        }
    }
}

fn set(fields: &mut Fields, headers: &UpstreamHeaders) {
    headers.fields().for_each(|(name, value)| replace(fields, name, value.as_bytes()));
}

fn remove(fields: &mut Fields, name: &str) {
    fields.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
}

fn replace(fields: &mut Fields, name: &str, value: &[u8]) {
    remove(fields, name);
    fields.push((name.to_owned(), value.to_vec()));
}

/// Shared data in memory, with compare-and-swap as in Envoy.
#[derive(Default)]
pub struct MemorySharedData(RefCell<BTreeMap<String, (Vec<u8>, u32)>>);

impl SharedData for MemorySharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let mut data = self.0.borrow_mut();
        let current = data.get(key).map_or(0, |(_, cas)| *cas);
        let is_current = cas == current;
        if is_current {
            data.insert(key.to_owned(), (value.to_vec(), current.wrapping_add(1)));
        }
        is_current
    }
}

/// A log that discards all lines.
struct NoLog;

impl LogSink for NoLog {
    fn write(&self, _level: log::Level, _line: &str) {}

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}
