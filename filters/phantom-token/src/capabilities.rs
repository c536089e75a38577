//! The host behaviour that the filter can rely on. This is the one place for it: the package says which host it is for, and at
//! start the host has to behave like that one.
//!
//! Behaviour that is not known counts as absent: the filter then does without, or refuses.

use std::sync::atomic::{AtomicBool, Ordering};

use phantom_token_core::HostKind;
use proxy_wasm::types::MapType;

use crate::host::{self, Refused};

/// What a host does.
#[derive(Debug)]
pub(crate) struct Capabilities {
    /// What configurations are held against.
    pub(crate) kind: HostKind,
    /// The effective context can be switched, so that requests can share an answer.
    pub(crate) switches: bool,
    /// A field that is removed is not sent, and one that is replaced takes the place of all of its name. Otherwise fields are blanked,
    /// and a request with two that have to be changed is refused.
    pub(crate) removes_fields: bool,
    /// `:path` and `:authority` are what services receive. Otherwise the path is in a property, and the authority in `Host`.
    pub(crate) shows_target: bool,
    /// How many fields are surely shown, by the number that comes with a callback.
    pub(crate) max_fields: usize,
    /// A trap leaves the VM as it is. Otherwise what it has not written is lost.
    pub(crate) keeps_vm: bool,
    /// Gauges can be added to, so that those of all workers add up. Otherwise they are set.
    pub(crate) adds_to_gauges: bool,
    /// A reply reaches its client whatever its callout brought. Otherwise it has no body where that had none.
    pub(crate) keeps_bodies: bool,
    /// A reply's reason and its status for gRPC clients stay internal to the host.
    pub(crate) takes_details: bool,
    /// The host retries callouts that ask for it, and takes the fields off that do.
    pub(crate) retries: bool,
}

/// The capabilities of the host that this package is for.
pub(crate) fn capabilities() -> &'static Capabilities {
    if IS_FOR_KONG.load(Ordering::Relaxed) { &KONG } else { &ENVOY }
}

/// The package is for Kong.
pub(crate) fn set_for_kong() {
    IS_FOR_KONG.store(true, Ordering::Relaxed);
}

/// The kind of the host, by what it does.
///
/// Switching to a context that is not there fails on Envoy. Hosts that cannot switch claim success, and lack other features
/// too.
pub(crate) fn recognise(root: u32) -> HostKind {
    if host::set_effective_context(NO_CONTEXT).is_err() {
        return HostKind::Envoy;
    }
    // Should it have done so after all, it has to come back.
    let _ = host::set_effective_context(root);
    HostKind::Kong
}

/// Whether Envoy's filter for MCP tells what servers read in a body: since 1.40. A host that does not say its version is older.
pub(crate) fn reads_calls() -> bool {
    let number = |name| {
        let number = host::property(&["xds", "node", "user_agent_build_version", "version", name]).ok()?;
        Some(u64::from_le_bytes(number.try_into().ok()?))
    };
    number("major_number").zip(number("minor_number")).is_some_and(|version| version >= (1, 40))
}

/// Lets the host prove that it switches to the root context and back: some say that they do, and do nothing, so that the filter would
/// forward the wrong request. The root context has no request, so the path of this `stream` must not be readable from there. All is done
/// twice, since a host may refuse a read for another reason. None, if this proves nothing.
///
/// # Errors
/// The host did not switch back.
pub(crate) fn switches(root: u32, stream: u32) -> Result<Option<bool>, Refused> {
    const PATH: &str = ":path";
    let is_path_readable = || host::field(MapType::HttpRequestHeaders, PATH).is_ok();
    for _ in 0..2 {
        if host::set_effective_context(root).is_err() {
            return Ok(None);
        }
        let is_readable_there = is_path_readable();
        host::set_effective_context(stream)?;
        if is_readable_there {
            return Ok(Some(false));
        }
        if !is_path_readable() {
            return Ok(None);
        }
    }
    Ok(Some(true))
}

const ENVOY: Capabilities = Capabilities {
    kind: HostKind::Envoy,
    switches: true,
    removes_fields: true,
    shows_target: true,
    max_fields: usize::MAX,
    keeps_vm: true,
    adds_to_gauges: true,
    keeps_bodies: true,
    takes_details: true,
    retries: true,
};

const KONG: Capabilities = Capabilities {
    kind: HostKind::Kong,
    switches: false,
    removes_fields: false,
    shows_target: false,
    max_fields: 96,
    keeps_vm: false,
    adds_to_gauges: false,
    keeps_bodies: false,
    takes_details: false,
    retries: false,
};

/// A context that no host has made.
const NO_CONTEXT: u32 = u32::MAX;

static IS_FOR_KONG: AtomicBool = AtomicBool::new(false);
