//! Runs one configuration on one worker, independently of the host: requests and responses go in, calls and actions come out.
//!
//! ```text
//! on_request ─────▶ Instructions { edits, action }         continue, reply, or pause
//! poll_call ──────▶ Call ── the host sends it ──▶ on_call_done
//! on_call_done ───▶ poll_action ▶ (stream, continue | reply)
//! on_stream_gone, on_tick
//! ```
//!
//! The engine determines the order of these steps: which requests share a response, what happens to the calls of streams that are gone,
//! what is refreshed in the background, and the limits of each server. A driver moves bytes, and polls until nothing is left: first the
//! calls, then the actions.
//!
//! *Invariant:* no request is settled twice. *Invariant:* no call is made for a request before its driver has applied the edits and polls.

mod authenticator;
mod call;
mod capabilities;
mod decision;
mod decision_log;
mod edits;
mod in_flight;
mod instructions;
mod query_result;
mod request_context;
mod servers;
mod token_check;

use std::collections::VecDeque;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use log::Level;

pub use self::call::{Call, CallId, StreamId};
pub use self::capabilities::Capabilities;
pub use self::decision_log::{DecisionLog, LogSink};
pub use self::edits::{Edit, HeaderEdits};
pub use self::instructions::{Action, Attributes, Instructions, RequiredAttributes};
pub use crate::token_info::UpstreamHeaders;

use self::authenticator::Authenticator;
use self::decision::{Decision, Pending, Step};
use self::in_flight::{Flight, InFlight, Waiting};
use self::query_result::QueryResult;
use self::servers::GaugeValues;
use crate::authorization_server::{Permit, Protections};
use crate::documents::resource_metadata::ResourceMetadata;
use crate::host::{Host, Metrics};
use crate::http::callout::{CallResult, NotSent};
use crate::http::grpc::{self, GrpcCall};
use crate::http::reply::Reply;
use crate::http::request_head::{Presented, RequestHead};
use crate::metrics::{Counter, Gauge, Histogram};
use crate::refusal::{Reason, Rejection};
use crate::server::query::{Query, QueryKey};
use crate::settings::Settings;

/// One configuration on one worker.
pub struct Engine {
    settings: Arc<Settings>,
    required_attributes: RequiredAttributes,
    authenticator: Authenticator,
    in_flight: InFlight,
    capabilities: Capabilities,
    log: Rc<DecisionLog>,
    /// Queries of requests whose edits the driver may not have applied yet.
    unsent: VecDeque<(StreamId, Query, Pending)>,
    calls: VecDeque<CallId>,
    actions: VecDeque<(StreamId, Action)>,
    /// The evictions that the counter already includes.
    evictions: u64,
}

impl Engine {
    /// Creates an engine with empty caches.
    pub fn new(settings: Arc<Settings>, capabilities: Capabilities, log: Rc<DecisionLog>) -> Self {
        let protections = Protections::of_engine(&settings);
        Self::sharing(settings, &protections, capabilities, log)
    }

    /// Like [`Self::new`], with limits and circuit breakers that all workers of a process share.
    pub fn sharing(
        settings: Arc<Settings>,
        protections: &Protections,
        capabilities: Capabilities,
        log: Rc<DecisionLog>,
    ) -> Self {
        let mut authenticator = Authenticator::new(Arc::clone(&settings), protections);
        if !capabilities.has_timers {
            authenticator.servers.disable_background_refresh();
        }
        for (server, keys) in authenticator.servers.unusable_keys() {
            log.note_unusable_keys(Level::Info, server, keys);
        }
        Self {
            required_attributes: RequiredAttributes::of(&settings),
            settings,
            authenticator,
            in_flight: InFlight::default(),
            capabilities,
            log,
            unsent: VecDeque::new(),
            calls: VecDeque::new(),
            actions: VecDeque::new(),
            evictions: 0,
        }
    }

    /// Prepares the data that all workers share, and this worker's own, before the first request.
    pub fn prepare(&mut self, host: Host<'_>) {
        self.authenticator.prepare(host);
    }

    /// Records that the host has been proven to switch between streams. From now on, calls are sent in a name that outlives streams.
    pub fn on_switching_proven(&mut self) {
        self.capabilities =
            Capabilities { switches_streams: true, outlives_streams: true, ..self.capabilities };
    }

    /// Returns which [`Attributes`] rules ask for.
    pub fn required_attributes(&self) -> RequiredAttributes {
        self.required_attributes
    }

    /// Handles a request whose head arrived. `fields` are all its fields, pseudo-header fields included.
    pub fn on_request<'a>(
        &mut self,
        stream: StreamId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        attributes: Attributes<'_>,
        host: Host<'_>,
    ) -> Instructions<'a> {
        let head = RequestHead::read(fields.clone());
        if head.field_count < attributes.field_count {
            // A field that cannot be seen cannot be removed.
            let reply = self.internal_error("the host does not show all fields", host.metrics);
            return Instructions::of(Action::Reply(reply));
        }
        let (mut edits, extracted) = HeaderEdits::find(&head, fields.clone(), &self.settings);
        if !self.capabilities.edits_repeated_fields
            && let Some(reason) = edits.repetition(fields.clone())
        {
            return Instructions::of(Action::Reply(self.refuse(reason, host.metrics)));
        }
        let mut head = attributes.added_to(edits.applied_to(head, &extracted));
        let named = self.settings.rules.named_fields(fields.clone());
        head.named = &named;
        if self.settings.ends_streams {
            let mut fields = fields.clone();
            let timeout = fields.find(|(name, _)| name.eq_ignore_ascii_case(grpc::TIMEOUT.as_bytes()));
            head.grpc_timeout = timeout.map(|(_, value)| value);
        }
        let grpc_call = || GrpcCall::of(fields.clone());
        let resource_metadata = || {
            let metadata = ResourceMetadata::find(&self.settings.resource_metadata, &head)?;
            Some(Arc::clone(metadata.url()))
        };
        let decision = match self.authenticator.authenticate(&head, host) {
            Step::Settled(Decision::Reject(rejection)) => {
                let resource_metadata = rejection.resource_metadata.or_else(resource_metadata);
                Some(Decision::Reject(Rejection { grpc_call: grpc_call(), resource_metadata, ..rejection }))
            }
            Step::Settled(decision) => Some(decision),
            Step::Refresh(decision, query) => {
                self.refresh(query, host);
                Some(decision)
            }
            Step::Ask(query, pending) => {
                self.unsent.push_back((
                    stream,
                    query,
                    pending.answered_with(grpc_call(), resource_metadata()),
                ));
                None
            }
        };
        let action = decision.map(|decision| self.action(decision));
        edits.strips_credentials = match &action {
            None => true,
            Some(Action::Continue(headers)) => headers.strips_credentials(),
            Some(Action::Reply(_)) => false,
        };
        Instructions { edits, action, is_response_private: extracted.is_in_query }
    }

    /// Returns the reply to a request that the host cannot show or change as required.
    #[cold]
    #[inline(never)]
    pub fn refuse(&self, reason: Reason, metrics: &dyn Metrics) -> Reply {
        metrics.deny(reason);
        Rejection::from(reason).reply(&self.settings.protection)
    }

    /// Returns the reply to a request for which the host refused a call to one of its functions.
    #[cold]
    pub fn internal_error(&self, refused: impl Display, metrics: &dyn Metrics) -> Reply {
        self.log.log_limited(Level::Error, "the host refused a call for a request", refused);
        self.refuse(Reason::Internal, metrics)
    }

    /// Whether a request presents a token, or other credentials.
    pub fn presents_credentials<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> bool {
        let head = RequestHead::read(fields.clone());
        let (edits, extracted) = HeaderEdits::find(&head, fields, &self.settings);
        let head = edits.applied_to(head, &extracted);
        !matches!((head.authorization, head.elsewhere), (Presented::Absent, []))
    }

    /// Returns the names that a trailer section must not contain: credentials, session ids if they are bound, and fields that are removed
    /// from the head (R132, R276).
    pub fn forbidden_trailers<'n>(&self, names: impl Iterator<Item = &'n [u8]> + Clone) -> Vec<&'n str> {
        edits::forbidden_trailers(names, &self.settings)
    }

    /// Returns the next call for the host to send. Its end is reported by [`Self::on_call_done`] or [`Self::on_call_not_sent`].
    pub fn poll_call(&mut self, host: Host<'_>) -> Option<Call> {
        while let Some((stream, query, pending)) = self.unsent.pop_front() {
            let decision = self.ask(stream, query, pending, host);
            self.decide(stream, decision);
        }
        while let Some(id) = self.calls.pop_front() {
            let Some(Flight { query, sender, .. }) = self.in_flight.get(id) else { continue };
            match query.callout(host) {
                Ok(request) => {
                    let max_response_bytes = query.max_response_bytes();
                    let key = query.key();
                    return Some(Call { id, stream: *sender, key, request, max_response_bytes });
                }
                Err(reason) => self.on_call_not_sent(id, reason.name(), host),
            }
        }
        None
    }

    /// Takes the permit of a call, for a host that knows when the call ends, whatever happens to this worker. Returns `None` for the call
    /// for a document, and for one that shares the response to another worker's.
    pub fn take_permit(&mut self, call: CallId) -> Option<Permit> {
        self.in_flight.take_permit(call)
    }

    /// Returns the next action for a request that was paused.
    pub fn poll_action(&mut self) -> Option<(StreamId, Action)> {
        self.actions.pop_front()
    }

    /// Handles the end of a call.
    pub fn on_call_done(&mut self, call: CallId, result: CallResult<'_>, host: Host<'_>) {
        let Some((flight, took)) = self.in_flight.complete(call, host.now) else { return };
        if flight.query.is_introspection() {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            host.metrics.record(Histogram::IntrospectionTimeMs, milliseconds);
        }
        self.settle(flight, result, host);
    }

    /// Handles a call that the host could not send.
    #[cold]
    pub fn on_call_not_sent(&mut self, call: CallId, refused: impl Display, host: Host<'_>) {
        let Some(flight) = self.in_flight.withdraw(call) else { return };
        self.log.log_limited(
            Level::Error,
            "callout not dispatched: does its cluster or upstream exist?",
            format_args!("{}: {refused}", flight.query.upstream()),
        );
        self.settle(flight, CallResult::Lost, host);
    }

    /// Handles the end of a call if the host cannot tell the time: without it, no token can be validated.
    #[cold]
    pub fn on_call_without_time(&mut self, call: CallId, metrics: &dyn Metrics) {
        let Some(flight) = self.in_flight.withdraw(call) else { return };
        for Waiting { stream, .. } in flight.waiting {
            let reply = self.refuse(Reason::Internal, metrics);
            self.actions.push_back((stream, Action::Reply(reply)));
        }
    }

    /// Handles the end of a stream that waits. If the host drops the response to a call sent in the stream's name, and others need it, the
    /// call is sent again at the next tick.
    pub fn on_stream_gone(&mut self, stream: StreamId) {
        self.unsent.retain(|(unsent, ..)| *unsent != stream);
        self.in_flight.leave(stream);
        for key in self.in_flight.orphan(stream) {
            if self.capabilities.has_timers {
                self.authenticator.servers.abandon(key);
            }
        }
        if !self.capabilities.has_timers {
            // Nothing is sent again. The calls still count as open, so that clients that disconnect cannot cause one each.
            self.in_flight.take_orphans(|_| false);
        }
    }

    /// Queues fetches of published keys before a request needs them: keys that are missing, and those that are due.
    pub fn fetch_keys(&mut self, host: Host<'_>) {
        for query in self.authenticator.servers.fetch_keys(host) {
            self.refresh(query, host);
        }
    }

    /// Handles a tick: sends queued refreshes and calls that were lost with a stream, and sets the gauges.
    pub fn on_tick(&mut self, host: Host<'_>) {
        let Self { in_flight, authenticator, .. } = self;
        let orphans = in_flight.take_orphans(|query| authenticator.servers.needs_answer(query.key()));
        for flight in orphans {
            self.send_in_background(flight, host);
        }
        for (query, since) in self.in_flight.take_refreshes() {
            match self.admit(&query, host) {
                Ok(permit) => {
                    self.start(Flight { query, waiting: Vec::new(), sender: None }, permit, host);
                }
                Err(NotSent::Claimed) => {}
                Err(_) => self.in_flight.put_back(query, since, host.now),
            }
        }
        self.set_gauges(host.metrics);
    }

    fn send_in_background(&mut self, flight: Flight, host: Host<'_>) {
        match self.admit(&flight.query, host) {
            Ok(permit) => self.start(Flight { sender: None, ..flight }, permit, host),
            Err(not_sent) => {
                let result = self.not_sent(flight.query.key(), not_sent, host);
                self.settle_with(flight, &result, host);
            }
        }
    }

    /// Joins a call in flight with the same key, or starts one. A query that must not be sent ends at once, which may lead to another.
    /// Returns `None` if the request waits.
    fn ask(&mut self, stream: StreamId, query: Query, pending: Pending, host: Host<'_>) -> Option<Decision> {
        let key = query.key();
        let waiting = self.in_flight.waiting_like(&key);
        let admitted = self.authenticator.servers.admits_waiting(key, waiting);
        if admitted.is_ok()
            && self.settings.single_flight
            && self.capabilities.switches_streams
            && let Some(others) = self.in_flight.joinable(&key, self.capabilities.has_timers)
        {
            others.push(Waiting { stream, pending });
            host.metrics.increment(Counter::IntrospectionCoalesced);
            return None;
        }
        let not_sent = match admitted.and_then(|()| self.admit(&query, host)) {
            Ok(permit) => {
                let sender = (!self.capabilities.outlives_streams).then_some(stream);
                let waiting = vec![Waiting { stream, pending }];
                self.start(Flight { query, waiting, sender }, permit, host);
                return None;
            }
            Err(not_sent) => not_sent,
        };
        let result = self.not_sent(key, not_sent, host);
        self.resume(Waiting { stream, pending }, &result, host)
    }

    /// Returns the result of a query that is not sent.
    fn not_sent(&self, key: QueryKey, not_sent: NotSent, host: Host<'_>) -> QueryResult {
        let result = QueryResult::failed(key, not_sent.into());
        if !key.is_document() {
            host.metrics.increment(Counter::of_introspection(Err(not_sent.into())));
        }
        self.log.note_result(self.authenticator.servers.name(key.server), "it was not asked", &result);
        result
    }

    /// Continues a request with the result that it waited for. Returns `None` if it waits for another.
    fn resume(&mut self, waiting: Waiting, result: &QueryResult, host: Host<'_>) -> Option<Decision> {
        let Waiting { stream, pending } = waiting;
        match self.authenticator.settle(pending, result, host) {
            Step::Settled(decision) => Some(decision),
            Step::Refresh(decision, query) => {
                self.refresh(query, host);
                Some(decision)
            }
            Step::Ask(query, pending) => self.ask(stream, query, pending, host),
        }
    }

    /// Decides whether a query may be sent. An admitted query counts as sent.
    fn admit(&mut self, query: &Query, host: Host<'_>) -> Result<Option<Permit>, NotSent> {
        self.in_flight.free_abandoned(host.now);
        self.authenticator.servers.admit(query, host)
    }

    fn start(&mut self, flight: Flight, permit: Option<Permit>, host: Host<'_>) {
        let id = self.in_flight.start(flight, permit, host.now);
        self.calls.push_back(id);
    }

    /// Evaluates the result of a call, and settles the requests that waited for it.
    fn settle(&mut self, flight: Flight, result: CallResult<'_>, host: Host<'_>) {
        let query = &flight.query;
        let answer = format_args!("got {result}, expected status 200 and {}", query.accept());
        let result = self.authenticator.servers.evaluate(query.key(), result, host);
        self.log.note_result(self.authenticator.servers.name(query.key().server), answer, &result);
        self.settle_with(flight, &result, host);
    }

    fn settle_with(&mut self, flight: Flight, result: &QueryResult, host: Host<'_>) {
        let Flight { query, waiting, .. } = flight;
        if waiting.is_empty()
            && let Some(next) = self.authenticator.servers.follow_up(query.key(), result, host)
        {
            self.refresh(next, host);
        }
        for waiting in waiting {
            let stream = waiting.stream;
            let decision = self.resume(waiting, result, host);
            self.decide(stream, decision);
        }
    }

    /// Queues the action of a decision, if there is one.
    fn decide(&mut self, stream: StreamId, decision: Option<Decision>) {
        let action = decision.map(|decision| self.action(decision));
        self.actions.extend(action.map(|action| (stream, action)));
    }

    /// Queues a query for the next tick.
    fn refresh(&mut self, query: Query, host: Host<'_>) {
        if self.capabilities.has_timers {
            self.in_flight.refresh(query, host.now);
        }
    }

    fn action(&self, decision: Decision) -> Action {
        self.log.note_decision_of(&decision);
        match decision {
            Decision::Forward(headers) => Action::Continue(headers),
            Decision::ShadowDeny(rejection, headers) => {
                Action::Continue(headers.shadow_denied_for(rejection.reason))
            }
            Decision::Answer(reply) => Action::Reply(reply),
            Decision::Reject(rejection) => Action::Reply(rejection.reply(&self.settings.protection)),
        }
    }

    fn set_gauges(&mut self, metrics: &dyn Metrics) {
        let GaugeValues { entries, evictions, open_circuits } = self.authenticator.servers.gauge_values();
        metrics.set(Gauge::CacheEntries, entries);
        metrics.set(Gauge::CircuitBreakerOpen, open_circuits);
        metrics.set(Gauge::RequestsPending, self.in_flight.waiting());
        let before = std::mem::replace(&mut self.evictions, evictions);
        metrics.add(Counter::CacheEvicted, evictions.saturating_sub(before));
    }
}

#[cfg(test)]
mod tests;
