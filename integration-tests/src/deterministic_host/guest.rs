//! The contents of a module's store, and access to its memory from host functions.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use wasmi::{Caller, Error, Memory, TypedFunc};

use super::refusals::Refusal;
use super::status::Status;
use super::world::World;

/// The data of one VM's store.
pub(super) struct Guest {
    pub(super) world: Rc<RefCell<World>>,
    /// Set once the module is instantiated.
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
}

/// A running host function.
pub(super) struct HostCall<'a, 'b> {
    caller: &'a mut Caller<'b, Guest>,
}

/// Why a host function failed.
pub(super) enum Failure {
    Refused(Status),
    /// The module trapped when it was asked to allocate memory, or the host stops it.
    Trapped(Error),
}

impl Failure {
    /// A trap with which the host stops the module.
    pub(super) fn trap(what: &str) -> Self {
        Self::Trapped(Error::new(what.to_owned()))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// Runs a host function and returns its status.
pub(super) fn perform(
    mut caller: Caller<'_, Guest>,
    function: &'static str,
    body: impl FnOnce(&mut HostCall<'_, '_>) -> Result<(), Failure>,
) -> Result<u32, Error> {
    let refusal = caller.data().world.borrow_mut().enter(function);
    let result = match refusal {
        Some(Refusal::Status(status)) => Err(Failure::Refused(status)),
        Some(Refusal::Trap) => Err(Failure::trap("the host stops the module")),
        None => body(&mut HostCall { caller: &mut caller }),
    };
    match result {
        Ok(()) => Ok(0),
        Err(Failure::Refused(status)) => Ok(status as u32),
        Err(Failure::Trapped(error)) => Err(error),
    }
}

impl HostCall<'_, '_> {
    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.caller.data().world.borrow_mut()
    }

    /// Charges the context in effect before another replaces it.
    pub(super) fn charge(&mut self) {
        let left = self.caller.get_fuel().unwrap_or_default();
        self.world().charge(left);
    }

    pub(super) fn bytes(&self, data: u32, size: u32) -> Result<Vec<u8>, Failure> {
        let memory = self.caller.data().memory.ok_or(Status::InternalFailure)?;
        let (start, size) = (data as usize, size as usize);
        let bytes = memory.data(&*self.caller).get(start..start.saturating_add(size));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| self.astray())
    }

    pub(super) fn text(&self, data: u32, size: u32) -> Result<String, Failure> {
        let bytes = self.bytes(data, size)?;
        String::from_utf8(bytes).map_err(|_| self.world().misuse("a name is not UTF-8").into())
    }

    pub(super) fn put(&mut self, data: u32, bytes: &[u8]) -> Result<(), Failure> {
        let memory = self.caller.data().memory.ok_or(Status::InternalFailure)?;
        memory.write(&mut *self.caller, data as usize, bytes).map_err(|_| self.astray())
    }

    /// Returns bytes to the module, in memory that the module allocates.
    pub(super) fn give(&mut self, bytes: &[u8], return_data: u32, return_size: u32) -> Result<(), Failure> {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let mut data = 0;
        if size > 0 {
            let allocate = self.caller.data().allocate.ok_or(Status::InternalFailure)?;
            data = allocate.call(&mut *self.caller, size).map_err(Failure::Trapped)?;
            self.put(data, bytes)?;
        }
        self.put(return_data, &data.to_le_bytes())?;
        self.put(return_size, &size.to_le_bytes())
    }

    fn astray(&self) -> Failure {
        self.world().violation("a pointer leads out of the module's memory");
        Status::InvalidMemoryAccess.into()
    }
}

/// Defines host functions in a linker, all of which return a status: `fn name(host, parameter: type, …) { … }`.
macro_rules! functions {
    ($linker:ident, $module:literal: $(fn $name:ident($host:ident $(, $parameter:ident: $type:ty)*) $body:block)+) => {
        $($linker.func_wrap(
            $module,
            stringify!($name),
            |caller: wasmi::Caller<'_, Guest>, $($parameter: $type),*| {
                crate::deterministic_host::guest::perform(caller, stringify!($name), |$host| $body)
            },
        )?;)+
    };
}

pub(super) use functions;
