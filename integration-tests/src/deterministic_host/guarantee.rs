//! The features of a proxy-wasm host that filters rely on. Each can be removed from a host, alone or with others.

use super::behaviour::Behaviour;

/// Something that a host does. The second sentence of each comment says what a host does that lacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// `proxy_set_effective_context` switches to another stream, and fails if the stream does not exist. Otherwise it does nothing and
    /// reports success.
    Switches,
    /// A paused request continues when the filter says so. Otherwise it continues by itself when its last callout has ended.
    Holds,
    /// A trap in one request leaves the VM intact. Otherwise a new VM replaces it: contexts, caches and waiting requests are lost, and
    /// responses to the old VM's callouts arrive in the new one.
    KeepsVm,
    /// A removed field is not sent. Otherwise it is only hidden from the filter.
    Removes,
    /// A replaced field replaces all fields of its name. Otherwise the other fields are only hidden.
    ReplacesAll,
    /// The list of fields is complete. Otherwise it ends after a hundred fields, and a longer one is soon written past its end; and the
    /// number of fields passed to a callback does not count pseudo-header fields.
    ListsAll,
    /// `:path` is what services receive. Otherwise it is decoded and normalized.
    RawPath,
    /// Services receive the `:path` that the filter has set. Otherwise they receive the client's.
    SetsPath,
    /// `:authority` is the client's. Otherwise it is the server's own name, and the client's is in `Host`.
    ClientAuthority,
    /// A gauge can be incremented. Otherwise that traps.
    AddsToGauges,
    /// A reply reaches its client. Otherwise a reply with a body is lost if it is sent in the callback of a callout whose response had no
    /// body.
    DeliversReplies,
    /// The details of a reply are only for the host. Otherwise they become the reason phrase of the status line.
    HidesReasons,
    /// The host calls only callbacks that the module exports. Otherwise it always calls those for the end of a response, and a missing one
    /// ends the process.
    CallsExports,
    /// Shared data exists. Otherwise each access to it traps, unless the host is set up with a zone.
    HasSharedData,
    /// Shared data evicts entries when it is full. Otherwise a write traps.
    Evicts,
    /// Keys of shared data are compared in full. Otherwise only their CRC-32 is, and a CAS of 0 writes only new keys.
    ComparesKeys,
    /// A failed callout has a status, 504 or 503. Otherwise it has none.
    TellsFailures,
    /// An invalid upstream is refused with a status. Otherwise it traps.
    RefusesUpstreams,
    /// Properties describe the connection and the route. Otherwise these properties do not exist.
    TellsConnections,
    /// A property that the filter has set is kept. Otherwise only properties below `wasmx` are.
    KeepsProperties,
    /// A timer can be set in any context and set again. Otherwise only a root context can set it, and only once.
    SetsTimers,
    /// Trailers of requests reach the filter. Otherwise they do not.
    HasTrailers,
    /// Timers exist. Otherwise setting one is refused.
    HasTimers,
}

impl Guarantee {
    pub const ALL: &[Self] = &[
        Self::Switches,
        Self::Holds,
        Self::KeepsVm,
        Self::Removes,
        Self::ReplacesAll,
        Self::ListsAll,
        Self::RawPath,
        Self::SetsPath,
        Self::ClientAuthority,
        Self::AddsToGauges,
        Self::DeliversReplies,
        Self::HidesReasons,
        Self::CallsExports,
        Self::HasSharedData,
        Self::Evicts,
        Self::ComparesKeys,
        Self::TellsFailures,
        Self::RefusesUpstreams,
        Self::TellsConnections,
        Self::KeepsProperties,
        Self::SetsTimers,
        Self::HasTrailers,
        Self::HasTimers,
    ];

    /// Whether a proxy provides this feature, as the proxy is usually set up.
    pub(super) fn is_given_by(self, behaviour: Behaviour) -> bool {
        behaviour == Behaviour::Envoy || matches!(self, Self::Evicts | Self::HasTimers)
    }
}
