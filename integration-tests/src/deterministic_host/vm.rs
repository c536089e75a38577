//! One VM: an instance of the module, and the calls into it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow};
use wasmi::{Export, Instance, Store, WasmParams, WasmResults};

use super::behaviour::Package;
use super::context::{Call, Callback};
use super::context_key::ContextKey;
use super::guest::Guest;
use super::imports::imports;
use super::module::module;
use super::world::World;

pub(super) struct Vm {
    store: Store<Guest>,
    instance: Instance,
    number: usize,
    /// The worker that the VM serves.
    pub(super) worker: usize,
    last_context: u32,
}

impl Vm {
    pub(super) fn new(
        number: usize,
        worker: usize,
        package: Package,
        world: &Rc<RefCell<World>>,
    ) -> Result<Self> {
        let module = module(package)?;
        let guest = Guest { world: Rc::clone(world), memory: None, allocate: None };
        let mut store = Store::new(module.engine(), guest);
        store.set_fuel(FUEL)?;
        let instance = imports(module)?.instantiate_and_start(&mut store, module)?;
        store.data_mut().memory = instance.get_memory(&store, "memory");
        store.data_mut().allocate = Some(instance.get_typed_func(&store, "proxy_on_memory_allocate")?);
        let mut new = Self { store, instance, number, worker, last_context: 0 };
        new.call::<_, ()>("_initialize", 0, Callback::Start, ())?;
        Ok(new)
    }

    /// Returns the key of a new context.
    pub(super) fn next_context(&mut self) -> ContextKey {
        self.last_context += 1;
        ContextKey { vm: self.number, context: self.last_context }
    }

    /// Returns a restarted VM. It does not reuse the numbers of earlier contexts.
    pub(super) fn again(&self, package: Package) -> Result<Self> {
        let world = Rc::clone(&self.store.data().world);
        let new = Self::new(self.number, self.worker, package, &world)?;
        Ok(Self { last_context: self.last_context, ..new })
    }

    /// Returns the instructions that each function has run, by its name. Only the counting build exports them.
    pub(super) fn instructions(&self) -> BTreeMap<String, u64> {
        let counter = |export: Export<'_>| {
            let name = export.name().to_owned();
            let count = export.into_global()?.get(&self.store).i64()?;
            Some((name, u64::try_from(count).ok()?))
        };
        self.instance.exports(&self.store).filter_map(counter).collect()
    }

    pub(super) fn exports(&self, name: &str) -> bool {
        self.instance.get_func(&self.store, name).is_some()
    }

    /// Calls an export on behalf of a context.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
        context: u32,
        callback: Callback,
        parameters: P,
    ) -> Result<R> {
        let world = Rc::clone(&self.store.data().world);
        let function = self.instance.get_typed_func::<P, R>(&self.store, name)?;
        let context = ContextKey { vm: self.number, context };
        self.store.set_fuel(FUEL)?;
        let worker = self.worker;
        world.borrow_mut().call = Some(Call { callback, context, effective: context, worker, fuel: FUEL });
        let result = function.call(&mut self.store, parameters);
        let left = self.store.get_fuel()?;
        let mut world = world.borrow_mut();
        world.charge(left);
        world.call = None;
        result
            .map_err(|error| anyhow!("{error}\n{}", world.log.join("\n")))
            .with_context(|| format!("{name} trapped"))
    }
}

/// The fuel that one call into the module may use; no call that ends comes close to it.
const FUEL: u64 = 4_000_000_000;
