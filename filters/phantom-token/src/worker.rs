//! One configuration on one worker: it drives the engine, and carries bytes between it and the host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use phantom_token_core::{
    Action, Attributes, Call, CallId, CallResult, Capabilities, Counter, DecisionLog, Engine, Host,
    Instructions, McpCall, Metrics, Reason, Reply, RequiredAttributes, Settings, StreamId,
};
use proxy_wasm::types::{BufferType, MapType};

use crate::actions;
use crate::attributes;
use crate::capabilities::capabilities;
use crate::field_map;
use crate::host::{self, Refused};
use crate::host_services::{HostLog, HostRandomness, HostSharedData};
use crate::statistics::Statistics;

/// One configuration at work.
pub(crate) struct Worker {
    engine: RefCell<Engine>,
    required_attributes: RequiredAttributes,
    log: Rc<DecisionLog>,
    statistics: Statistics,
    shared_data: HostSharedData,
    /// The calls in flight by the host's numbers, and how long a response may be, in bytes.
    calls: RefCell<BTreeMap<u32, (CallId, usize)>>,
    /// The streams that wait.
    paused: RefCell<BTreeMap<StreamId, Rc<Cell<Passage>>>>,
    /// The root context.
    root: u32,
    /// Whether the host switches between contexts, once that is known.
    switches: Cell<Option<bool>>,
    /// Whether a reply that is made now may have a body.
    takes_bodies: Cell<bool>,
}

/// Whether the rest of a request may pass. Some hosts deliver a body while its head is still paused.
pub(crate) enum Gate {
    /// It is decided.
    Decided(Passage),
    /// The request waits, until this is another.
    Waiting(Rc<Cell<Passage>>),
}

/// What a request comes to.
#[derive(Clone, Copy)]
pub(crate) enum Passage {
    /// It waits, or is answered here.
    Shut,
    /// It is answered here, by a reply whose media type the host takes off, since there is no content.
    ShutWithout(&'static str),
    /// It continues.
    Open,
}

impl Worker {
    /// A worker without anything in its caches; `root` is the root context.
    pub(crate) fn new(settings: Settings, root: u32) -> Self {
        let configured = format!("configured: {settings}");
        let log = Rc::new(DecisionLog::new(&settings, &HostRandomness, Box::new(HostLog)));
        log.log(Level::Info, configured);
        let timers = host::set_tick_period(TICK).inspect_err(|refused| {
            log.log(
                Level::Warn,
                format_args!("host timers unavailable: refresh-ahead and gauges are disabled: {refused}"),
            );
        });
        let engine_capabilities = Capabilities {
            // Not before it is proven.
            switches_streams: false,
            outlives_streams: false,
            has_timers: timers.is_ok(),
            edits_repeated_fields: capabilities().takes_fields_off,
        };
        let engine = Engine::new(Arc::new(settings), engine_capabilities, Rc::clone(&log));
        let worker = Self {
            required_attributes: engine.required_attributes(),
            engine: RefCell::new(engine),
            shared_data: HostSharedData(Rc::clone(&log)),
            log,
            statistics: Statistics::define(timers.is_ok()),
            calls: RefCell::default(),
            paused: RefCell::default(),
            root,
            // A host that cannot is not asked.
            switches: Cell::new((!capabilities().switches).then_some(false)),
            takes_bodies: Cell::new(true),
        };
        if let Ok(host) = worker.lend() {
            worker.engine.borrow_mut().prepare(host);
        }
        worker.statistics.increment(Counter::ConfigAccepted);
        // The host also tries a configuration in a VM that it throws away.
        worker.statistics.flush();
        worker
    }

    /// A request head of `field_count` fields arrived. Its gate, and whether the response is for the client alone.
    pub(crate) fn on_request(&self, context: u32, field_count: usize) -> (Gate, bool) {
        self.receive(context, field_count).unwrap_or_else(|refused| {
            self.paused.borrow_mut().remove(&stream(context));
            self.engine.borrow_mut().on_stream_gone(stream(context));
            self.fail(refused);
            (Gate::Decided(Passage::Shut), true)
        })
    }

    /// A trailer section of `field_count` fields arrived. It is not looked at again, so it is cleaned whether the request waits or has
    /// continued.
    ///
    /// # Errors
    /// The host refused a call. The request is answered.
    #[inline(never)]
    pub(crate) fn clean_trailers(&self, context: u32, field_count: usize) -> Result<(), Refused> {
        let clean = || {
            let trailers = host::fields(MapType::HttpRequestTrailers)?;
            let names = field_map::fields(&trailers).map(|(name, _)| name);
            if names.clone().count() < field_count {
                return Err(Refused::INCOMPLETE);
            }
            let forbidden = self.engine.borrow().forbidden_trailers(names);
            forbidden.iter().try_for_each(|name| host::remove_request_trailer(name))
        };
        clean().inspect_err(|refused| {
            self.on_stream_gone(context);
            self.fail(*refused);
        })
    }

    /// The host has a response to a call, or none to give. Whether the call is of this worker.
    pub(crate) fn on_call_done(&self, number: u32, field_count: usize, body_size: usize) -> bool {
        let Some((id, limit)) = self.calls.borrow_mut().remove(&number) else { return false };
        // A response that the host does not show whole is not read.
        let is_shown = field_count <= capabilities().max_fields;
        let headers = match field_count > 0 && is_shown {
            true => host::fields(MapType::HttpCallResponseHeaders).ok(),
            false => None,
        };
        let body = match body_size {
            0 => Some(Vec::new()),
            size if size > limit => None,
            size => host::buffer(BufferType::HttpCallResponseBody, size).ok(),
        };
        let headers = headers.as_ref().map(|headers| field_map::fields(headers).collect::<Vec<_>>());
        let result = match (&headers, &body) {
            (Some(headers), Some(body)) => CallResult::Response { headers, body },
            (Some(_), None) if body_size > limit => CallResult::Oversized,
            _ if !is_shown => CallResult::Oversized,
            _ => CallResult::Lost,
        };
        self.takes_bodies.set(capabilities().keeps_bodies || body_size > 0);
        match self.lend() {
            Ok(host) => {
                self.engine.borrow_mut().on_call_done(id, result, host);
                self.send_calls(None, host);
            }
            Err(_) => self.engine.borrow_mut().on_call_without_time(id, &self.statistics),
        }
        self.act(None);
        self.takes_bodies.set(true);
        true
    }

    /// The stream does not wait any more: its client is gone, or it is answered.
    pub(crate) fn on_stream_gone(&self, context: u32) {
        if self.paused.borrow_mut().remove(&stream(context)).is_some() {
            self.engine.borrow_mut().on_stream_gone(stream(context));
        }
    }

    /// Some time has passed. It is called for the root context.
    pub(crate) fn on_tick(&self) {
        if let Ok(host) = self.lend() {
            self.engine.borrow_mut().on_tick(host);
            self.send_calls(None, host);
            self.act(None);
        }
        self.statistics.flush();
    }

    /// Keeps a successful response out of caches that others use (RFC 6750 §2.3).
    pub(crate) fn make_private(&self) {
        if let Err(refused) = actions::make_private() {
            self.log.log_limited(Level::Error, "the host refused to change a response", refused);
        }
    }

    /// Gives a reply of this worker's its media type.
    pub(crate) fn restore_content_type(&self, media_type: &str) {
        if let Err(refused) = actions::restore_content_type(media_type) {
            self.log.log_limited(Level::Error, "the host refused to change a response", refused);
        }
    }

    fn receive(&self, context: u32, field_count: usize) -> Result<(Gate, bool), Refused> {
        if field_count > capabilities().max_fields {
            self.reply(self.engine.borrow().refuse(Reason::TooManyFields, &self.statistics));
            return Ok((Gate::Decided(Passage::Shut), false));
        }
        let fields = host::fields(MapType::HttpRequestHeaders)?;
        let host = self.lend()?;
        let Instructions { edits, action, is_response_private } =
            self.read(stream(context), &fields, field_count, host)?;
        actions::edit(&edits)?;
        let gate = match action {
            Some(action) => Gate::Decided(self.perform(action)?),
            None => self.wait(context, host)?,
        };
        Ok((gate, is_response_private))
    }

    /// Lets the engine read a request head.
    fn read<'f>(
        &self,
        stream: StreamId,
        fields: &'f [u8],
        field_count: usize,
        host: Host<'_>,
    ) -> Result<Instructions<'f>, Refused> {
        let RequiredAttributes { route, peer, certificate, mcp_call } = self.required_attributes;
        let route = if route { attributes::route()? } else { None };
        let peer = peer.then(attributes::peer).flatten();
        let certificate = certificate.then(attributes::certificate).flatten();
        let mcp_call = if mcp_call { attributes::mcp_call()? } else { None };
        let target = if capabilities().shows_target { None } else { Some(attributes::target(fields)?) };
        let attributes = Attributes {
            route: route.as_deref(),
            peer: peer.as_deref(),
            certificate: certificate.as_deref(),
            mcp_call: mcp_call.as_ref().map(|(method, name)| McpCall { method, name: name.as_deref() }),
            field_count,
            target: target.as_ref().map(|(path, authority)| (path.as_slice(), *authority)),
        };
        let fields = field_map::fields(fields);
        Ok(self.engine.borrow_mut().on_request(stream, fields, attributes, host))
    }

    fn wait(&self, context: u32, host: Host<'_>) -> Result<Gate, Refused> {
        let passage = Rc::new(Cell::new(Passage::Shut));
        self.paused.borrow_mut().insert(stream(context), Rc::clone(&passage));
        self.prove_switching(context)?;
        self.send_calls(Some(context), host);
        // A call that could not be sent may have decided about this request.
        self.act(Some(stream(context)));
        Ok(Gate::Waiting(passage))
    }

    /// Lets the host prove, before the first call, that it switches to the root context and back: some say that they do, and do
    /// nothing, so that the filter would forward the wrong request. The root context has no request, so the path of this one must not be
    /// readable from there. All is done twice, since a host may refuse a read for another reason.
    fn prove_switching(&self, context: u32) -> Result<(), Refused> {
        if self.switches.get().is_some() {
            return Ok(());
        }
        for _ in 0..2 {
            if host::set_effective_context(self.root).is_err() {
                return Ok(());
            }
            let is_readable_there = host::request_field(PATH).is_ok();
            host::set_effective_context(context)?;
            let is_readable_here = host::request_field(PATH).is_ok();
            if is_readable_there || !is_readable_here {
                self.switches.set(is_readable_there.then_some(false));
                return Ok(());
            }
        }
        self.switches.set(Some(true));
        self.engine.borrow_mut().on_switching_proven();
        Ok(())
    }

    /// Sends the calls that the engine has. Where the host switches contexts, they are sent in the root context's name, which outlives
    /// their responses; elsewhere in the name of the context in effect. `current` is the stream that the host is calling about.
    fn send_calls(&self, current: Option<u32>, host: Host<'_>) {
        while let Some(call) = self.poll_call(host) {
            match self.send(&call, current) {
                Ok(number) => {
                    self.calls.borrow_mut().insert(number, (call.id, call.max_response_bytes));
                }
                Err(refused) => self.engine.borrow_mut().on_call_not_sent(call.id, refused, host),
            }
        }
    }

    fn poll_call(&self, host: Host<'_>) -> Option<Call> {
        self.engine.borrow_mut().poll_call(host)
    }

    fn send(&self, call: &Call, current: Option<u32>) -> Result<u32, Refused> {
        if self.switches.get() != Some(true) {
            return host::send(&call.request);
        }
        host::set_effective_context(self.root)?;
        let sent = host::send(&call.request);
        current.map_or(Ok(()), host::set_effective_context)?;
        sent
    }

    /// Does what the engine has decided about streams that wait. The `current` one, whose head is being read, need not be resumed.
    fn act(&self, current: Option<StreamId>) {
        while let Some((stream, action)) = self.poll_action() {
            let Some(passage) = self.paused.borrow_mut().remove(&stream) else { continue };
            let is_current = current == Some(stream);
            // A stream that is gone needs nothing, and cannot be switched to.
            if !is_current && host::set_effective_context(context(stream)).is_err() {
                continue;
            }
            let performed = self.perform(action).and_then(|performed| {
                if matches!(performed, Passage::Open) && !is_current {
                    host::resume_request()?;
                }
                Ok(performed)
            });
            match performed {
                Ok(performed) => passage.set(performed),
                Err(refused) => self.fail(refused),
            }
        }
    }

    fn poll_action(&self) -> Option<(StreamId, Action)> {
        self.engine.borrow_mut().poll_action()
    }

    /// What the request in effect comes to.
    fn perform(&self, action: Action) -> Result<Passage, Refused> {
        match action {
            Action::Continue(headers) => actions::set(&headers).map(|()| Passage::Open),
            Action::Reply(reply) => {
                let grpc_call = reply.grpc_call;
                self.reply(reply);
                Ok(grpc_call.map_or(Passage::Shut, |call| Passage::ShutWithout(call.media_type())))
            }
        }
    }

    /// Answers a request for which the host refused a call.
    fn fail(&self, refused: Refused) {
        let reply = self.engine.borrow().internal_error(refused, &self.statistics);
        self.reply(reply);
    }

    /// A request whose reply the host does not take stays paused: it does not continue.
    fn reply(&self, reply: Reply) {
        let reply = if self.takes_bodies.get() { reply } else { actions::without_body(reply) };
        if let Err(refused) = host::reply(reply) {
            self.log.log_limited(Level::Error, "the host did not accept a reply", refused);
        }
    }

    fn lend(&self) -> Result<Host<'_>, Refused> {
        Ok(Host {
            now: host::now()?,
            shared_data: &self.shared_data,
            metrics: &self.statistics,
            randomness: &HostRandomness,
        })
    }
}

fn stream(context: u32) -> StreamId {
    StreamId(context.into())
}

fn context(stream: StreamId) -> u32 {
    u32::try_from(stream.0).unwrap_or(u32::MAX)
}

/// Every request has one.
const PATH: &str = ":path";

/// How long a call in the background waits at most to be sent; so rarely that an idle worker does not notice.
const TICK: Duration = Duration::from_millis(50);
