//! One revision of a configuration on one worker: drives the engine, and carries bytes between the engine and Envoy.
//!
//! *Invariant:* no borrow of the engine outlives a call to the engine, since Envoy may call hooks of any stream from within most callbacks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use log::Level;
use phantom_token_core::{
    Action, Attributes, Capabilities, Counter, DecisionLog, Edit, Engine, Host, Instructions, Metrics,
    NoMetrics, RequiredAttributes, SESSION_ID, SessionSeal, StreamId, Timestamp, UpstreamHeaders,
    internal_error, private_cache_control,
};

use crate::calls::{EngineId, Mailbox};
use crate::config::{Config, Revision};
use crate::host::{Attribute, FieldMap, Refused, StreamHandle};
use crate::services::{self, EnvoyLog, GaugeParts, ProcessData, Statistics, SystemRandomness};
use crate::stream::{Passage, Stream};

/// One revision at work. A request ends with the revision that it began with.
pub(crate) struct Worker {
    config: Arc<Config>,
    revision: Arc<Revision>,
    engine: RefCell<Engine>,
    engine_id: Cell<EngineId>,
    required_attributes: RequiredAttributes,
    log: Rc<DecisionLog>,
    gauges: GaugeParts,
    mailbox: Arc<Mailbox>,
    /// The waiting streams.
    waiting: RefCell<BTreeMap<StreamId, Rc<Stream>>>,
    streams: Cell<u64>,
}

thread_local! {
    /// The workers of this thread, one for each revision.
    static WORKERS: RefCell<Vec<Rc<Worker>>> = const { RefCell::new(Vec::new()) };
}

impl Worker {
    /// Returns this thread's worker for the latest revision of a configuration, or `None` while a secret is missing. Drops the workers
    /// whose revisions were replaced.
    pub(crate) fn of(config: &Arc<Config>, stream: &StreamHandle) -> Option<Rc<Self>> {
        if config.is_waiting() {
            config.look_at_secrets(stream);
        }
        let id = config.revision_id();
        if WORKERS.with_borrow(|workers| workers.iter().any(|worker| worker.is_replaced())) {
            let (replaced, live) = WORKERS.take().into_iter().partition(|worker| worker.is_replaced());
            WORKERS.set(live);
            drop::<Vec<_>>(replaced);
        }
        let found =
            WORKERS.with_borrow(|workers| workers.iter().find(|worker| worker.revision.id == id).cloned());
        found.or_else(|| {
            let worker = Rc::new(Self::new(config, config.revision()?, stream));
            WORKERS.with_borrow_mut(|workers| workers.push(Rc::clone(&worker)));
            Some(worker)
        })
    }

    /// Whether no new request uses this worker.
    fn is_replaced(&self) -> bool {
        self.config.has_replaced(&self.revision)
    }

    fn new(config: &Arc<Config>, revision: Arc<Revision>, stream: &StreamHandle) -> Self {
        let log = Rc::new(DecisionLog::new(
            &revision.settings,
            &SystemRandomness,
            Box::new(EnvoyLog(Arc::clone(config))),
        ));
        let engine = engine(&revision, &log);
        let worker = Self {
            config: Arc::clone(config),
            revision,
            required_attributes: engine.required_attributes(),
            engine: RefCell::new(engine),
            engine_id: Cell::default(),
            log,
            gauges: GaugeParts::default(),
            mailbox: Arc::default(),
            waiting: RefCell::default(),
            streams: Cell::new(0),
        };
        worker.statistics(stream, false).increment(Counter::ConfigAccepted);
        worker
    }

    /// Returns a new number for a stream.
    pub(crate) fn next_stream(&self) -> StreamId {
        let number = self.streams.get();
        self.streams.set(number.wrapping_add(1));
        StreamId(number)
    }

    /// Handles a request head.
    pub(crate) fn on_request(&self, stream: &Rc<Stream>, mut handle: StreamHandle) {
        self.read_mail(&handle);
        match self.receive(stream, &mut handle) {
            Ok(Some(action)) => self.perform(stream, handle, action, false),
            Ok(None) => self.wait(stream, handle),
            Err(refused) => {
                self.engine.borrow_mut().on_stream_gone(stream.id);
                self.fail(stream, handle, refused);
            }
        }
    }

    /// Removes forbidden fields from a trailer section.
    pub(crate) fn clean_trailers(&self, stream: &Rc<Stream>, mut handle: StreamHandle) {
        if let Err(refused) = self.clean(&mut handle) {
            self.on_stream_gone(stream);
            self.fail(stream, handle, refused);
        }
    }

    /// Keeps a successful response out of shared caches (RFC 6750 §2.3).
    pub(crate) fn make_private(&self, mut handle: StreamHandle) {
        let field = |name| handle.field(FieldMap::ResponseHeaders, name).unwrap_or_default();
        let Some(value) = private_cache_control(field(":status"), field(CACHE_CONTROL)) else { return };
        if let Err(refused) = handle.replace(FieldMap::ResponseHeaders, CACHE_CONTROL, &value) {
            self.log.log_limited(Level::Error, "the host refused to change a response", refused);
        }
    }

    /// Seals the session id of a response, if it has one. If Envoy refuses the change, the gateway will not accept the unsealed id.
    pub(crate) fn seal_session(&self, mut handle: StreamHandle, seal: &SessionSeal) {
        let Some(id) = handle.field(FieldMap::ResponseHeaders, SESSION_ID) else { return };
        let sealed = seal.seal(id);
        if let Err(refused) = handle.replace(FieldMap::ResponseHeaders, SESSION_ID, &sealed) {
            self.log.log_limited(Level::Error, "the host refused to change a response", refused);
        }
    }

    /// Reads the call results that have arrived.
    pub(crate) fn on_mail(&self, handle: StreamHandle) {
        self.read_mail(&handle);
    }

    /// Forgets a stream that no longer waits: its client is gone, or it was answered.
    pub(crate) fn on_stream_gone(&self, stream: &Stream) {
        if self.waiting.borrow_mut().remove(&stream.id).is_some() {
            self.mailbox.leave(stream.id);
            self.engine.borrow_mut().on_stream_gone(stream.id);
        }
    }

    /// Uses the end of a stream as a tick: reads the mail, reports counts, sends calls that no request waits for, and sets the gauges.
    pub(crate) fn on_tick(&self, handle: StreamHandle) {
        self.read_mail(&handle);
        self.tick(&handle);
    }

    /// Replaces the engine after a panic in a hook, since it may be inconsistent, and refuses the other waiting requests. The new engine
    /// numbers its calls anew and has an id of its own, so that it does not receive results of the old engine's calls.
    pub(crate) fn on_panic(&self, stream: &Stream) {
        let EngineId(before) = self.engine_id.get();
        self.engine_id.set(EngineId(before.wrapping_add(1)));
        self.engine.replace(engine(&self.revision, &self.log));
        for (id, other) in self.waiting.take() {
            self.mailbox.leave(id);
            if id != stream.id {
                other.refuse();
            }
        }
    }

    /// Counts and refuses a request that met a defect of the filter.
    pub(crate) fn refuse(&self, handle: StreamHandle) {
        self.config.metrics.count_defect(&handle);
        handle.reply(internal_error());
    }

    /// Lets the engine read a request head, and applies its edits.
    fn receive(&self, stream: &Stream, handle: &mut StreamHandle) -> Result<Option<Action>, Refused> {
        let (edits, action) = self.read(stream, handle)?;
        for (name, value) in &edits {
            match value {
                Some(value) => handle.replace(FieldMap::RequestHeaders, name, value)?,
                None => handle.remove(FieldMap::RequestHeaders, name)?,
            }
        }
        if !edits.is_empty() {
            handle.clear_route_cache();
        }
        Ok(action)
    }

    /// Lets the engine read a request head. The engine's edits are copied, since they borrow from the fields that they change.
    fn read(&self, stream: &Stream, handle: &StreamHandle) -> Result<(Edits, Option<Action>), Refused> {
        // Configurations for the module cannot ask for the call of an MCP client.
        let RequiredAttributes { route, peer, certificate, mcp_call: _ } = self.required_attributes;
        let route = if route { selected_route(handle) } else { None };
        let attribute =
            |is_required: bool, attribute| is_required.then(|| handle.attribute(attribute)).flatten();
        let peer = attribute(peer, Attribute::UriSanPeerCertificate);
        let certificate = attribute(certificate, Attribute::Sha256PeerCertificateDigest);
        let fields = handle.fields(FieldMap::RequestHeaders)?;
        let attributes = Attributes {
            route: route.as_deref(),
            peer: peer.as_deref(),
            certificate: certificate.as_deref(),
            mcp_call: None,
            field_count: fields.len(),
            target: None,
        };
        let statistics = self.statistics(handle, false);
        let Instructions { edits, action, is_response_private } = self.engine.borrow_mut().on_request(
            stream.id,
            fields.iter().copied(),
            attributes,
            host(&statistics, services::now()),
        );
        if is_response_private {
            stream.keep_response_private();
        }
        let edits = edits.iter().map(|edit| match edit {
            Edit::Remove(name) => (name.to_owned(), None),
            Edit::Replace(name, value) => (name.to_owned(), Some(value.to_vec())),
        });
        Ok((edits.collect(), action))
    }

    fn wait(&self, stream: &Rc<Stream>, handle: StreamHandle) {
        self.mailbox.wake(stream.id, handle.scheduler());
        self.waiting.borrow_mut().insert(stream.id, Rc::clone(stream));
        self.drive(&handle, Some(stream.id));
    }

    fn clean(&self, handle: &mut StreamHandle) -> Result<(), Refused> {
        let trailers = handle.fields(FieldMap::RequestTrailers)?;
        let names = trailers.iter().map(|(name, _)| *name);
        let forbidden = self.engine.borrow().forbidden_trailers(names);
        let forbidden: Vec<String> = forbidden.into_iter().map(str::to_owned).collect();
        forbidden.iter().try_for_each(|name| handle.remove(FieldMap::RequestTrailers, name))
    }

    /// Delivers all call results that have arrived to the engine before the first request continues: that request may be the one of
    /// `handle`, whose stream may then end.
    fn read_mail(&self, handle: &StreamHandle) {
        let mail = self.mailbox.take();
        if mail.is_empty() {
            return;
        }
        for mail in mail {
            if mail.engine != self.engine_id.get() {
                continue;
            }
            let statistics = self.statistics(handle, mail.is_shared);
            mail.deliver(&mut self.engine.borrow_mut(), host(&statistics, mail.at));
        }
        self.drive(handle, None);
    }

    fn tick(&self, handle: &StreamHandle) {
        let statistics = self.statistics(handle, false);
        self.config.uncounted.report(&statistics);
        self.engine.borrow_mut().on_tick(host(&statistics, services::now()));
        self.drive(handle, None);
    }

    /// Submits the engine's calls, and carries out its decisions about waiting streams. The `current` stream, whose head is being read,
    /// need not be resumed.
    fn drive(&self, handle: &StreamHandle, current: Option<StreamId>) {
        let statistics = self.statistics(handle, false);
        loop {
            let mut engine = self.engine.borrow_mut();
            let Some(call) = engine.poll_call(host(&statistics, services::now())) else { break };
            let permit = engine.take_permit(call.id);
            drop(engine);
            let (revision, engine) = (&self.revision, self.engine_id.get());
            if self.config.calls.submit(revision, call, permit, engine, &self.mailbox) {
                statistics.increment(Counter::IntrospectionCoalesced);
            }
        }
        loop {
            let next = self.engine.borrow_mut().poll_action();
            let Some((id, action)) = next else { break };
            let Some(stream) = self.waiting.borrow_mut().remove(&id) else { continue };
            self.mailbox.leave(id);
            if let Some(handle) = stream.handle() {
                self.perform(&stream, handle, action, current != Some(id));
            }
        }
    }

    /// Carries out the decision about a request, and resumes the request if it was paused.
    fn perform(&self, stream: &Stream, mut handle: StreamHandle, action: Action, was_paused: bool) {
        match action {
            Action::Continue(headers) => match set(&mut handle, &headers) {
                Ok(()) => {
                    stream.seal_session(headers.session_seal());
                    stream.set_passage(Passage::Open);
                    if was_paused {
                        handle.resume();
                    }
                }
                Err(refused) => self.fail(stream, handle, refused),
            },
            Action::Reply(reply) => {
                stream.set_passage(Passage::Shut);
                handle.reply(reply);
            }
        }
    }

    /// Refuses a request for which Envoy refused a callback.
    fn fail(&self, stream: &Stream, handle: StreamHandle, refused: Refused) {
        stream.set_passage(Passage::Shut);
        let reply = self.engine.borrow().internal_error(refused, &self.statistics(&handle, false));
        handle.reply(reply);
    }

    fn statistics<'h>(&'h self, stream: &'h StreamHandle, shares_answer: bool) -> Statistics<'h> {
        Statistics { config: &self.config, parts: &self.gauges, stream, shares_answer }
    }
}

/// The edits of a request head: field names, with the new value of each field that is replaced.
type Edits = Vec<(String, Option<Vec<u8>>)>;

/// Returns the label for the filter in the selected route's metadata, or else the route's name.
fn selected_route(handle: &StreamHandle) -> Option<Vec<u8>> {
    handle.route_metadata(METADATA, "route").or_else(|| handle.attribute(Attribute::RouteName))
}

/// Sets the fields that services receive. Filter state and metadata are set before, while the request can still be refused. Routes may
/// match on these fields, so Envoy selects the route again.
fn set(handle: &mut StreamHandle, headers: &UpstreamHeaders) -> Result<(), Refused> {
    for (name, value) in headers.filter_state() {
        handle.set_filter_state(name, value)?;
        handle.set_metadata(METADATA, name, value);
    }
    let mut has_changed = false;
    for (name, value) in headers.fields() {
        handle.replace(FieldMap::RequestHeaders, name, value.as_bytes())?;
        has_changed = true;
    }
    if has_changed {
        handle.clear_route_cache();
    }
    Ok(())
}

/// Creates an engine with empty caches.
fn engine(revision: &Revision, log: &Rc<DecisionLog>) -> Engine {
    let settings = Arc::clone(&revision.settings);
    let mut engine = Engine::sharing(settings, &revision.protections, Capabilities::ALL, Rc::clone(log));
    engine.prepare(Host {
        now: services::now(),
        shared_data: &ProcessData,
        metrics: &NoMetrics,
        randomness: &SystemRandomness,
    });
    engine
}

fn host<'h>(statistics: &'h Statistics<'_>, now: Timestamp) -> Host<'h> {
    Host { now, shared_data: &ProcessData, metrics: statistics, randomness: &SystemRandomness }
}

/// The namespace of the dynamic metadata that the filter sets, and of the route metadata that it reads.
const METADATA: &str = "phantom-token";
const CACHE_CONTROL: &str = "cache-control";
