//! The host's work between the steps of a test: contexts are created and deleted, and held requests resume.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow, ensure};
use wasmi::{WasmParams, WasmResults};

use super::behaviour::Behaviour;
use super::context::{Callback, Context, Root};
use super::context_key::ContextKey;
use super::guarantee::Guarantee;
use super::header_map::HeaderMap;
use super::host::Host;
use super::stream::{State, StreamId};
use super::vm::Vm;

impl Host {
    /// Performs the action that the filter returned for headers or a part of a body.
    pub(super) fn act(&mut self, id: StreamId, action: u32) {
        let mut world = self.world.borrow_mut();
        match (action, &world.streams[id.0].state) {
            (CONTINUE, State::Paused) => world.forward(id),
            (CONTINUE, State::Replied { .. } | State::Lost) => {
                world.violation("a request goes on that was answered")
            }
            (CONTINUE | PAUSE, _) => {}
            _ => world.violation("an action that is none"),
        }
    }

    /// Completes what a call into the module has caused: held bodies continue, and the filter's replies pass its response callbacks, as
    /// responses of services do.
    pub(super) fn follow_up(&mut self) -> Result<()> {
        loop {
            let next = self.world.borrow_mut().replied.pop();
            if let Some(id) = next {
                let headers = match self.stream(id).state().clone() {
                    State::Replied { headers, .. } => headers,
                    _ => HeaderMap::default(),
                };
                self.deliver_response(id, headers)?;
                self.end(id)?;
                continue;
            }
            let next = self.world.borrow_mut().resumed.pop();
            let Some(id) = next else { return Ok(()) };
            let held = std::mem::take(&mut self.world.borrow_mut().streams[id.0].held_body);
            for (size, is_last) in held {
                self.deliver_body(id, size, is_last)?;
            }
        }
    }

    pub(super) fn deliver_body(&mut self, id: StreamId, size: usize, is_last: bool) -> Result<()> {
        let ContextKey { vm, context } = self.stream(id).context;
        let parameters = (context, u32::try_from(size)?, u32::from(is_last));
        let action = self.call(vm, "proxy_on_request_body", context, Callback::Other, parameters)?;
        let is_held_for_good = action == PAUSE && matches!(self.stream(id).state(), State::Forwarded { .. });
        if is_held_for_good {
            self.world.borrow_mut().violation("a body is held whose head has gone on");
        }
        self.act(id, action);
        Ok(())
    }

    pub(super) fn deliver_response(&mut self, id: StreamId, headers: HeaderMap) -> Result<()> {
        let ContextKey { vm, context } = self.stream(id).context;
        let parameters = (context, u32::try_from(headers.len())?, 1);
        if !self.world.borrow().contexts.contains_key(&ContextKey { vm, context }) {
            return Ok(());
        }
        self.world.borrow_mut().streams[id.0].response = Some(headers);
        let callback = Callback::ResponseHead;
        let action: u32 = self.call(vm, "proxy_on_response_headers", context, callback, parameters)?;
        ensure!(action == CONTINUE, "the filter holds a response back");
        let body = self.call_if_due(vm, "proxy_on_response_body", context, (context, 0, 1))?;
        ensure!(body.unwrap_or(CONTINUE) == CONTINUE, "the filter holds the body of a response back");
        Ok(())
    }

    /// Deletes the stream's context, and then its root context if that is an old one without other streams.
    pub(super) fn end(&mut self, id: StreamId) -> Result<()> {
        let key = self.stream(id).context;
        self.world.borrow_mut().streams[id.0].is_over = true;
        if self.world.borrow().contexts.contains_key(&key) {
            self.call_if_due::<_, u32>(key.vm, "proxy_on_done", key.context, key.context)?;
            self.call_if_due::<_, ()>(key.vm, "proxy_on_log", key.context, key.context)?;
            self.call::<_, ()>(key.vm, "proxy_on_delete", key.context, Callback::Other, key.context)?;
        }
        {
            let mut world = self.world.borrow_mut();
            world.contexts.remove(&key);
            if world.behaviour == Behaviour::NgxWasm {
                let asked = world.callouts.iter_mut().filter(|callout| callout.owner == key);
                asked.for_each(|callout| callout.is_open = false);
            }
        }
        self.retire_roots()
    }

    pub(super) fn go_on_by_itself(&mut self, owner: ContextKey) {
        let mut world = self.world.borrow_mut();
        // The stream's VM may be gone.
        let place = world.streams.iter().position(|stream| stream.context == owner && !stream.is_over);
        let Some(id) = place.map(StreamId) else { return };
        let is_asking = world.callouts.iter().any(|callout| callout.is_open && callout.owner == owner);
        if !is_asking && world.streams[id.0].state == State::Paused {
            world.forward(id);
        }
    }

    pub(super) fn start_vm(&mut self, worker: usize) -> Result<usize> {
        let number = self.vms.len();
        self.vms.push(Some(Vm::new(number, worker, self.package(), &self.world)?));
        Ok(number)
    }

    /// Creates and configures a root context. Returns `None` if the filter refuses the configuration.
    pub(super) fn start_root(&mut self, vm: usize, configuration: &[u8]) -> Result<Option<ContextKey>> {
        let world = Rc::clone(&self.world);
        let vm = self.vm(vm)?;
        let key = vm.next_context();
        let root = Root { configuration: configuration.to_vec(), ..Root::default() };
        world.borrow_mut().contexts.insert(key, Context::Root(root));
        let number = key.context;
        vm.call::<_, ()>("proxy_on_context_create", number, Callback::Start, (number, 0))?;
        let started: u32 = vm.call("proxy_on_vm_start", number, Callback::Start, (number, 0))?;
        let parameters = (number, u32::try_from(configuration.len())?);
        let configured: u32 = vm.call("proxy_on_configure", number, Callback::Configure, parameters)?;
        Ok((started != 0 && configured != 0).then_some(key))
    }

    /// Deletes the root contexts that neither new nor existing streams use, and the VMs that are then empty. Responses to their callouts
    /// never arrive.
    pub(super) fn retire_roots(&mut self) -> Result<()> {
        let retired: Vec<ContextKey> = {
            let world = self.world.borrow();
            let is_root = |context: &&Context| matches!(context, Context::Root(_));
            if world.contexts.values().filter(is_root).count() == self.current.len() {
                return Ok(());
            }
            let streams = world.streams.iter().filter(|stream| !stream.is_over);
            let needed: BTreeSet<ContextKey> =
                streams.map(|stream| stream.root).chain(self.current.iter().copied()).collect();
            let roots = world.contexts.iter().filter(|(_, context)| matches!(context, Context::Root(_)));
            roots.map(|(key, _)| *key).filter(|key| !needed.contains(key)).collect()
        };
        for key in retired {
            self.call::<_, ()>(key.vm, "proxy_on_delete", key.context, Callback::Other, key.context)?;
            let is_empty = {
                let mut world = self.world.borrow_mut();
                world.contexts.remove(&key);
                let lost = world.callouts.iter_mut().filter(|callout| callout.root == key);
                lost.for_each(|callout| callout.is_open = false);
                !world.contexts.keys().any(|other| other.vm == key.vm)
            };
            if is_empty {
                self.stop_vm(key.vm);
            }
        }
        Ok(())
    }

    pub(super) fn stop_vm(&mut self, number: usize) {
        self.vms[number] = None;
        self.world.borrow_mut().contexts.retain(|key, _| key.vm != number);
    }

    /// Calls an export. If it traps, some hosts restart the VM, which loses its state.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        vm: usize,
        name: &str,
        context: u32,
        callback: Callback,
        parameters: P,
    ) -> Result<R> {
        let result = self.vm(vm)?.call(name, context, callback, parameters);
        if result.is_err() && self.world.borrow().lacks(Guarantee::KeepsVm) {
            self.start_again(vm)?;
        }
        result
    }

    /// Calls an export for the end of a response, which some hosts call even if it does not exist.
    fn call_if_due<P: WasmParams, R: WasmResults>(
        &mut self,
        vm: usize,
        name: &str,
        context: u32,
        parameters: P,
    ) -> Result<Option<R>> {
        if self.vm(vm)?.exports(name) {
            return self.call(vm, name, context, Callback::Other, parameters).map(Some);
        }
        match self.world.borrow().lacks(Guarantee::CallsExports) {
            true => Err(anyhow!("the process ends: {name} is called, which the module does not export")),
            false => Ok(None),
        }
    }

    fn start_again(&mut self, number: usize) -> Result<()> {
        let package = self.package();
        let new = self.vm(number)?.again(package)?;
        let roots: Vec<(usize, Vec<u8>)> = {
            let world = self.world.borrow();
            let current = self.current.iter().enumerate().filter(|(_, key)| key.vm == number);
            let root = |(worker, key): (usize, &ContextKey)| match world.contexts.get(key) {
                Some(Context::Root(root)) => Some((worker, root.configuration.clone())),
                _ => None,
            };
            current.filter_map(root).collect()
        };
        self.stop_vm(number);
        self.vms[number] = Some(new);
        for (worker, configuration) in roots {
            self.current[worker] =
                self.start_root(number, &configuration)?.context("what was accepted before is refused")?;
        }
        Ok(())
    }

    pub(super) fn vm(&mut self, number: usize) -> Result<&mut Vm> {
        self.vms.get_mut(number).and_then(Option::as_mut).context("no such VM")
    }
}

/// The actions that a callback returns.
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;
