//! What the streams of one configuration on one worker share: the authenticator, and who waits for which callout.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use log::Level;
use phantom_token_core::{
    Authenticator, CalloutId, Census, CircuitChange, Conclusion, Counter, Departed, Flight, Gauge, Histogram,
    Host, InFlight, Metrics, Outcome, Pending, Question, Randomness, Reason, RequestHead, Settings, Step,
    Timestamp, Verdict, Waiting,
};
use proxy_wasm::types::{BufferType, MapType};

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
    evictions: Cell<u64>,
    single_flight: bool,
    host_switches: Cell<bool>,
    /// Whether the host calls the root context now and then.
    ticks: Cell<bool>,
}

/// A stream that waits, or did.
pub(crate) struct Paused {
    context: u32,
    fate: Cell<Fate>,
    /// The callout whose answer the host drops when this stream goes.
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
    pub(crate) fn new(settings: Settings) -> Self {
        let single_flight = settings.single_flight;
        let tag_key = match &settings.log_key {
            Some(key) => key.expose().as_bytes().to_vec(),
            None => HostRandomness.bytes().map(Vec::from).unwrap_or_default(),
        };
        let performer = Performer {
            space: settings.protection.clone(),
            statistics: Statistics::define(),
            journal: Journal::new(tag_key),
        };
        let authenticator = Authenticator::new(settings);
        authenticator.prepare(&HostSharedData);
        Self {
            performer,
            evictions: Cell::new(0),
            single_flight,
            authenticator: RefCell::new(authenticator),
            in_flight: RefCell::default(),
            host_switches: Cell::new(false),
            ticks: Cell::new(false),
        }
    }

    /// Lets the host call the root context now and then, which asks what no stream can ask, and tells what there is. It is told once,
    /// by the root context: some hosts do not let streams do that, and others begin anew with each time.
    pub(crate) fn start_ticking(&self) {
        let result = host::set_tick_period(TICK);
        if let Err(refused) = result {
            log::warn!(
                "the host sets no timer, so nobody waits along, nothing is renewed ahead and gauges stand still: {refused:?}"
            );
        }
        self.ticks.set(result.is_ok());
    }

    /// Whether requests may wait along with others: those whose answer is lost with another client need the root context.
    fn coalesces(&self) -> bool {
        self.single_flight && self.ticks.get()
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

    /// The host has an answer to a callout, or none to give.
    pub(crate) fn on_answer(&self, id: CalloutId, has_headers: bool, body_size: usize) {
        let Some(Departed { flight, at }) = self.in_flight.borrow_mut().land(id) else { return };
        if flight.question.is_introspection()
            && let Ok(now) = host::now()
        {
            let milliseconds = now.as_millis().saturating_sub(at.as_millis());
            self.performer.statistics.record(Histogram::IntrospectionMilliseconds, milliseconds);
        }
        let limit = flight.question.answer_limit();
        let headers = if has_headers { host::fields(MapType::HttpCallResponseHeaders).ok() } else { None };
        let body = match body_size {
            0 => Some(Vec::new()),
            size if size > limit => None,
            size => host::buffer(BufferType::HttpCallResponseBody, size).ok(),
        };
        let headers = headers.as_ref().map(|headers| field_map::fields(headers).collect::<Vec<_>>());
        let outcome = match (&headers, &body) {
            (Some(headers), Some(body)) => Outcome::Response { headers, body },
            (Some(_), None) if body_size > limit => Outcome::Oversized,
            _ => Outcome::Lost,
        };
        self.settle(flight, outcome);
    }

    /// The stream is gone. If it had asked, the host drops the answer; for those who waited along, the root context asks
    /// again at its next tick.
    pub(crate) fn on_gone(&self, stream: &Paused) {
        if stream.fate.replace(Fate::Gone) != Fate::Waiting {
            return;
        }
        let mut in_flight = self.in_flight.borrow_mut();
        in_flight.leave(|waiting| std::ptr::eq(&raw const **waiting, stream));
        let Some(id) = stream.asked.get() else { return };
        let now = host::now().unwrap_or(Timestamp::from_millis(0));
        let subject = in_flight.strand(id, now);
        if !self.ticks.get() {
            // Nobody will ask again; and what was asked stays asked, so that clients which leave cannot have it asked for each time.
            drop(in_flight.take_unasked());
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

    /// Asks what no stream can ask, for a context that outlives the answers: what those wait for whose answers are lost, and what
    /// nobody waits for.
    pub(crate) fn ask_unasked(&self) {
        let mut lost = Vec::new();
        let unasked = self.in_flight.borrow_mut().take_unasked();
        if unasked.is_empty() {
            return;
        }
        let lent = self.lend();
        for flight in unasked {
            let asked = lent
                .map_err(|_| Outcome::Lost)
                .and_then(|lent| Ok((self.dispatch(&flight.question, lent)?, lent.now)));
            match asked {
                Ok((id, now)) => self.in_flight.borrow_mut().depart(id, flight, now),
                Err(outcome) => lost.push((flight, outcome)),
            }
        }
        for (flight, outcome) in lost {
            self.settle(flight, outcome);
        }
    }

    fn examine(&self, context: u32, field_count: usize) -> Result<Reception, Refused> {
        let fields = host::fields(MapType::HttpRequestHeaders)?;
        let mut seen = 0_usize;
        let head = RequestHead::read(field_map::fields(&fields).inspect(|_| seen = seen.saturating_add(1)));
        if seen < field_count {
            // Some hosts cut a long list: what cannot be seen cannot be taken off.
            return Err(Refused::INCOMPLETE);
        }
        let mut authenticator = self.authenticator.borrow_mut();
        let extracted = authenticator.extract(field_map::fields(&fields));
        perform::edit(&extracted.edits)?;
        let asks = authenticator.asks();
        let route = if asks.route { route()? } else { None };
        let peer = asks.peer.then(peer).flatten();
        let certificate = asks.certificate.then(certificate).flatten();
        let head = RequestHead {
            route: route.as_deref(),
            peer: peer.as_deref(),
            certificate: certificate.as_deref(),
            ..extracted.taken_out_of(head)
        };
        let names = field_map::fields(&fields).map(|(name, _)| name);
        perform::remove_imitations(&authenticator.imitations(names))?;
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

    /// Waits along with others, or dispatches the question. A question that cannot be dispatched is answered at once, by
    /// nothing, which may lead to another.
    fn wait(&self, stream: &Rc<Paused>, mut question: Question, mut pending: Pending) -> Next {
        loop {
            let Ok(lent) = self.lend() else {
                return Next::Perform(Verdict::Reject(Reason::Internal.into()));
            };
            let mut waiting = Waiting { stream: Rc::clone(stream), pending };
            let has_room = self.has_room(&question, lent.now);
            if has_room.is_ok() && self.coalesces() && self.host_switches.get() {
                match self.in_flight.borrow_mut().join(&question.subject(), waiting) {
                    Ok(()) => {
                        self.performer.statistics.increment(Counter::Coalesced);
                        return Next::Pause(Rc::clone(stream));
                    }
                    Err(alone) => waiting = alone,
                }
            }
            let outcome = match has_room.and_then(|()| self.dispatch(&question, lent)) {
                Ok(id) => {
                    stream.asked.set(Some(id));
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

    /// Lets the root context ask: the answer to a stream that is gone is dropped, and this one goes at once.
    fn renew(&self, verdict: Verdict, question: Question) -> Next {
        if self.ticks.get() {
            self.in_flight.borrow_mut().renew(question);
        }
        Next::Perform(verdict)
    }

    /// A request may wait along with another if the answer can then reach it from the other's callback. Where switching to a
    /// stream does nothing, the filter would forward the wrong request; so before anybody waits along, the switch has to prove
    /// itself: a mark that is put on this request must be seen on it, and not on one that waits.
    fn prove_switching(&self, context: u32) -> Result<(), Refused> {
        let in_flight = self.in_flight.borrow();
        let other = in_flight.anyone().filter(|_| self.coalesces() && !self.host_switches.get());
        if let Some(other) = other {
            let mark = context.to_string();
            perform::mark(Some(&mark))?;
            let theirs = host::set_effective_context(other.context).and_then(|()| perform::is_marked(&mark));
            host::set_effective_context(context)?;
            self.host_switches.set(theirs == Ok(false) && perform::is_marked(&mark) == Ok(true));
            perform::mark(None)?;
        }
        Ok(())
    }

    /// Whether one more request may wait; the outcome of its question, if not.
    fn has_room(&self, question: &Question, now: Timestamp) -> Result<(), Outcome<'static>> {
        let subject = question.subject();
        let load = self.in_flight.borrow_mut().load(&subject, now);
        self.authenticator.borrow().admits_waiting(subject, load).map_err(Outcome::Withheld)
    }

    /// Asks, if the server can bear it; the outcome, if not.
    fn dispatch(&self, question: &Question, lent: Host<'_>) -> Result<CalloutId, Outcome<'static>> {
        let load = self.in_flight.borrow_mut().load(&question.subject(), lent.now);
        self.authenticator.borrow_mut().admits(question, load, lent).map_err(Outcome::Withheld)?;
        let callout = question.callout(lent.occasion()).map_err(|_| Refused::INCOMPLETE);
        callout.and_then(|callout| host::dispatch(&callout)).map_err(|refused| {
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
        let mut step = |pending| match (&conclusion, lent) {
            (Ok(conclusion), Ok(lent)) => authenticator.settle(pending, conclusion, lent),
            _ => Step::Settled(Verdict::Reject(Reason::Internal.into())),
        };
        waiting.into_iter().map(|Waiting { stream, pending }| (stream, step(pending))).collect()
    }

    fn lend(&self) -> Result<Host<'_>, Refused> {
        Ok(Host {
            now: host::now()?,
            shared_data: &HostSharedData,
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
                    log::warn!(
                        "an authorization server failed again and again: it is left alone for a while"
                    );
                }
                Some(CircuitChange::Closed) => log::info!("the authorization server serves again"),
                None => {}
            }
            match token.refusal() {
                Some(reason @ Reason::GatewayCredentialsRefused) => journal.write(
                    Level::Error,
                    "the authorization server refuses the credentials of the gateway, check client_id and its secret or key",
                    reason.name(),
                ),
                Some(reason) => log::debug!("introspection: {}", reason.name()),
                None => log::debug!("introspection: active"),
            }
        }
        Conclusion::Document(Err(reason)) => {
            let text = "the authorization server's keys or metadata are of no use";
            journal.write(Level::Error, text, reason.name());
        }
        Conclusion::Document(Ok(())) => log::info!("the authorization server's keys or metadata were taken"),
    }
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

/// How long those wait at most whose answer is lost with another client; so rarely that an idle worker does not notice.
const TICK: Duration = Duration::from_millis(50);
