//! One configuration on one worker: it drives the engine, and carries bytes between it and the host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use phantom_token_core::{
    Action, Attributes, Call, CallId, CallResult, Capabilities, Counter, DecisionLog, Engine, Host,
    Instructions, McpCall, Metrics, Reason, Reply, RequiredAttributes, SessionSeal, Settings, StreamId,
};
use proxy_wasm::types::{BufferType, MapType};

use crate::actions;
use crate::attributes;
use crate::callouts;
use crate::capabilities::{self, capabilities};
use crate::field_map;
use crate::host::{self, Refused};
use crate::host_services::HostServices;
use crate::statistics::Statistics;
use crate::stream::{Outcome, Progress};

/// One configuration at work.
pub(crate) struct Worker {
    engine: RefCell<Engine>,
    log: Rc<DecisionLog>,
    statistics: Statistics,
    /// The waiting streams, and where each finds its outcome.
    waiting: RefCell<BTreeMap<u32, Rc<Cell<Outcome>>>>,
    /// The seals for session ids in responses, by stream.
    seals: RefCell<BTreeMap<u32, SessionSeal>>,
    /// The id of the root context.
    root: u32,
    /// Whether the host switches between contexts; `None` until that is known.
    switches: Cell<Option<bool>>,
    /// Whether a reply sent at this point may have a body.
    takes_bodies: Cell<bool>,
}

impl Worker {
    /// Creates a worker with empty caches; `root` is the root context.
    pub(crate) fn new(settings: Settings, root: u32) -> Self {
        let configured = format!("configured: {settings}");
        let log = Rc::new(DecisionLog::new(&settings, &HostServices, Box::new(HostServices)));
        log.log(Level::Info, configured);
        let timers = host::set_tick_period(TICK).inspect_err(|refused| {
            log.log(
                Level::Warn,
                format_args!("host timers unavailable: refresh-ahead and gauges are disabled: {refused}"),
            );
        });
        let engine_capabilities = Capabilities {
            // Only set once it is proven.
            switches_streams: false,
            outlives_streams: false,
            has_timers: timers.is_ok(),
            edits_repeated_fields: capabilities().removes_fields,
        };
        let worker = Self {
            engine: RefCell::new(Engine::new(Arc::new(settings), engine_capabilities, Rc::clone(&log))),
            log,
            statistics: Statistics::define(timers.is_ok()),
            waiting: RefCell::default(),
            seals: RefCell::default(),
            root,
            // A host that cannot switch is not tested.
            switches: Cell::new((!capabilities().switches).then_some(false)),
            takes_bodies: Cell::new(true),
        };
        if let Ok(host) = worker.lend() {
            worker.engine.borrow_mut().prepare(host);
        }
        worker.statistics.increment(Counter::ConfigAccepted);
        // Reported at once, since the host also tries a configuration in a VM that it then discards.
        worker.statistics.flush();
        worker
    }

    /// Handles a request head of `field_count` fields. Returns the request's progress, and whether the response is private to the client.
    pub(crate) fn on_request(self: &Rc<Self>, context: u32, field_count: usize) -> (Progress, bool) {
        self.receive(context, field_count).unwrap_or_else(|refused| {
            self.waiting.borrow_mut().remove(&context);
            self.engine.borrow_mut().on_stream_gone(stream(context));
            self.fail(refused);
            (Progress::Settled(Outcome::Paused), true)
        })
    }

    /// Removes forbidden fields from a trailer section of `field_count` fields, whether the request waits or has continued: the filter does
    /// not see the section again.
    ///
    /// # Errors
    /// The host refused a call. The request has been answered.
    #[inline(never)]
    pub(crate) fn clean_trailers(&self, context: u32, field_count: usize) -> Result<(), Refused> {
        let clean = || {
            let trailers = host::fields(MapType::HttpRequestTrailers)?;
            let names = field_map::fields(&trailers).map(|(name, _)| name);
            if names.clone().count() < field_count {
                return Err(Refused::INCOMPLETE);
            }
            let forbidden = self.engine.borrow().forbidden_trailers(names);
            forbidden.iter().try_for_each(|name| host::remove(MapType::HttpRequestTrailers, name))
        };
        clean().inspect_err(|refused| {
            self.on_stream_gone(context);
            self.fail(*refused);
        })
    }

    /// Handles the end of a call, with a response of `field_count` fields and `body_size` bytes. Without fields, there is no response.
    pub(crate) fn on_call_done(
        self: &Rc<Self>,
        call: CallId,
        max_response_bytes: usize,
        field_count: usize,
        body_size: usize,
    ) {
        let (fields, headers, body);
        let result = if field_count == 0 {
            CallResult::Lost
        } else if field_count > capabilities().max_fields || body_size > max_response_bytes {
            CallResult::Oversized
        } else if let (Ok(shown_fields), Ok(shown_body)) = (
            host::fields(MapType::HttpCallResponseHeaders),
            host::buffer(BufferType::HttpCallResponseBody, body_size),
        ) {
            (fields, body) = (shown_fields, shown_body);
            headers = field_map::fields(&fields).collect::<Vec<_>>();
            CallResult::Response { headers: &headers, body: &body }
        } else {
            CallResult::Lost
        };
        self.takes_bodies.set(capabilities().keeps_bodies || body_size > 0);
        match self.lend() {
            Ok(host) => {
                self.engine.borrow_mut().on_call_done(call, result, host);
                self.send_calls(None, host);
            }
            Err(_) => self.engine.borrow_mut().on_call_without_time(call, &self.statistics),
        }
        self.act(None);
        self.takes_bodies.set(true);
    }

    /// Forgets a stream that no longer waits: its client is gone, or it was answered.
    pub(crate) fn on_stream_gone(&self, context: u32) {
        if self.waiting.borrow_mut().remove(&context).is_some() {
            self.engine.borrow_mut().on_stream_gone(stream(context));
        }
    }

    /// Does periodic work. Called in the root context.
    pub(crate) fn on_tick(self: &Rc<Self>) {
        if let Ok(host) = self.lend() {
            self.engine.borrow_mut().on_tick(host);
            self.send_calls(None, host);
            self.act(None);
        }
        self.statistics.flush();
    }

    /// Edits the response head of a service, or of a reply by this worker. Restores the reply's media type, seals a session id, and keeps a
    /// successful response out of shared caches if it `is_private` (RFC 6750 §2.3).
    pub(crate) fn on_response(&self, context: u32, outcome: Outcome, is_private: bool) {
        let edited = match outcome {
            Outcome::Answered(Some(media_type)) => actions::restore_content_type(media_type),
            Outcome::ForwardedInSession => self.seal_session(context),
            _ => Ok(()),
        };
        let made_private = if is_private { actions::make_private() } else { Ok(()) };
        for refused in [edited, made_private].into_iter().filter_map(Result::err) {
            self.log.log_limited(Level::Error, "the host refused to change a response", refused);
        }
    }

    /// Stores the seal for the session id of the response, since the request continues.
    #[cold]
    #[inline(never)]
    fn begin_session(&self, context: u32, seal: &SessionSeal) -> Outcome {
        self.seals.borrow_mut().insert(context, seal.clone());
        Outcome::ForwardedInSession
    }

    /// Drops the seal of a stream that has ended, or no longer needs it.
    #[cold]
    #[inline(never)]
    pub(crate) fn forget_session(&self, context: u32) {
        self.seals.borrow_mut().remove(&context);
    }

    /// Seals the session id of a response. If the host refuses the change, the gateway will not accept the unsealed id.
    #[cold]
    #[inline(never)]
    fn seal_session(&self, context: u32) -> Result<(), Refused> {
        self.seals.borrow().get(&context).map_or(Ok(()), actions::seal_session)
    }

    fn receive(self: &Rc<Self>, context: u32, field_count: usize) -> Result<(Progress, bool), Refused> {
        // A longer list is not even requested: a host may write past the end of it.
        if field_count > capabilities().max_fields {
            self.reply(self.engine.borrow().refuse(Reason::TooManyFields, &self.statistics));
            return Ok((Progress::Settled(Outcome::Answered(None)), false));
        }
        let fields = host::fields(MapType::HttpRequestHeaders)?;
        let host = self.lend()?;
        let Instructions { edits, action, is_response_private } =
            self.read(stream(context), &fields, field_count, host)?;
        actions::edit(&edits)?;
        let progress = match action {
            Some(action) => Progress::Settled(self.perform(context, action)?),
            None => Progress::Waiting(self.wait(context, host)?),
        };
        Ok((progress, is_response_private))
    }

    /// Lets the engine read a request head.
    fn read<'f>(
        &self,
        stream: StreamId,
        fields: &'f [u8],
        field_count: usize,
        host: Host<'_>,
    ) -> Result<Instructions<'f>, Refused> {
        let RequiredAttributes { route, peer, certificate, mcp_call } =
            self.engine.borrow().required_attributes();
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

    fn wait(self: &Rc<Self>, context: u32, host: Host<'_>) -> Result<Rc<Cell<Outcome>>, Refused> {
        let outcome = Rc::new(Cell::new(Outcome::Paused));
        self.waiting.borrow_mut().insert(context, Rc::clone(&outcome));
        if self.switches.get().is_none() {
            self.switches.set(capabilities::switches(self.root, context)?);
            if self.switches.get() == Some(true) {
                self.engine.borrow_mut().on_switching_proven();
            }
        }
        self.send_calls(Some(context), host);
        // A call that could not be sent may have led to a decision about this request.
        self.act(Some(context));
        Ok(outcome)
    }

    /// Sends the engine's calls: if the host switches contexts, on behalf of the root context, which outlives their responses; otherwise on
    /// behalf of the effective context. `current` is the stream about which the host is calling the filter.
    fn send_calls(self: &Rc<Self>, current: Option<u32>, host: Host<'_>) {
        while let Some(call) = self.poll_call(host) {
            match self.send(&call, current) {
                Ok(number) => callouts::expect(number, self, call.id, call.max_response_bytes),
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

    /// Carries out the engine's decisions about waiting streams. The `current` stream, whose head is being read, need not be resumed.
    fn act(&self, current: Option<u32>) {
        while let Some((stream, action)) = self.poll_action() {
            let context = context(stream);
            let Some(outcome) = self.waiting.borrow_mut().remove(&context) else { continue };
            let is_current = current == Some(context);
            // A stream that is gone needs no action, and the host cannot switch to it.
            if !is_current && host::set_effective_context(context).is_err() {
                continue;
            }
            let performed = self.perform(context, action).and_then(|performed| {
                if performed.is_forwarded() && !is_current {
                    host::resume_request()?;
                }
                Ok(performed)
            });
            match performed {
                Ok(performed) => outcome.set(performed),
                Err(refused) => self.fail(refused),
            }
        }
    }

    fn poll_action(&self) -> Option<(StreamId, Action)> {
        self.engine.borrow_mut().poll_action()
    }

    /// Carries out the decision about the request in effect, and returns its outcome.
    fn perform(&self, context: u32, action: Action) -> Result<Outcome, Refused> {
        match action {
            Action::Continue(headers) => {
                actions::set(&headers)?;
                Ok(headers
                    .session_seal()
                    .map_or(Outcome::Forwarded, |seal| self.begin_session(context, seal)))
            }
            Action::Reply(reply) => {
                let media_type = reply.grpc_call.map(|call| call.media_type());
                self.reply(reply);
                Ok(Outcome::Answered(media_type))
            }
        }
    }

    /// Refuses a request for which the host refused a call.
    fn fail(&self, refused: Refused) {
        let reply = self.engine.borrow().internal_error(refused, &self.statistics);
        self.reply(reply);
    }

    /// Sends a reply. If the host refuses it, the request stays paused: it does not continue.
    fn reply(&self, reply: Reply) {
        let reply = if self.takes_bodies.get() { reply } else { actions::without_body(reply) };
        if let Err(refused) = host::reply(reply) {
            self.log.log_limited(Level::Error, "the host did not accept a reply", refused);
        }
    }

    fn lend(&self) -> Result<Host<'_>, Refused> {
        Ok(Host {
            now: host::now()?,
            shared_data: &HostServices,
            metrics: &self.statistics,
            randomness: &HostServices,
        })
    }
}

fn stream(context: u32) -> StreamId {
    StreamId(context.into())
}

fn context(stream: StreamId) -> u32 {
    u32::try_from(stream.0).unwrap_or(u32::MAX)
}

/// The longest time that a background call waits to be sent. Ticks are rare enough that an idle worker does not notice them.
const TICK: Duration = Duration::from_millis(50);
