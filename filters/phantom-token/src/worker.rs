//! What the streams of one configuration on one worker share: the authenticator, and who waits for which callout.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use log::Level;
use phantom_token_core::{
    AUTHORIZATION, Authenticator, CalloutId, Census, CircuitChange, Conclusion, Counter, Flight, Gauge,
    Histogram, Host, InFlight, Metrics, Outcome, Pending, Question, Randomness, Reason, Rejection,
    RequestHead, Settings, Step, Timestamp, Verdict, Waiting, Withheld,
};
use proxy_wasm::types::{BufferType, MapType};

use crate::capabilities::capabilities;
use crate::field_map;
use crate::host::{self, Refused};
use crate::journal::Journal;
use crate::lent::{HostRandomness, HostSharedData};
use crate::perform::{self, Performer};
use crate::statistics::Statistics;

/// One configuration at work.
pub(crate) struct Worker {
    authenticator: RefCell<Authenticator>,
    in_flight: RefCell<InFlight<Rc<Paused>>>,
    performer: Performer,
    shared_data: HostSharedData,
    evictions: Cell<u64>,
    single_flight: bool,
    /// The root context.
    root: u32,
    /// Whether the host switches between contexts, once that is known.
    switches: Cell<Option<bool>>,
    /// Whether the host calls the root context now and then.
    ticks: Cell<bool>,
}

/// A stream that waits, or did.
pub(crate) struct Paused {
    context: u32,
    fate: Cell<Fate>,
    /// The callout that was sent in this stream's name: the host drops its answer when the stream goes.
    asked: Cell<Option<CalloutId>>,
}

/// What became of a stream that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It still waits.
    Waiting,
    /// It was forwarded.
    Forwarded,
    /// It was answered here.
    Rejected,
    /// Its client went away.
    Gone,
}

/// What becomes of a request whose head is being read.
pub(crate) enum Next {
    /// It is decided.
    Perform(Verdict),
    /// It waits.
    Pause(Rc<Paused>),
}

/// What the head of a request leads to.
pub(crate) struct Reception {
    pub(crate) next: Next,
    /// Whether the answer is for the client alone, since the request's URL was.
    pub(crate) is_answer_private: bool,
}

impl Worker {
    /// A worker without anything in its caches; `root` is the root context.
    pub(crate) fn new(settings: Settings, root: u32) -> Self {
        let single_flight = settings.single_flight;
        let tag_key = match &settings.log_key {
            Some(key) => key.expose().as_bytes().to_vec(),
            None => HostRandomness.bytes().map(Vec::from).unwrap_or_default(),
        };
        let performer = Performer {
            space: settings.protection.clone(),
            statistics: Statistics::define(),
            journal: Rc::new(Journal::new(settings.log_level, tag_key)),
            takes_bodies: Cell::new(true),
        };
        let shared_data = HostSharedData(Rc::clone(&performer.journal));
        let mut authenticator = Authenticator::new(settings);
        if let Ok(now) = host::now() {
            authenticator.prepare(now, &shared_data);
        }
        Self {
            shared_data,
            performer,
            evictions: Cell::new(0),
            single_flight,
            authenticator: RefCell::new(authenticator),
            in_flight: RefCell::default(),
            root,
            // A host that cannot is not asked.
            switches: Cell::new((!capabilities().switches).then_some(false)),
            ticks: Cell::new(false),
        }
    }

    /// Lets the host call the root context now and then, which asks what no stream can ask, and tells what there is. It is told once,
    /// by the root context: some hosts do not let streams do that, and others begin anew with each time.
    pub(crate) fn start_ticking(&self) {
        let result = host::set_tick_period(TICK);
        if let Err(refused) = result {
            self.performer.journal.say(
                Level::Warn,
                format_args!("host timers unavailable: refresh-ahead and gauges are disabled: {refused:?}"),
            );
        }
        self.ticks.set(result.is_ok());
        if result.is_err() {
            self.authenticator.borrow_mut().forgo_background();
        }
    }

    pub(crate) fn performer(&self) -> &Performer {
        &self.performer
    }

    /// The head of a request is there, of `field_count` fields; `context` is its stream's.
    pub(crate) fn authenticate(&self, context: u32, field_count: usize) -> Reception {
        self.examine(context, field_count).unwrap_or_else(|refused| {
            let next = Next::Perform(Verdict::Reject(self.performer.fail(refused)));
            Reception { next, is_answer_private: true }
        })
    }

    /// The trailer section of a request is there, of `field_count` fields. It is not looked at again, so it is cleaned whether the
    /// request waits or has gone on.
    #[inline(never)]
    pub(crate) fn clean_trailers(&self, field_count: usize) -> Result<(), Rejection> {
        let clean = || {
            let trailers = host::fields(MapType::HttpRequestTrailers)?;
            let names = field_map::fields(&trailers).map(|(name, _)| name);
            if names.clone().count() < field_count {
                return Err(Refused::INCOMPLETE);
            }
            perform::remove_trailers(&self.authenticator.borrow().forbidden_trailers(names))
        };
        clean().map_err(|refused| self.performer.fail(refused))
    }

    /// The host has an answer to a callout, or none to give. Whether the callout is of this worker.
    pub(crate) fn on_answer(&self, id: CalloutId, field_count: usize, body_size: usize) -> bool {
        let now = host::now();
        let landed = self.in_flight.borrow_mut().land(id, now.unwrap_or(Timestamp::from_millis(0)));
        let Some((flight, took)) = landed else { return false };
        if flight.question.is_introspection() && now.is_ok() {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.performer.statistics.record(Histogram::IntrospectionMilliseconds, milliseconds);
        }
        let limit = flight.question.answer_limit();
        // What the host does not show whole is not looked at.
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
        let outcome = match (&headers, &body) {
            (Some(headers), Some(body)) => Outcome::Response { headers, body },
            (Some(_), None) if body_size > limit => Outcome::Oversized,
            _ if !is_shown => Outcome::Oversized,
            _ => Outcome::Lost,
        };
        let takes_bodies = capabilities().keeps_bodies || body_size > 0;
        self.performer.takes_bodies.set(takes_bodies);
        self.settle(flight, outcome);
        self.performer.takes_bodies.set(true);
        true
    }

    /// The stream is gone. If a callout was sent in its name, the host drops the answer; where that matters to more than this stream,
    /// the root context asks again at its next tick.
    pub(crate) fn on_gone(&self, stream: &Paused) {
        if stream.fate.replace(Fate::Gone) != Fate::Waiting {
            return;
        }
        let mut in_flight = self.in_flight.borrow_mut();
        in_flight.leave(|waiting| std::ptr::eq(&raw const **waiting, stream));
        let Some(id) = stream.asked.get() else { return };
        let subject = in_flight.strand(id);
        if !self.ticks.get() {
            // Nobody will ask again; and what was asked stays asked, so that clients which leave cannot have it asked for each time.
            drop(in_flight.take_stranded(|_| false));
        } else if let Some(subject) = subject {
            self.authenticator.borrow_mut().abandon(subject);
        }
    }

    /// Tells the host what there is now.
    pub(crate) fn report_census(&self) {
        let Census { entries, evictions, open_circuits } = self.authenticator.borrow().census();
        self.performer.statistics.set(Gauge::CacheEntries, entries);
        self.performer.statistics.set(Gauge::CircuitsOpen, open_circuits);
        self.performer.statistics.set(Gauge::RequestsWaiting, self.in_flight.borrow().waiting());
        let before = self.evictions.replace(evictions);
        self.performer.statistics.add(Counter::CacheEvicted, evictions.saturating_sub(before));
    }

    /// Asks what is the root context's to ask: what nobody waits for, and what was lost with a stream. It is called for that context.
    pub(crate) fn ask_in_background(&self) {
        let Ok(lent) = self.lend() else { return };
        let authenticator = &self.authenticator;
        let stranded = {
            let needs_answer = |question: &Question| authenticator.borrow().needs_answer(question.subject());
            self.in_flight.borrow_mut().take_stranded(needs_answer)
        };
        let mut unasked = Vec::new();
        for flight in stranded {
            match self.dispatch(&flight.question, None, lent) {
                Ok(id) => self.in_flight.borrow_mut().depart(id, flight, lent.now),
                Err(outcome) => unasked.push((flight, outcome)),
            }
        }
        let refreshes = self.in_flight.borrow_mut().take_refreshes();
        for (question, since) in refreshes {
            match self.dispatch(&question, None, lent) {
                Ok(id) => {
                    let flight = Flight { question, waiting: Vec::new() };
                    self.in_flight.borrow_mut().depart(id, flight, lent.now);
                }
                Err(Outcome::Withheld(Withheld::Claimed)) => {}
                Err(Outcome::Withheld(_)) => self.in_flight.borrow_mut().put_back(question, since, lent.now),
                Err(outcome) => unasked.push((Flight { question, waiting: Vec::new() }, outcome)),
            }
        }
        for (flight, outcome) in unasked {
            self.settle(flight, outcome);
        }
    }

    fn examine(&self, context: u32, field_count: usize) -> Result<Reception, Refused> {
        let capabilities = capabilities();
        if field_count > capabilities.max_fields {
            return Ok(self.refused(Reason::TooManyFields));
        }
        let fields = host::fields(MapType::HttpRequestHeaders)?;
        let mut seen = 0_usize;
        let head = RequestHead::read(field_map::fields(&fields).inspect(|_| seen = seen.saturating_add(1)));
        if seen < field_count {
            // Some hosts cut a long list: what cannot be seen cannot be taken off.
            return Err(Refused::INCOMPLETE);
        }
        let mut authenticator = self.authenticator.borrow_mut();
        let extracted = authenticator.extract(&head, field_map::fields(&fields));
        let imitations = authenticator.imitations(field_map::fields(&fields).map(|(name, _)| name));
        if !capabilities.takes_fields_off
            && let Some(reason) = repetition(&fields, &extracted.edits, &imitations)
        {
            return Ok(self.refused(reason));
        }
        perform::edit(&extracted.edits)?;
        let asks = authenticator.asks();
        let route = if asks.route { route()? } else { None };
        let peer = asks.peer.then(peer).flatten();
        let certificate = asks.certificate.then(certificate).flatten();
        let mut head = RequestHead {
            route: route.as_deref(),
            peer: peer.as_deref(),
            certificate: certificate.as_deref(),
            ..extracted.taken_out_of(head)
        };
        let target = if capabilities.shows_target { None } else { Some(Target::read(&fields)?) };
        if let Some(target) = &target {
            (head.path, head.authority) = (&target.path, target.authority);
        }
        perform::remove_imitations(&imitations)?;
        let step = authenticator.authenticate(&head, self.lend()?);
        drop(authenticator);
        let next = match step {
            Step::Settled(verdict) => Next::Perform(verdict),
            Step::Renew(verdict, question) => self.renew(verdict, question),
            Step::Ask(question, pending) => {
                self.prove_switching(context)?;
                perform::disarm()?;
                let stream = Paused { context, fate: Cell::new(Fate::Waiting), asked: Cell::new(None) };
                self.wait(&Rc::new(stream), question, pending)
            }
        };
        Ok(Reception { next, is_answer_private: extracted.is_in_query })
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, reason: Reason) -> Reception {
        self.performer.statistics.note_refusal(reason);
        Reception { next: Next::Perform(Verdict::Reject(reason.into())), is_answer_private: false }
    }

    /// Waits along with others, or dispatches the question. A question that cannot be dispatched is answered at once, by
    /// nothing, which may lead to another.
    fn wait(&self, stream: &Rc<Paused>, mut question: Question, mut pending: Pending) -> Next {
        loop {
            let Ok(lent) = self.lend() else {
                return Next::Perform(Verdict::Reject(Reason::Internal.into()));
            };
            let mut waiting = Waiting { stream: Rc::clone(stream), pending };
            let has_room = self.has_room(&question, lent.now);
            if has_room.is_ok() && self.single_flight && self.host_switches() {
                match self.in_flight.borrow_mut().join(&question.subject(), waiting) {
                    Ok(()) => {
                        self.performer.statistics.increment(Counter::Coalesced);
                        return Next::Pause(Rc::clone(stream));
                    }
                    Err(alone) => waiting = alone,
                }
            }
            let outcome = match has_room.and_then(|()| self.dispatch(&question, Some(stream), lent)) {
                Ok(id) => {
                    let flight = Flight { question, waiting: vec![waiting] };
                    self.in_flight.borrow_mut().depart(id, flight, lent.now);
                    return Next::Pause(Rc::clone(stream));
                }
                Err(outcome) => outcome,
            };
            let mut authenticator = self.authenticator.borrow_mut();
            let conclusion = authenticator.conclude(question.subject(), outcome, lent);
            report(&conclusion, &self.performer.journal);
            match authenticator.settle(waiting.pending, &conclusion, lent) {
                Step::Settled(verdict) => return Next::Perform(verdict),
                Step::Renew(verdict, question) => return self.renew(verdict, question),
                Step::Ask(next_question, next_pending) => (question, pending) = (next_question, next_pending),
            }
        }
    }

    /// Leaves a question to the root context, which asks it at its next tick.
    fn renew(&self, verdict: Verdict, question: Question) -> Next {
        if let Ok(now) = host::now()
            && self.ticks.get()
        {
            self.in_flight.borrow_mut().refresh(question, now);
        }
        Next::Perform(verdict)
    }

    /// Whether the host is known to switch between contexts. Only then can the root context send callouts for streams, and one answer
    /// settle several of them.
    fn host_switches(&self) -> bool {
        self.switches.get() == Some(true)
    }

    /// Lets the host prove, before the first callout, that it switches to the root context and back: some say that they do, and
    /// do nothing, so that the filter would forward the wrong request. The root context has no request, so the path of this one must
    /// not be readable from there. All is done twice, since a host may refuse a read for another reason.
    fn prove_switching(&self, stream: u32) -> Result<(), Refused> {
        for _ in 0..2 {
            if self.switches.get().is_some() || host::set_effective_context(self.root).is_err() {
                return Ok(());
            }
            let is_readable_there = host::request_field(PATH).is_ok();
            host::set_effective_context(stream)?;
            let is_readable_here = host::request_field(PATH).is_ok();
            if is_readable_there || !is_readable_here {
                self.switches.set(is_readable_there.then_some(false));
                return Ok(());
            }
        }
        self.switches.set(Some(true));
        Ok(())
    }

    /// Whether one more request may wait; the outcome of its question, if not.
    fn has_room(&self, question: &Question, now: Timestamp) -> Result<(), Outcome<'static>> {
        let subject = question.subject();
        let load = self.in_flight.borrow_mut().load(&subject, now);
        self.authenticator.borrow().admits_waiting(subject, load).map_err(Outcome::Withheld)
    }

    /// Sends a question if the server can bear it; the outcome, if not. It is sent in the root context's name, which outlives the
    /// answer; where the host cannot switch to that, in the name of the `stream` whose context is in effect.
    fn dispatch(
        &self,
        question: &Question,
        stream: Option<&Paused>,
        lent: Host<'_>,
    ) -> Result<CalloutId, Outcome<'static>> {
        let load = self.in_flight.borrow_mut().load(&question.subject(), lent.now);
        self.authenticator.borrow_mut().admits(question, load, lent).map_err(Outcome::Withheld)?;
        let callout = question.callout(lent.occasion()).map_err(|_| Refused::INCOMPLETE);
        let sent = callout.and_then(|callout| match stream {
            Some(stream) if self.host_switches() => {
                host::set_effective_context(self.root)?;
                let sent = host::dispatch(&callout);
                host::set_effective_context(stream.context)?;
                sent
            }
            Some(stream) => host::dispatch(&callout).inspect(|id| stream.asked.set(Some(*id))),
            None => host::dispatch(&callout),
        });
        sent.map_err(|refused| {
            self.performer.journal.write(
                Level::Error,
                "the host did not dispatch a question, is its upstream configured?",
                refused,
            );
            Outcome::Lost
        })
    }

    fn settle(&self, flight: Flight<Rc<Paused>>, outcome: Outcome<'_>) {
        for (stream, step) in self.steps(flight, outcome) {
            if stream.fate() != Fate::Waiting {
                continue;
            }
            // A stream that is gone needs nothing, and cannot be switched to.
            if host::set_effective_context(stream.context).is_err() {
                continue;
            }
            let next = match step {
                Step::Settled(verdict) => Next::Perform(verdict),
                Step::Renew(verdict, question) => self.renew(verdict, question),
                Step::Ask(question, pending) => self.wait(&stream, question, pending),
            };
            if let Next::Perform(verdict) = next {
                let forwarded = self.performer.perform_paused(verdict);
                stream.fate.set(if forwarded { Fate::Forwarded } else { Fate::Rejected });
            }
        }
    }

    fn steps(&self, flight: Flight<Rc<Paused>>, outcome: Outcome<'_>) -> Vec<(Rc<Paused>, Step)> {
        let Flight { question, waiting } = flight;
        let mut authenticator = self.authenticator.borrow_mut();
        let lent = self.lend();
        let conclusion = lent.map(|lent| authenticator.conclude(question.subject(), outcome, lent));
        if let Ok(conclusion) = &conclusion {
            report(conclusion, &self.performer.journal);
        }
        if waiting.is_empty()
            && self.ticks.get()
            && let (Ok(conclusion), Ok(lent)) = (&conclusion, lent)
            && let Some(next) = authenticator.follow_up(question.subject(), conclusion, lent)
        {
            self.in_flight.borrow_mut().refresh(next, lent.now);
        }
        let mut step = |pending| match (&conclusion, lent) {
            (Ok(conclusion), Ok(lent)) => authenticator.settle(pending, conclusion, lent),
            _ => Step::Settled(Verdict::Reject(Reason::Internal.into())),
        };
        waiting.into_iter().map(|Waiting { stream, pending }| (stream, step(pending))).collect()
    }

    fn lend(&self) -> Result<Host<'_>, Refused> {
        Ok(Host {
            now: host::now()?,
            shared_data: &self.shared_data,
            metrics: &self.performer.statistics,
            randomness: &HostRandomness,
        })
    }
}

impl Paused {
    pub(crate) fn fate(&self) -> Fate {
        self.fate.get()
    }
}

/// The gateway's own credentials and the server's keys are the operator's affair at once; what the client did is in the
/// counters.
fn report(conclusion: &Conclusion, journal: &Journal) {
    match conclusion {
        Conclusion::Token(token) => {
            match token.circuit {
                Some(CircuitChange::Opened) => {
                    let text = "an authorization server failed again and again: it is left alone for a while";
                    journal.say(Level::Warn, text);
                }
                Some(CircuitChange::Closed) => {
                    journal.say(Level::Info, "the authorization server serves again");
                }
                None => {}
            }
            match token.refusal() {
                Some(reason @ Reason::GatewayCredentialsRefused) => journal.write(
                    Level::Error,
                    "the authorization server refuses the credentials of the gateway, check client_id and its secret or key",
                    reason.name(),
                ),
                Some(reason) => {
                    journal.say(Level::Debug, format_args!("introspection: {}", reason.name()));
                }
                None => journal.say(Level::Debug, "introspection: active"),
            }
        }
        Conclusion::Document(Err(Reason::Overloaded)) => {
            journal.say(Level::Debug, "keys or metadata: asked for already");
        }
        Conclusion::Document(Err(reason)) => {
            let text = "the authorization server's keys or metadata are of no use";
            journal.write(Level::Error, text, reason.name());
        }
        Conclusion::Document(Ok(())) => {
            journal.say(Level::Info, "the authorization server's keys or metadata were taken");
        }
    }
}

/// Where a request goes, where the host does not say so in pseudo-header fields.
struct Target<'f> {
    path: Vec<u8>,
    authority: &'f [u8],
}

impl<'f> Target<'f> {
    #[cold]
    #[inline(never)]
    fn read(fields: &'f [u8]) -> Result<Self, Refused> {
        let path = host::property(&["request", "path"])?;
        let mut hosts = field_map::fields(fields).filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        // Requests without one, or with several, are for no host that a rule could name.
        let authority = match (hosts.next(), hosts.next()) {
            (Some((_, host)), None) => host,
            _ => b"",
        };
        Ok(Self { path, authority })
    }
}

/// Why a request is refused where only one field of a name can be changed: of one that has to be, there are two.
#[cold]
#[inline(never)]
fn repetition(fields: &[u8], edits: &[(String, Option<Vec<u8>>)], imitations: &[&str]) -> Option<Reason> {
    let is_repeated = |name: &str| {
        let is_named = |field: &(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name.as_bytes());
        field_map::fields(fields).filter(is_named).nth(1).is_some()
    };
    let mut changed = edits.iter().map(|(name, _)| name.as_str()).chain(imitations.iter().copied());
    if is_repeated(AUTHORIZATION) {
        return Some(Reason::RepeatedCredentials);
    }
    changed.any(is_repeated).then_some(Reason::RepeatedField)
}

/// What the metadata of the selected route say that it is, or else its name. None, if it has neither; but a host that does not
/// say must not be taken for one without routes.
fn route() -> Result<Option<Vec<u8>>, Refused> {
    const LABEL: [&str; 5] = ["xds", "route_metadata", "filter_metadata", "phantom-token", "route"];
    for property in [&LABEL[..], &["xds", "route_name"]] {
        match host::property(property) {
            Err(Refused::NOT_FOUND) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

/// The first URI in the certificate that the caller showed.
fn peer() -> Option<Vec<u8>> {
    host::property(&["connection", "uri_san_peer_certificate"]).ok()
}

/// The SHA-256 of the certificate that the caller showed, in hexadecimal digits.
fn certificate() -> Option<Vec<u8>> {
    host::property(&["connection", "sha256_peer_certificate_digest"]).ok()
}

/// Every request has one.
const PATH: &str = ":path";

/// How long what is asked in the background waits at most; so rarely that an idle worker does not notice.
const TICK: Duration = Duration::from_millis(50);
