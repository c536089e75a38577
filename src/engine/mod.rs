//! One configuration at work on one worker, whatever its host: requests and answers go in, calls and actions come out.
//!
//! ```text
//! on_request ─────▶ Reception { edits, action }         continue, reply, or pause
//! poll_call ──────▶ Call ── the host sends it ──▶ on_call_done
//! on_call_done ───▶ poll_action ▶ (stream, continue | reply)
//! on_stream_gone, on_tick
//! ```
//!
//! The engine owns the order of these steps: which requests share an answer, what a client that leaves costs, what is refreshed in the
//! background, and what a server can bear. A driver moves bytes, and polls until nothing is left: first the calls, then the actions.
//!
//! *Invariant:* no request is settled twice. *Invariant:* nothing is asked for a request before its driver polls, having made its edits.

mod authenticator;
mod call;
mod capabilities;
mod decision_log;
mod edits;
mod in_flight;
mod reception;
mod request_context;
mod token_check;

use std::collections::VecDeque;
use std::fmt::Display;
use std::rc::Rc;

use log::Level;

pub use self::authenticator::RequiredAttributes;
pub use self::call::{Call, CallId, CallResult, StreamId};
pub use self::capabilities::Capabilities;
pub use self::decision_log::{DecisionLog, LogSink};
pub use self::edits::{Edit, HeaderEdits};
pub use self::reception::{Action, Attributes, Reception};
pub use crate::grant::UpstreamHeaders;

use self::authenticator::{Authenticator, GaugeValues, Pending, Step, Verdict};
use self::in_flight::{Flight, InFlight, Waiting};
use crate::host::{Host, Metrics};
use crate::http::callout::{Outcome, Withheld};
use crate::http::reply::Reply;
use crate::http::request_head::{Presented, RequestHead};
use crate::metrics::{Counter, Gauge, Histogram};
use crate::refusal::ProtectionSpace;
use crate::refusal::{Reason, Rejection};
use crate::server::question::Question;
use crate::settings::Settings;

/// One configuration on one worker.
pub struct Engine {
    authenticator: Authenticator,
    in_flight: InFlight,
    capabilities: Capabilities,
    protection: ProtectionSpace,
    single_flight: bool,
    log: Rc<DecisionLog>,
    /// What requests wait for that has not been asked: their edits come first.
    unasked: VecDeque<(StreamId, Question, Pending)>,
    calls: VecDeque<CallId>,
    actions: VecDeque<(StreamId, Action)>,
    /// How many evictions the counter knows of.
    evictions: u64,
}

impl Engine {
    /// An engine with empty caches.
    pub fn new(settings: Settings, capabilities: Capabilities, log: Rc<DecisionLog>) -> Self {
        let (protection, single_flight) = (settings.protection.clone(), settings.single_flight);
        let mut authenticator = Authenticator::new(settings);
        if !capabilities.has_timers {
            authenticator.forgo_background();
        }
        Self {
            authenticator,
            in_flight: InFlight::default(),
            capabilities,
            protection,
            single_flight,
            log,
            unasked: VecDeque::new(),
            calls: VecDeque::new(),
            actions: VecDeque::new(),
            evictions: 0,
        }
    }

    /// Prepares what all workers share, before the first request.
    pub fn prepare(&mut self, host: Host<'_>) {
        self.authenticator.prepare(host.now, host.shared_data);
    }

    /// The host has proven that it switches between streams, and sends calls from now on in a name that outlives them.
    pub fn on_switching_proven(&mut self) {
        self.capabilities =
            Capabilities { switches_streams: true, outlives_streams: true, ..self.capabilities };
    }

    /// Which [`Attributes`] rules ask for.
    pub fn required_attributes(&self) -> RequiredAttributes {
        self.authenticator.required_attributes()
    }

    /// A request head arrived: all its fields, pseudo-header fields included.
    pub fn on_request<'a>(
        &mut self,
        stream: StreamId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        attributes: Attributes<'_>,
        host: Host<'_>,
    ) -> Reception<'a> {
        let head = RequestHead::read(fields.clone());
        if head.field_count < attributes.field_count {
            // What cannot be seen cannot be removed.
            let reply = self.internal_error("it does not show all fields", host.metrics);
            return Reception::of(Action::Reply(reply));
        }
        let mut extracted = self.authenticator.extract(&head, fields.clone());
        let rewritten = std::mem::take(&mut extracted.edits);
        let spoofed = self.authenticator.spoofed_headers(fields.clone().map(|(name, _)| name));
        let mut edits = HeaderEdits { rewritten, spoofed, strips_credentials: false };
        if !self.capabilities.edits_repeated_fields
            && let Some(reason) = edits.repetition(fields)
        {
            return Reception::of(Action::Reply(self.refuse(reason, host.metrics)));
        }
        let head = attributes.added_to(extracted.taken_out_of(head, &edits.rewritten));
        let verdict = match self.authenticator.authenticate(&head, host) {
            Step::Settled(verdict) => Some(verdict),
            Step::Renew(verdict, question) => {
                self.refresh(question, host);
                Some(verdict)
            }
            Step::Ask(question, pending) => {
                self.unasked.push_back((stream, question, pending));
                None
            }
        };
        let action = verdict.map(|verdict| self.action(verdict));
        edits.strips_credentials = match &action {
            None => true,
            Some(Action::Continue(headers)) => headers.strips_credentials(),
            Some(Action::Reply(_)) => false,
        };
        Reception { edits, action, is_response_private: extracted.is_in_query }
    }

    /// The reply to a request that its host cannot show or change as it has to be.
    #[cold]
    #[inline(never)]
    pub fn refuse(&self, reason: Reason, metrics: &dyn Metrics) -> Reply {
        metrics.increment(Counter::of_refusal(reason));
        metrics.refuse(reason);
        Rejection::from(reason).reply(&self.protection)
    }

    /// The reply to a request about which the host refused a call.
    #[cold]
    pub fn internal_error(&self, refused: impl Display, metrics: &dyn Metrics) -> Reply {
        self.log.write(Level::Error, "the host refused a call about a request", refused);
        self.refuse(Reason::Internal, metrics)
    }

    /// Whether a request brings a token, or other credentials.
    pub fn presents_credentials<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> bool {
        let head = RequestHead::read(fields.clone());
        let extracted = self.authenticator.extract(&head, fields);
        let head = extracted.taken_out_of(head, &extracted.edits);
        !matches!((head.authorization, head.elsewhere), (Presented::Absent, Presented::Absent))
    }

    /// The names among these that no trailer section may have: credentials, and what is taken off the head (R132).
    pub fn forbidden_trailers<'n>(&self, names: impl Iterator<Item = &'n [u8]> + Clone) -> Vec<&'n str> {
        self.authenticator.forbidden_trailers(names)
    }

    /// The next call for the host to send. It ends by [`Self::on_call_done`] or [`Self::on_call_not_sent`].
    pub fn poll_call(&mut self, host: Host<'_>) -> Option<Call> {
        while let Some((stream, question, pending)) = self.unasked.pop_front() {
            if let Some(verdict) = self.ask(stream, question, pending, host) {
                let action = self.action(verdict);
                self.actions.push_back((stream, action));
            }
        }
        while let Some(id) = self.calls.pop_front() {
            let Some(Flight { question, sender, .. }) = self.in_flight.get(id) else { continue };
            match question.callout(host.occasion()) {
                Ok(request) => {
                    let max_response_bytes = question.answer_limit();
                    return Some(Call { id, stream: *sender, request, max_response_bytes });
                }
                Err(reason) => self.on_call_not_sent(id, reason.name(), host),
            }
        }
        None
    }

    /// What is to be done next about a request that was paused.
    pub fn poll_action(&mut self) -> Option<(StreamId, Action)> {
        self.actions.pop_front()
    }

    /// A call came to an end.
    pub fn on_call_done(&mut self, call: CallId, result: CallResult<'_>, host: Host<'_>) {
        let Some((flight, took)) = self.in_flight.complete(call, host.now) else { return };
        if flight.question.is_introspection() {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            host.metrics.record(Histogram::IntrospectionMilliseconds, milliseconds);
        }
        self.settle(flight, result.into(), host);
    }

    /// The host did not take a call.
    #[cold]
    pub fn on_call_not_sent(&mut self, call: CallId, refused: impl Display, host: Host<'_>) {
        let Some(flight) = self.in_flight.withdraw(call) else { return };
        self.log.write(
            Level::Error,
            "callout not dispatched: does its cluster or upstream exist?",
            format_args!("{}: {refused}", flight.question.upstream()),
        );
        self.settle(flight, Outcome::Lost, host);
    }

    /// A call came to an end at a time that the host does not tell: nothing can be said of any token.
    #[cold]
    pub fn on_call_without_time(&mut self, call: CallId, metrics: &dyn Metrics) {
        let Some(flight) = self.in_flight.withdraw(call) else { return };
        for Waiting { stream, .. } in flight.waiting {
            let reply = self.refuse(Reason::Internal, metrics);
            self.actions.push_back((stream, Action::Reply(reply)));
        }
    }

    /// A stream that waits is gone. Where the host drops the answer to a call that was sent in its name, and that matters to others,
    /// the call is sent again at the next tick.
    pub fn on_stream_gone(&mut self, stream: StreamId) {
        self.unasked.retain(|(unasked, ..)| *unasked != stream);
        self.in_flight.leave(stream);
        for subject in self.in_flight.orphan(stream) {
            if self.capabilities.has_timers {
                self.authenticator.abandon(subject);
            }
        }
        if !self.capabilities.has_timers {
            // Nothing is sent again; and a call that was sent still counts, so that clients which leave cannot have one sent each time.
            self.in_flight.take_orphans(|_| false);
        }
    }

    /// Some time has passed: sends what no request waits for, and what was lost with a stream; sets the gauges.
    pub fn on_tick(&mut self, host: Host<'_>) {
        let Self { in_flight, authenticator, .. } = self;
        let orphans = in_flight.take_orphans(|question| authenticator.needs_answer(question.subject()));
        for flight in orphans {
            self.send_in_background(flight, host);
        }
        for (question, since) in self.in_flight.take_refreshes() {
            match self.admit(&question, host) {
                Ok(()) => self.start(Flight { question, waiting: Vec::new(), sender: None }, host),
                Err(Withheld::Claimed) => {}
                Err(_) => self.in_flight.put_back(question, since, host.now),
            }
        }
        self.set_gauges(host.metrics);
    }

    fn send_in_background(&mut self, flight: Flight, host: Host<'_>) {
        match self.admit(&flight.question, host) {
            Ok(()) => self.start(Flight { sender: None, ..flight }, host),
            Err(withheld) => self.settle(flight, Outcome::Withheld(withheld), host),
        }
    }

    /// Joins a call in flight for the same token, or starts one. A question that must not be sent is answered at once, by nothing, which
    /// may lead to another. None, if the request waits.
    fn ask(
        &mut self,
        stream: StreamId,
        mut question: Question,
        mut pending: Pending,
        host: Host<'_>,
    ) -> Option<Verdict> {
        loop {
            let subject = question.subject();
            let counts = self.in_flight.counts(&subject, host.now);
            let mut waiting = Waiting { stream, pending };
            let mut admitted = self.authenticator.admits_waiting(subject, counts);
            if admitted.is_ok() && self.single_flight && self.capabilities.switches_streams {
                match self.in_flight.join(&subject, waiting) {
                    Ok(()) => {
                        host.metrics.increment(Counter::Coalesced);
                        return None;
                    }
                    Err(alone) => waiting = alone,
                }
            }
            admitted = admitted.and_then(|()| self.authenticator.admits(&question, counts, host));
            let Err(withheld) = admitted else {
                let sender = (!self.capabilities.outlives_streams).then_some(stream);
                self.start(Flight { question, waiting: vec![waiting], sender }, host);
                return None;
            };
            let conclusion = self.authenticator.conclude(subject, Outcome::Withheld(withheld), host);
            self.log.note_conclusion(self.authenticator.server_name(subject), &conclusion);
            match self.authenticator.settle(waiting.pending, &conclusion, host) {
                Step::Settled(verdict) => return Some(verdict),
                Step::Renew(verdict, question) => {
                    self.refresh(question, host);
                    return Some(verdict);
                }
                Step::Ask(next_question, next_pending) => (question, pending) = (next_question, next_pending),
            }
        }
    }

    /// Whether a question may be sent; one that may, counts as sent.
    fn admit(&mut self, question: &Question, host: Host<'_>) -> Result<(), Withheld> {
        let counts = self.in_flight.counts(&question.subject(), host.now);
        self.authenticator.admits(question, counts, host)
    }

    fn start(&mut self, flight: Flight, host: Host<'_>) {
        let id = self.in_flight.start(flight, host.now);
        self.calls.push_back(id);
    }

    fn settle(&mut self, flight: Flight, outcome: Outcome<'_>, host: Host<'_>) {
        let Flight { question, waiting, .. } = flight;
        let subject = question.subject();
        let conclusion = self.authenticator.conclude(subject, outcome, host);
        self.log.note_conclusion(self.authenticator.server_name(subject), &conclusion);
        if waiting.is_empty()
            && let Some(next) = self.authenticator.follow_up(subject, &conclusion, host)
        {
            self.refresh(next, host);
        }
        for Waiting { stream, pending } in waiting {
            let verdict = match self.authenticator.settle(pending, &conclusion, host) {
                Step::Settled(verdict) => Some(verdict),
                Step::Renew(verdict, question) => {
                    self.refresh(question, host);
                    Some(verdict)
                }
                Step::Ask(question, pending) => self.ask(stream, question, pending, host),
            };
            if let Some(verdict) = verdict {
                let action = self.action(verdict);
                self.actions.push_back((stream, action));
            }
        }
    }

    /// Leaves a question to the next tick.
    fn refresh(&mut self, question: Question, host: Host<'_>) {
        if self.capabilities.has_timers {
            self.in_flight.refresh(question, host.now);
        }
    }

    fn action(&self, verdict: Verdict) -> Action {
        self.log.note_verdict(&verdict);
        match verdict {
            Verdict::Forward(headers) => Action::Continue(headers),
            Verdict::Report(rejection, headers) => {
                Action::Continue(headers.shadow_denied_for(rejection.reason))
            }
            Verdict::Answer(reply) => Action::Reply(reply),
            Verdict::Reject(rejection) => Action::Reply(rejection.reply(&self.protection)),
        }
    }

    fn set_gauges(&mut self, metrics: &dyn Metrics) {
        let GaugeValues { entries, evictions, open_circuits } = self.authenticator.gauge_values();
        metrics.set(Gauge::CacheEntries, entries);
        metrics.set(Gauge::CircuitsOpen, open_circuits);
        metrics.set(Gauge::RequestsWaiting, self.in_flight.waiting());
        let before = std::mem::replace(&mut self.evictions, evictions);
        metrics.add(Counter::CacheEvicted, evictions.saturating_sub(before));
    }
}

#[cfg(test)]
mod tests;
