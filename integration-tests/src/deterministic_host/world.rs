//! The state behind the host functions. One world belongs to one host, and all its VMs share it; since nothing runs concurrently, there is
//! at most one call into a module.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::Behaviour;
use super::callout::Callout;
use super::configuration::Setup;
use super::context::{Call, Callback, Context, Root};
use super::context_key::ContextKey;
use super::cost::Cost;
use super::guarantee::Guarantee;
use super::header_map::HeaderMap;
use super::metrics::Metrics;
use super::refusals::{Refusal, Refusals};
use super::shared_data::SharedData;
use super::status::Status;
use super::stream::{State, Stream, StreamId};

pub(super) struct World {
    pub(super) behaviour: Behaviour,
    pub(super) lacks: Vec<Guarantee>,
    pub(super) has_zone: bool,
    pub(super) zone_keys: usize,
    pub(super) now: Duration,
    pub(super) random: fastrand::Rng,
    pub(super) environment: Vec<(String, String)>,
    pub(super) shared_data: SharedData,
    pub(super) metrics: Metrics,
    pub(super) refusals: Refusals,
    pub(super) log: Vec<String>,
    pub(super) violations: Vec<String>,
    pub(super) contexts: BTreeMap<ContextKey, Context>,
    pub(super) streams: Vec<Stream>,
    pub(super) callouts: Vec<Callout>,
    pub(super) costs: BTreeMap<ContextKey, Cost>,
    pub(super) call: Option<Call>,
    /// Streams that were forwarded in this call, whose held bodies have to be delivered afterwards.
    pub(super) resumed: Vec<StreamId>,
    /// Streams to which the filter replied in this call.
    pub(super) replied: Vec<StreamId>,
    /// Whether a reply with a body is lost in this call.
    pub(super) loses_bodies: bool,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            behaviour: setup.behaviour,
            lacks: setup.lacks.clone(),
            has_zone: setup.has_zone,
            zone_keys: setup.zone_keys,
            now: START,
            random: fastrand::Rng::with_seed(setup.seed),
            environment: setup.environment.clone(),
            shared_data: SharedData::default(),
            metrics: Metrics::default(),
            refusals: Refusals::default(),
            log: Vec::new(),
            violations: Vec::new(),
            contexts: BTreeMap::new(),
            streams: Vec::new(),
            callouts: Vec::new(),
            costs: BTreeMap::new(),
            call: None,
            resumed: Vec::new(),
            replied: Vec::new(),
            loses_bodies: false,
        }
    }

    /// Whether the host lacks this feature.
    pub(super) fn lacks(&self, guarantee: Guarantee) -> bool {
        !guarantee.is_given_by(self.behaviour) || self.lacks.contains(&guarantee)
    }

    /// Whether shared data exists.
    pub(super) fn has_zone(&self) -> bool {
        self.has_zone || !self.lacks(Guarantee::HasSharedData)
    }

    /// Counts the call of a host function, and takes its failure if one is due.
    pub(super) fn enter(&mut self, function: &'static str) -> Option<Refusal> {
        if let Some(call) = &self.call {
            let cost = self.costs.entry(call.effective).or_default();
            *cost.calls.entry(function).or_default() += 1;
        }
        self.refusals.take(function)
    }

    /// Charges the context in effect for the fuel used since the last charge.
    pub(super) fn charge(&mut self, fuel_left: u64) {
        if let Some(call) = &mut self.call {
            let cost = self.costs.entry(call.effective).or_default();
            cost.fuel += call.fuel.saturating_sub(fuel_left);
            call.fuel = fuel_left;
        }
    }

    /// Records something that no filter should do.
    pub(super) fn violation(&mut self, what: &str) {
        let context = self.call.as_ref().map(|call| call.effective);
        self.violations.push(match context {
            Some(ContextKey { vm, context }) => format!("{what} (context {context} of VM {vm})"),
            None => what.to_owned(),
        });
    }

    /// Records a misuse and returns the status for it.
    pub(super) fn misuse(&mut self, what: &str) -> Status {
        self.violation(what);
        Status::BadArgument
    }

    pub(super) fn effective_stream(&self) -> Option<StreamId> {
        match self.contexts.get(&self.call.as_ref()?.effective)? {
            Context::Stream(id) => Some(*id),
            Context::Root(_) => None,
        }
    }

    pub(super) fn effective_root(&self) -> Option<ContextKey> {
        let key = self.call.as_ref()?.effective;
        match self.contexts.get(&key)? {
            Context::Stream(StreamId(index)) => Some(self.streams.get(*index)?.root),
            Context::Root(_) => Some(key),
        }
    }

    pub(super) fn root(&mut self, key: ContextKey) -> Option<&mut Root> {
        match self.contexts.get_mut(&key) {
            Some(Context::Root(root)) => Some(root),
            _ => None,
        }
    }

    /// Makes the following host functions act on another context.
    pub(super) fn switch_to(&mut self, context: u32) -> Result<(), Status> {
        let is_stuck = self.lacks(Guarantee::Switches);
        let Some(call) = &mut self.call else { return Err(Status::InternalFailure) };
        let target = ContextKey { context, ..call.context };
        if is_stuck {
            return Ok(());
        }
        if !self.contexts.contains_key(&target) {
            return Err(Status::BadArgument);
        }
        call.effective = target;
        Ok(())
    }

    /// The fields of a map, by the map's number in the ABI.
    pub(super) fn fields(&self, map: u32) -> Option<&HeaderMap> {
        let stream = || self.streams.get(self.effective_stream()?.0);
        match (map, &self.call.as_ref()?.callback) {
            (REQUEST_HEADERS, _) => {
                stream().filter(|stream| stream.state == State::Paused).map(|stream| &stream.headers)
            }
            (REQUEST_TRAILERS, Callback::RequestTrailers(fields)) => Some(fields),
            (RESPONSE_HEADERS, Callback::ResponseHead) => stream()?.response.as_ref(),
            (ANSWER_HEADERS, Callback::Answer(headers, _)) => Some(headers),
            _ => None,
        }
    }

    /// The fields of a map that can be changed now.
    pub(super) fn changeable_fields(&mut self, map: u32) -> Result<&mut HeaderMap, Status> {
        let id = self.effective_stream();
        let is_response =
            matches!(self.call.as_ref().map(|call| &call.callback), Some(Callback::ResponseHead));
        let is_paused = id.is_some_and(|StreamId(index)| {
            self.streams.get(index).is_some_and(|stream| stream.state == State::Paused)
        });
        if !matches!((map, is_paused, is_response), (REQUEST_HEADERS, true, _) | (RESPONSE_HEADERS, _, true))
        {
            return Err(self.misuse("a field was changed of a head that is not there, or not any more"));
        }
        let stream = id.and_then(|StreamId(index)| self.streams.get_mut(index));
        let fields = stream.and_then(|stream| match map {
            REQUEST_HEADERS => Some(&mut stream.headers),
            _ => stream.response.as_mut(),
        });
        fields.ok_or(Status::BadArgument)
    }

    pub(super) fn replace(&mut self, map: u32, name: &str, value: &[u8]) -> Result<(), Status> {
        let hides = map == REQUEST_HEADERS && self.lacks(Guarantee::ReplacesAll);
        let fields = self.changeable_fields(map)?;
        if hides {
            fields.replace_first(name, value)
        } else {
            fields.replace(name, value)
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, map: u32, name: &str) -> Result<(), Status> {
        let hides = map == REQUEST_HEADERS && self.lacks(Guarantee::Removes);
        let fields = self.changeable_fields(map)?;
        if hides {
            fields.hide(name)
        } else {
            fields.remove(name)
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, kind: u32) -> Result<(), Status> {
        let id = self.effective_stream().filter(|_| kind == REQUEST);
        let Some(id) = id else { return Err(self.misuse("something else than a request was resumed")) };
        let call = self.call.as_ref();
        let is_reading = call.is_some_and(|call| {
            matches!(call.callback, Callback::RequestHead) && call.context == call.effective
        });
        match self.streams[id.0].state {
            State::Paused if is_reading => Err(self.misuse("a request was resumed while its head is read")),
            State::Paused => {
                self.forward(id);
                Ok(())
            }
            State::Forwarded { .. } => Err(self.misuse("a request was resumed twice")),
            State::Replied { .. } | State::Lost => Err(self.misuse("a request was resumed after its answer")),
            State::Abandoned => Err(self.misuse("a request was resumed whose client had left")),
        }
    }

    /// Forwards a request to services as it is now.
    pub(super) fn forward(&mut self, id: StreamId) {
        let (keeps_path, keeps_authority) =
            (self.lacks(Guarantee::SetsPath), self.lacks(Guarantee::ClientAuthority));
        let stream = &mut self.streams[id.0];
        let mut headers = stream.headers.sent();
        if keeps_path {
            headers.replace(":path", stream.target.as_bytes());
        }
        if keeps_authority {
            headers.replace(":authority", stream.authority.as_bytes());
        }
        stream.state = State::Forwarded { headers };
        self.resumed.push(id);
    }

    /// Replies to a request on whose headers the module has trapped, where the host does so itself.
    pub(super) fn fail(&mut self, StreamId(index): StreamId) {
        if self.lacks(Guarantee::KeepsVm) {
            let (status, headers, body) = (500, HeaderMap::new(&[(":status", "500")]), String::new());
            self.streams[index].state = State::Replied { status, headers, body };
            self.streams[index].is_over = true;
        }
    }

    pub(super) fn reply(&mut self, status: u32, fields: HeaderMap, body: &[u8]) -> Result<(), Status> {
        let Some(id) = self.effective_stream() else {
            return Err(self.misuse("something else than a request was answered"));
        };
        let is_split = |(_, value): (&str, &[u8])| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        if fields.iter().any(is_split) {
            self.violation("a field of an answer would be written as two");
        }
        let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
        let Some(status) = status else {
            return Err(self.misuse("a request was answered by a status that is none"));
        };
        let what = match self.streams[id.0].state {
            State::Paused => None,
            State::Forwarded { .. } => Some("a request was answered that had gone on"),
            State::Replied { .. } | State::Lost => Some("a request was answered twice"),
            State::Abandoned => Some("a request was answered whose client had left"),
        };
        if let Some(what) = what {
            return Err(self.misuse(what));
        }
        let mut headers = HeaderMap::new(&[(":status", &status.to_string())]);
        fields.iter().for_each(|(name, value)| headers.push(name, value));
        let is_lost = self.loses_bodies && !body.is_empty();
        self.streams[id.0].state = match is_lost {
            true => State::Lost,
            false => State::Replied { status, headers, body: String::from_utf8_lossy(body).into_owned() },
        };
        self.replied.push(id);
        Ok(())
    }

    /// Sends the filter's callout. Returns the number by which the module knows it.
    pub(super) fn dispatch(
        &mut self,
        upstream: String,
        headers: HeaderMap,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<u32, Status> {
        let (Some(call), Some(root)) = (&self.call, self.effective_root()) else {
            return Err(self.misuse("a callout was sent by nobody"));
        };
        let (owner, worker) = (call.effective, call.worker);
        if matches!(call.callback, Callback::Start | Callback::Configure) {
            return Err(self.misuse("a callout was sent while the filter starts"));
        }
        if [":method", ":path", ":authority", ":scheme"].iter().any(|name| headers.text(name).is_empty()) {
            return Err(self.misuse("a callout was sent that lacks a pseudo-header field"));
        }
        let token = u32::try_from(self.callouts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let sent_at = self.now;
        let is_open = true;
        self.callouts.push(Callout {
            root,
            owner,
            token,
            is_open,
            worker,
            upstream,
            headers,
            body,
            timeout,
            sent_at,
        });
        Ok(token)
    }
}

/// The ABI's numbers for header maps, kinds of streams and buffers.
pub(super) const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const ANSWER_HEADERS: u32 = 6;
const REQUEST: u32 = 0;

/// The time at which every host starts, since the epoch: later than every date in a fixture.
const START: Duration = Duration::from_secs(2_000_000_000);
