//! The host as tests drive it.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::behaviour::{Behaviour, Package};
use super::callout::{self, Answer, Callout, CalloutId};
use super::configuration::{Replacement, Setup};
use super::context::{Callback, Context, Root};
use super::context_key::ContextKey;
use super::cost::Cost;
use super::guarantee::Guarantee;
use super::header_map::HeaderMap;
use super::refusals::Refusal;
use super::request::Request;
use super::status::Status;
use super::stream::{State, Stream, StreamId};
use super::vm::Vm;
use super::world::World;

/// A host with the filter. Every method that calls into the module fails if the module traps.
pub struct Host {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) vms: Vec<Option<Vm>>,
    /// Each worker's root context for new streams.
    pub(super) current: Vec<ContextKey>,
    pub(super) setup: Setup,
}

impl Host {
    /// Starts the host. It is an error if the filter refuses the configuration.
    pub fn start(setup: Setup) -> Result<Self> {
        let world = World::new(&setup);
        let configuration = setup.configuration.clone();
        let mut new =
            Self { world: Rc::new(RefCell::new(world)), vms: Vec::new(), current: Vec::new(), setup };
        let accepted = new.reconfigure(&configuration, Replacement::Vm)?;
        ensure!(accepted, "the filter refused its configuration:\n{}", new.log().join("\n"));
        Ok(new)
    }

    /// Reconfigures the filter as Envoy does: a temporary VM tries the configuration first, and if the filter refuses it, nothing changes.
    /// Returns whether the filter accepted it. Existing streams keep their configuration.
    pub fn reconfigure(&mut self, configuration: &Value, replacement: Replacement) -> Result<bool> {
        let configuration = configuration.to_string().into_bytes();
        let canary = self.start_vm(0)?;
        let accepted = self.start_root(canary, &configuration)?.is_some();
        self.stop_vm(canary);
        if !accepted {
            return Ok(false);
        }
        for worker in 0..self.setup.workers {
            let vm = match (self.current.get(worker), replacement) {
                (Some(current), Replacement::RootContext) => current.vm,
                _ => self.start_vm(worker)?,
            };
            let root = self.start_root(vm, &configuration)?;
            let root = root.context("a worker refused what was accepted before")?;
            match self.current.get_mut(worker) {
                Some(current) => *current = root,
                None => self.current.push(root),
            }
        }
        self.retire_roots()?;
        Ok(true)
    }

    /// Delivers a client's request to a worker. If the module traps on its headers, some hosts reply with 500 themselves.
    pub fn request(&mut self, worker: usize, request: &Request) -> Result<StreamId> {
        let root = *self.current.get(worker).context("no such worker")?;
        let context = self.vm(root.vm)?.next_context();
        let Request { mut headers, mut properties, has_body } = request.clone();
        let (target, authority) = (headers.text(":path").to_owned(), headers.text(":authority").to_owned());
        properties.insert("request\0path".to_owned(), target.clone().into_bytes());
        let field_count = {
            let world = self.world.borrow();
            if world.lacks(Guarantee::RawPath) {
                headers.replace(":path", decoded(&target).as_bytes());
            }
            if world.lacks(Guarantee::ClientAuthority) {
                if headers.get("host").is_none() && !authority.is_empty() {
                    headers.push("host", authority.as_bytes());
                }
                headers.replace(":authority", b"kong:8000");
            }
            self.counted(&headers)?
        };
        let id = {
            let mut world = self.world.borrow_mut();
            let id = StreamId(world.streams.len());
            world.contexts.insert(context, Context::Stream(id));
            world.streams.push(Stream {
                context,
                root,
                headers,
                target,
                authority,
                properties,
                response: None,
                state: State::Paused,
                held_body: Vec::new(),
                is_over: false,
            });
            id
        };
        let number = context.context;
        let parameters = (number, root.context);
        self.call::<_, ()>(context.vm, "proxy_on_context_create", number, Callback::Other, parameters)?;
        let parameters = (number, field_count, u32::from(!has_body));
        let callback = Callback::RequestHead;
        match self.call(context.vm, "proxy_on_request_headers", number, callback, parameters) {
            Ok(action) => self.act(id, action),
            Err(trap) => {
                self.world.borrow_mut().fail(id);
                return Err(trap);
            }
        }
        self.follow_up()?;
        Ok(id)
    }

    /// Delivers a part of a request's body. It is held while the headers are, unless the host holds only headers.
    pub fn body(&mut self, id: StreamId, size: usize, is_last: bool) -> Result<()> {
        let is_held = !self.setup.stops_head_only && *self.stream(id).state() == State::Paused;
        if is_held {
            self.world.borrow_mut().streams[id.0].held_body.push((size, is_last));
            return Ok(());
        }
        self.deliver_body(id, size, is_last)?;
        self.follow_up()
    }

    /// Delivers a trailer after a request's body. It is dropped while the headers are held, and by hosts without trailers.
    pub fn trailers(&mut self, id: StreamId) -> Result<()> {
        let is_held = !self.setup.stops_head_only && *self.stream(id).state() == State::Paused;
        if is_held || self.world.borrow().lacks(Guarantee::HasTrailers) {
            return Ok(());
        }
        let ContextKey { vm, context } = self.stream(id).context;
        let callback = Callback::RequestTrailers(HeaderMap::new(&[("x-checksum", "0")]));
        let action = self.call(vm, "proxy_on_request_trailers", context, callback, (context, 1))?;
        self.act(id, action);
        self.follow_up()
    }

    /// Delivers the service's response to a forwarded request, with this status and these fields, and ends the stream.
    pub fn respond(&mut self, id: StreamId, status: u16, fields: &[(&str, &str)]) -> Result<()> {
        let is_forwarded = matches!(self.stream(id).state(), State::Forwarded { .. });
        ensure!(is_forwarded && !self.stream(id).is_over, "only what was forwarded is answered");
        let mut headers = HeaderMap::new(&[(":status", &status.to_string())]);
        fields.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        self.deliver_response(id, headers)?;
        self.end(id)
    }

    /// Disconnects the client, whatever happened to its request.
    pub fn disconnect(&mut self, id: StreamId) -> Result<()> {
        if self.stream(id).is_over {
            return Ok(());
        }
        {
            let state = &mut self.world.borrow_mut().streams[id.0].state;
            if *state == State::Paused {
                *state = State::Abandoned;
            }
        }
        self.end(id)
    }

    /// Ends a callout. If its context no longer exists, the host or the module drops the response, depending on the proxy.
    pub fn answer(&mut self, id: CalloutId, answer: Answer) -> Result<()> {
        let (behaviour, callout) = {
            let mut world = self.world.borrow_mut();
            let behaviour = world.behaviour;
            let callout = world.callouts.get_mut(id.0).context("no such callout")?;
            ensure!(callout.is_open, "the callout has ended before");
            callout.is_open = false;
            (behaviour, callout.clone())
        };
        let is_refused = matches!(answer, Answer::Refused);
        let holds = !self.world.borrow().lacks(Guarantee::Holds);
        let (mut fields, body) = answer.delivered(!self.world.borrow().lacks(Guarantee::TellsFailures));
        if behaviour == Behaviour::NgxWasm && !fields.is_empty() {
            fields.push("date", b"Wed, 18 May 2033 03:33:20 GMT");
        }
        let (field_count, body_size) = (self.counted(&fields)?, u32::try_from(body.len())?);
        let Callout { root, owner, token, .. } = callout;
        // Envoy calls the root context, from which the filter switches to the stream.
        let current = if self.world.borrow().lacks(Guarantee::Switches) { owner } else { root };
        {
            let mut world = self.world.borrow_mut();
            world.loses_bodies = world.lacks(Guarantee::DeliversReplies) && body.is_empty() && !is_refused;
        }
        let result = self.call::<_, ()>(
            root.vm,
            "proxy_on_http_call_response",
            current.context,
            Callback::Answer(fields, body),
            (root.context, token, field_count, body_size, 0),
        );
        self.world.borrow_mut().loses_bodies = false;
        if !holds {
            self.go_on_by_itself(owner);
        }
        result?;
        self.follow_up()
    }

    /// Returns the instructions that each function has run on a worker, by its name. Empty if the build does not count.
    pub fn instructions(&self, worker: usize) -> BTreeMap<String, u64> {
        let vm = self.current.get(worker).and_then(|root| self.vms.get(root.vm)?.as_ref());
        vm.map(Vm::instructions).unwrap_or_default()
    }

    /// Advances the clock. The test itself delivers whatever becomes due.
    pub fn advance(&mut self, duration: Duration) {
        self.world.borrow_mut().now += duration;
    }

    /// Sets the clock back, as after a wrong start. Timers and timeouts use another clock, and are due as before.
    pub fn set_clock_back(&mut self, duration: Duration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now.saturating_sub(duration);
        for callout in &mut world.callouts {
            callout.sent_at = callout.sent_at.saturating_sub(duration);
        }
        for context in world.contexts.values_mut() {
            if let Context::Root(Root { tick: Some(tick), .. }) = context {
                tick.due = tick.due.saturating_sub(duration);
            }
        }
    }

    /// Calls the timers that are due. Returns how many there were.
    pub fn tick(&mut self) -> Result<usize> {
        let now = self.now();
        let due: Vec<ContextKey> = {
            let world = self.world.borrow();
            let is_due = |context: &Context| matches!(context, Context::Root(Root { tick: Some(tick), .. }) if tick.due <= now);
            world.contexts.iter().filter(|(_, context)| is_due(context)).map(|(key, _)| *key).collect()
        };
        for key in &due {
            if let Some(tick) = self.world.borrow_mut().root(*key).and_then(|root| root.tick.as_mut()) {
                tick.due = now + tick.period;
            }
            self.call::<_, ()>(key.vm, "proxy_on_tick", key.context, Callback::Other, key.context)?;
            self.follow_up()?;
        }
        Ok(due.len())
    }

    /// Makes the next calls of a host function fail with this status.
    pub fn refuse(&mut self, function: &str, status: Status, times: u32) {
        self.world.borrow_mut().refusals.add(function, Refusal::Status(status), times);
    }

    /// Makes the next call of a host function trap the module, as a bug in the function would.
    pub fn trap(&mut self, function: &str) {
        self.world.borrow_mut().refusals.add(function, Refusal::Trap, 1);
    }

    /// Whether the next call of some host function would fail.
    pub fn is_refusing(&self) -> bool {
        self.world.borrow().refusals.is_any_due()
    }

    /// Removes all remaining refusals and conflicts.
    pub fn relent(&mut self) {
        let mut world = self.world.borrow_mut();
        world.refusals.clear();
        world.shared_data.conflict(0);
    }

    /// Makes the next writes to shared data lose against a concurrent one.
    pub fn conflict(&mut self, times: u32) {
        self.world.borrow_mut().shared_data.conflict(times);
    }

    /// The current time, since the epoch.
    pub fn now(&self) -> Duration {
        self.world.borrow().now
    }

    /// All requests, oldest first.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        (0..self.world.borrow().streams.len()).map(StreamId)
    }

    /// A request, and its state.
    pub fn stream(&self, id: StreamId) -> Ref<'_, Stream> {
        Ref::map(self.world.borrow(), |world| &world.streams[id.0])
    }

    /// The cost of a request so far, without what was done in the name of the root context.
    pub fn spent(&self, id: StreamId) -> Cost {
        self.spent_by(self.stream(id).context())
    }

    /// The cost of everything done in the name of a context so far.
    pub fn spent_by(&self, context: ContextKey) -> Cost {
        self.world.borrow().costs.get(&context).cloned().unwrap_or_default()
    }

    /// A worker's root context for new streams.
    pub fn root(&self, worker: usize) -> ContextKey {
        self.current[worker]
    }

    pub fn callout(&self, id: CalloutId) -> Ref<'_, Callout> {
        Ref::map(self.world.borrow(), |world| &world.callouts[id.0])
    }

    /// All callouts, oldest first.
    pub fn callouts(&self) -> impl Iterator<Item = CalloutId> + use<> {
        (0..self.world.borrow().callouts.len()).map(CalloutId)
    }

    /// The callouts that have not ended, oldest first.
    pub fn open_callouts(&self) -> Vec<CalloutId> {
        let world = self.world.borrow();
        let open = world.callouts.iter().enumerate().filter(|(_, callout)| callout.is_open);
        open.map(|(index, _)| CalloutId(index)).collect()
    }

    /// Whether a context still exists.
    pub fn is_alive(&self, context: ContextKey) -> bool {
        self.world.borrow().contexts.contains_key(&context)
    }

    /// Whether a root context has a timer.
    pub fn has_timer(&self, root: ContextKey) -> bool {
        matches!(self.world.borrow().contexts.get(&root), Some(Context::Root(Root { tick: Some(_), .. })))
    }

    /// The value of a counter, 0 if the filter defined none with this name.
    pub fn counter(&self, name: &str) -> u64 {
        self.world.borrow().metrics.named(name).unwrap_or_default()
    }

    pub fn metric_names(&self) -> Vec<String> {
        self.world.borrow().metrics.names().map(str::to_owned).collect()
    }

    /// The number of keys in shared data.
    pub fn shared_keys(&self) -> usize {
        self.world.borrow().shared_data.len()
    }

    /// Takes the lines that the filter has logged.
    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.borrow_mut().log)
    }

    /// The lines that the filter has logged.
    pub fn log(&self) -> Vec<String> {
        self.world.borrow().log.clone()
    }

    /// The filter's violations of the ABI's rules.
    pub fn violations(&self) -> Vec<String> {
        self.world.borrow().violations.clone()
    }

    /// The number of fields that is passed to a callback.
    fn counted(&self, fields: &HeaderMap) -> Result<u32> {
        let is_partial = self.world.borrow().lacks(Guarantee::ListsAll);
        let hidden = if is_partial { fields.pseudo_count() } else { 0 };
        Ok(u32::try_from(fields.len() - hidden)?)
    }

    /// The build of the filter that the VMs run.
    pub(super) fn package(&self) -> Package {
        self.setup.package.unwrap_or(self.setup.behaviour.package())
    }
}

/// Returns a path as nginx shows it, decoded once and without empty and dot segments, followed by its query.
fn decoded(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = callout::decoded(&path.replace('+', "%2B"));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    let path = format!("/{}{slash}", segments.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}
