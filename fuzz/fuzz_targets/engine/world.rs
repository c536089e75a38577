//! Two workers of a host, their clients and their server. The world performs the steps of a script, and shows every outcome to the model.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use log::Level;
use phantom_token_core::driver::{Fields, MemorySharedData, borrowed};
use phantom_token_core::{
    AUTHORIZATION, Action, Attributes, Call, CallResult, Capabilities, Counter, DecisionLog, Edit, Engine,
    Gauge, Histogram, Host, LogSink, Metrics, NoRandomness, Reason, Settings, StreamId, Timestamp,
    UpstreamHeaders,
};
use phantom_token_fuzz::{Fixed, NOW};
use serde_json::Value;

use crate::client::{Credentials, Proof, Sent, TOKENS, shows_token};
use crate::model::{Model, assert_trailers};
use crate::script::Step;
use crate::server::{Answer, CLIENT_SECRET};

/// The workers and what they share.
pub struct World {
    workers: [Worker; 2],
    streams: Vec<Stream>,
    shared: MemorySharedData,
    waiting: Waiting,
    /// In milliseconds.
    now: u64,
    step: usize,
    proof: Proof,
    model: Model,
}

struct Worker {
    engine: Engine,
    capabilities: Capabilities,
    calls: Vec<Open>,
    /// Whether the host refuses the next call.
    refuses_call: bool,
}

/// A call that has not ended.
struct Open {
    call: Call,
    /// How long the host still waits for the call, in milliseconds.
    rest: u64,
}

struct Stream {
    sent: Sent,
    fields: Fields,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Arriving,
    Waiting,
    Settled,
    Gone,
}

impl World {
    /// Creates two workers that have handled no request yet.
    pub fn new(configuration: &Value, capabilities: Capabilities, model: Model) -> Self {
        let settings = Settings::parse(configuration.to_string().as_bytes(), &|_| None);
        let settings = Arc::new(settings.expect("no errors"));
        let worker = || {
            let log = DecisionLog::new(&settings, &NoRandomness, Box::new(Log));
            let engine = Engine::new(Arc::clone(&settings), capabilities, Rc::new(log));
            assert_trailers(&engine);
            Worker { engine, capabilities, calls: Vec::new(), refuses_call: false }
        };
        let mut world = Self {
            workers: [worker(), worker()],
            streams: Vec::new(),
            shared: MemorySharedData::default(),
            waiting: Waiting::default(),
            now: NOW * 1000,
            step: 0,
            proof: Proof { number: 0, at: NOW * 1000 },
            model,
        };
        for worker in 0..2 {
            world.with_engine(worker, |engine, host| engine.prepare(host));
        }
        world
    }

    /// Performs one step, after which the host polls.
    pub fn perform(&mut self, step: Step) {
        self.step += 1;
        match step {
            Step::Request { worker, token, credentials, place, spoofed } => {
                if credentials != Credentials::ProvenAgain {
                    self.proof = Proof { number: self.proof.number + 1, at: self.now };
                }
                let token = token % 4;
                let (step, at, proof) = (self.step, self.now, self.proof);
                let others = self.waiting().map(|stream| &self.streams[stream].sent);
                let has_company =
                    others.filter(|other| other.worker == worker).any(|other| other.token == token);
                self.receive(Sent {
                    worker,
                    token,
                    credentials,
                    place,
                    spoofed,
                    step,
                    at,
                    proof,
                    has_company,
                });
            }
            Step::Respond { call, answer } => {
                if let Some((worker, call)) = self.take_call(call) {
                    self.respond(worker, &call, answer);
                }
            }
            Step::EndWithoutTime { call } => {
                if let Some((worker, call)) = self.take_call(call) {
                    self.model.note_no_time(worker);
                    let Self { workers, waiting, .. } = self;
                    workers[worker].engine.on_call_without_time(call.id, waiting);
                    self.poll(worker);
                }
            }
            Step::RefuseCall { worker } => self.workers[worker].refuses_call = true,
            Step::Leave { request } => {
                let waiting: Vec<usize> = self.waiting().collect();
                if let Some(stream) = waiting.get(request % waiting.len().max(1)) {
                    self.leave(*stream);
                }
            }
            Step::Tick { worker } => self.tick(worker),
            Step::ProveSwitching { worker } => {
                let Worker { engine, capabilities, .. } = &mut self.workers[worker];
                engine.on_switching_proven();
                (capabilities.switches_streams, capabilities.outlives_streams) = (true, true);
            }
            Step::Forward(duration) => self.pass(duration),
            Step::Back(duration) => {
                self.model.note_clock_went_back();
                self.now = self.now.saturating_sub(duration).max(EARLIEST);
            }
        }
    }

    /// Answers all calls and lets timers fire until no request should be waiting.
    pub fn end(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.step += 1;
            while let Some((worker, call)) = self.take_call(0) {
                self.respond(worker, &call, Answer::Active);
            }
            self.pass(TICK);
        }
        let waiting = self.waiting().map(|stream| &self.streams[stream].sent).next();
        assert!(waiting.is_none(), "all calls have ended, but a request waits: {waiting:?}");
        assert_eq!(self.waiting.0.get(), 0, "no request waits, but the gauge says so");
    }

    fn receive(&mut self, sent: Sent) {
        let number = self.streams.len();
        let fields = sent.fields();
        self.streams.push(Stream { sent, fields: fields.clone(), state: State::Arriving });
        self.model.note_sent(&sent);
        let attributes = Attributes { field_count: fields.len(), ..Attributes::default() };
        let edits_repeated = self.workers[sent.worker].capabilities.edits_repeated_fields;
        let mut edited = fields.clone();
        let (action, is_private) = self.with_engine(sent.worker, |engine, host| {
            let instructions = engine.on_request(stream_id(number), borrowed(&fields), attributes, host);
            for edit in instructions.edits.iter() {
                match edit {
                    Edit::Remove(name) => remove(&mut edited, name, edits_repeated),
                    Edit::Replace(name, value) => {
                        remove(&mut edited, name, edits_repeated);
                        edited.push((name.to_owned(), value.to_vec()));
                    }
                }
            }
            (instructions.action, instructions.is_response_private)
        });
        let is_in_query = sent.credentials == Credentials::Query;
        assert!(!is_private || is_in_query, "the response to {sent:?} is private");
        self.streams[number].fields = edited;
        match action {
            Some(action) => self.settle(number, action),
            None => {
                assert_eq!(is_private, is_in_query, "the response to {sent:?} is private");
                self.model.judge_waiting(&sent, &self.streams[number].fields);
                self.streams[number].state = State::Waiting;
            }
        }
        self.poll(sent.worker);
    }

    /// Advances the clock. Timers fire and calls time out on the way.
    fn pass(&mut self, duration: u64) {
        let (ticks, rest) = (duration / TICK, duration % TICK);
        for _ in 0..ticks {
            self.pass_without_timers(TICK);
            (0..2).for_each(|worker| self.tick(worker));
        }
        self.pass_without_timers(rest);
    }

    fn pass_without_timers(&mut self, mut duration: u64) {
        loop {
            let rests = self.workers.iter().flat_map(|worker| &worker.calls).map(|open| open.rest);
            let pause = rests.min().unwrap_or(duration).min(duration);
            self.now += pause;
            duration -= pause;
            self.workers.iter_mut().flat_map(|worker| &mut worker.calls).for_each(|open| open.rest -= pause);
            let is_over = |worker: &Worker| worker.calls.iter().position(|open| open.rest == 0);
            let over = (0..2).find_map(|worker| Some((worker, is_over(&self.workers[worker])?)));
            match over {
                Some((worker, place)) => {
                    let Open { call, .. } = self.workers[worker].calls.remove(place);
                    self.respond(worker, &call, Answer::Lost);
                }
                None if duration == 0 => return,
                None => {}
            }
        }
    }

    fn respond(&mut self, worker: usize, call: &Call, answer: Answer) {
        let (step, now) = (self.step, self.now);
        let response = match token_of(call) {
            Some(token) => self.model.note_answer(worker, token, answer, step, now),
            None => answer.keys(),
        };
        self.with_engine(worker, |engine, host| match response {
            Some(response) => response.show(|result| engine.on_call_done(call.id, result, host)),
            None if answer == Answer::Oversized => {
                engine.on_call_done(call.id, CallResult::Oversized, host);
            }
            None => engine.on_call_done(call.id, CallResult::Lost, host),
        });
        let settled = self.poll(worker);
        let can_switch = self.workers[worker].capabilities.switches_streams;
        assert!(can_switch || settled <= 1, "one call decided about {settled} requests");
    }

    /// Removes a stream, with which the host drops the calls that were sent in its name.
    fn leave(&mut self, stream: usize) {
        let worker = self.streams[stream].sent.worker;
        self.streams[stream].state = State::Gone;
        self.workers[worker].engine.on_stream_gone(stream_id(stream));
        self.workers[worker].calls.retain(|open| open.call.stream != Some(stream_id(stream)));
        self.poll(worker);
    }

    fn tick(&mut self, worker: usize) {
        if self.workers[worker].capabilities.has_timers {
            self.with_engine(worker, |engine, host| engine.on_tick(host));
            self.poll(worker);
        }
    }

    /// Sends the calls and takes the actions of a worker. Returns how many requests were settled.
    fn poll(&mut self, worker: usize) -> usize {
        while let Some(call) = self.with_engine(worker, |engine, host| engine.poll_call(host)) {
            self.examine_call(worker, &call);
            if std::mem::take(&mut self.workers[worker].refuses_call) {
                self.model.note_outage(worker);
                self.with_engine(worker, |engine, host| engine.on_call_not_sent(call.id, "refused", host));
            } else {
                let rest = u64::try_from(call.request.timeout().as_millis()).expect("a time-out");
                self.workers[worker].calls.push(Open { call, rest });
            }
        }
        let mut settled = 0;
        while let Some((StreamId(stream), action)) = self.workers[worker].engine.poll_action() {
            let stream = usize::try_from(stream).expect("a number of a stream");
            assert_eq!(self.streams[stream].sent.worker, worker, "an action for another worker's stream");
            self.settle(stream, action);
            settled += 1;
        }
        settled
    }

    fn examine_call(&self, worker: usize, call: &Call) {
        self.model.judge_call(worker, call, token_of(call));
        if let Some(StreamId(stream)) = call.stream {
            let stream = &self.streams[usize::try_from(stream).expect("a number of a stream")];
            assert_eq!(stream.state, State::Waiting, "a call in the name of a stream that does not wait");
            let outlives = self.workers[worker].capabilities.outlives_streams;
            assert!(!outlives, "a call in the name of a stream that it could outlive");
        }
    }

    fn settle(&mut self, number: usize, action: Action) {
        let Stream { sent, fields, state } = &mut self.streams[number];
        assert!(
            matches!(state, State::Arriving | State::Waiting),
            "an action for a request that is {state:?}"
        );
        *state = State::Settled;
        match action {
            Action::Continue(headers) => {
                set(fields, &headers);
                self.model.judge_forwarded(sent, fields, headers.shadow_denied(), self.now);
            }
            Action::Reply(reply) => {
                let edits_repeated = self.workers[sent.worker].capabilities.edits_repeated_fields;
                self.model.judge_reply(sent, &reply, edits_repeated, self.now);
            }
        }
    }

    fn take_call(&mut self, number: usize) -> Option<(usize, Call)> {
        let open = |worker: usize| (0..self.workers[worker].calls.len()).map(move |call| (worker, call));
        let open: Vec<_> = open(0).chain(open(1)).collect();
        let (worker, call) = *open.get(number % open.len().max(1))?;
        Some((worker, self.workers[worker].calls.remove(call).call))
    }

    fn waiting(&self) -> impl Iterator<Item = usize> {
        self.streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.state == State::Waiting)
            .map(|(number, _)| number)
    }

    fn with_engine<T>(&mut self, worker: usize, call: impl FnOnce(&mut Engine, Host<'_>) -> T) -> T {
        let Self { workers, shared, waiting, now, .. } = self;
        let now = Timestamp::from_millis(*now);
        let host = Host { now, shared_data: &*shared, metrics: &*waiting, randomness: &Fixed };
        call(&mut workers[worker].engine, host)
    }
}

/// The gauge of waiting requests.
#[derive(Default)]
struct Waiting(Cell<usize>);

impl Metrics for Waiting {
    fn add(&self, _counter: Counter, _count: u64) {}

    fn deny(&self, _reason: Reason) {}

    fn shadow_deny(&self, _reason: Reason) {}

    fn set(&self, gauge: Gauge, value: usize) {
        if gauge == Gauge::RequestsPending {
            self.0.set(value);
        }
    }

    fn record(&self, _histogram: Histogram, _value: u64) {}
}

/// A log that asserts that no line shows a token or a secret.
struct Log;

impl LogSink for Log {
    fn write(&self, _level: Level, line: &str) {
        let is_confidential =
            shows_token(line.as_bytes()) || line.contains("eyJ") || line.contains(CLIENT_SECRET);
        assert!(!is_confidential, "the log shows {line:?}");
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

/// Returns the token that a call is about. `None` if it asks for keys.
fn token_of(call: &Call) -> Option<usize> {
    let body = call.request.body();
    let is_about =
        |text: &str| body.split(|&byte| byte == b'&').any(|pair| pair == format!("token={text}").as_bytes());
    TOKENS.iter().position(|token| is_about(token.text))
}

fn stream_id(number: usize) -> StreamId {
    StreamId(number as u64)
}

/// Removes all fields of a name, or only the first where the host reaches no other.
fn remove(fields: &mut Fields, name: &str, all: bool) {
    while let Some(place) = fields.iter().position(|(own, _)| own.eq_ignore_ascii_case(name)) {
        fields.remove(place);
        if !all {
            return;
        }
    }
}

fn set(fields: &mut Fields, headers: &UpstreamHeaders) {
    for (name, value) in headers.fields() {
        remove(fields, name, name != AUTHORIZATION);
        fields.push((name.to_owned(), value.as_bytes().to_vec()));
    }
}

/// How often a host's timers fire, in milliseconds. A call lost with its stream is sent again on the next tick.
const TICK: u64 = 1000;
/// The earliest time to which the clock goes back.
const EARLIEST: u64 = (NOW - 3600) * 1000;
/// More rounds than a request can need: its call may be lost with another's stream and sent again, and so may those for metadata and keys.
const MAX_ROUNDS: usize = 12;
