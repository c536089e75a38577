//! The host behavior that the filter can rely on. This is the one place for it: the package says which host it is for, and at start the
//! host has to behave like that one.
//!
//! Unknown behavior counts as absent: the filter then does without it, or refuses.

use std::sync::atomic::{AtomicBool, Ordering};

use phantom_token_core::HostKind;
use proxy_wasm::types::MapType;

use crate::host::{self, Refused};

/// What a host can do.
#[derive(Debug)]
pub(crate) struct Capabilities {
    /// The kind of the host. In a host of another kind, the package refuses all requests.
    pub(crate) kind: HostKind,
    /// Whether the effective context can be switched, so that requests can share a response.
    pub(crate) switches: bool,
    /// Whether removed fields are not sent, and setting a field replaces all fields of its name. Otherwise, removed fields are blanked, and
    /// a request with two fields of a name that has to be changed is refused.
    pub(crate) removes_fields: bool,
    /// Whether `:path` and `:authority` are what services receive. Otherwise, the path is in a property, and the authority in `Host`.
    pub(crate) shows_target: bool,
    /// The largest field count, as announced with a callback, up to which the host surely shows all fields.
    pub(crate) max_fields: usize,
    /// Whether the VM survives a trap. Otherwise, a trap loses whatever the VM has not passed to the host.
    pub(crate) keeps_vm: bool,
    /// Whether gauges can be added to, so that the parts of all workers add up. Otherwise, they are set.
    pub(crate) adds_to_gauges: bool,
    /// Whether a reply reaches its client whatever the callout returned. Otherwise, a reply after a response without a body has no body
    /// either.
    pub(crate) keeps_bodies: bool,
    /// Whether the reason of a reply and its status for gRPC clients stay internal to the host.
    pub(crate) takes_details: bool,
    /// Whether the host retries callouts that ask for retries, and removes the fields that ask.
    pub(crate) retries: bool,
}

/// The capabilities of the host that this package is for.
pub(crate) fn capabilities() -> &'static Capabilities {
    if IS_FOR_KONG.load(Ordering::Relaxed) { &KONG } else { &ENVOY }
}

/// Makes this the package for Kong.
pub(crate) fn set_for_kong() {
    IS_FOR_KONG.store(true, Ordering::Relaxed);
}

/// Returns the kind of the host, by its behavior.
///
/// Switching to a context that does not exist fails on Envoy. Hosts that cannot switch claim success, and lack other features too.
pub(crate) fn recognise(root: u32) -> HostKind {
    if host::set_effective_context(NO_CONTEXT).is_err() {
        return HostKind::Envoy;
    }
    // In case the host did switch, this switches back.
    let _ = host::set_effective_context(root);
    HostKind::Kong
}

/// Whether Envoy's MCP filter says what servers read in a body, as it does since 1.40. A host that does not report its version counts as
/// older.
pub(crate) fn reads_calls() -> bool {
    let number = |name| {
        let number = host::property(&["xds", "node", "user_agent_build_version", "version", name]).ok()?;
        Some(u64::from_le_bytes(number.try_into().ok()?))
    };
    number("major_number").zip(number("minor_number")).is_some_and(|version| version >= (1, 40))
}

/// Has the host prove that it switches to the root context and back: some hosts claim success and do nothing, so the filter would forward
/// the wrong request. The root context has no request, so the path of `stream` must not be readable from there. The test runs twice, since
/// a host may refuse a read for another reason. Returns `None` if the test proves nothing.
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

/// A context that no host has created.
const NO_CONTEXT: u32 = u32::MAX;

static IS_FOR_KONG: AtomicBool = AtomicBool::new(false);
