//! The features of a proxy-wasm host that filters rely on. Each can be removed from a host, alone or with others.

use super::behaviour::Behaviour;

/// Something that a host does. Where it does not, it does what the comment says instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// `proxy_set_effective_context` switches to another stream, and fails for one that is not there. Otherwise it does nothing, and
    /// says that it did.
    Switches,
    /// A paused request goes on when the filter says so. Otherwise it goes on by itself when its last callout has ended.
    Holds,
    /// A trap in one request leaves the VM as it is. Otherwise a new VM takes its place: contexts, caches and what waits are gone, and
    /// answers to what the old one asked arrive in the new one.
    KeepsVm,
    /// A field that is removed is not sent. Otherwise it is only hidden from the filter.
    Removes,
    /// A field that is replaced takes the place of all of its name. Otherwise the others are only hidden.
    ReplacesAll,
    /// The list of fields is complete. Otherwise it ends at a hundred, and soon after is written past its end; and the number that comes
    /// with a callback does not count pseudo-header fields.
    ListsAll,
    /// `:path` is what services receive. Otherwise it is decoded and normalised.
    RawPath,
    /// Services receive the `:path` that the filter has set. Otherwise they receive what the client sent.
    SetsPath,
    /// `:authority` is the client's. Otherwise it is the server's own name, and the client's is in `Host`.
    ClientAuthority,
    /// A gauge can be added to. Otherwise that is a trap.
    AddsToGauges,
    /// A reply reaches its client. Otherwise one with a body is lost in the callback of a callout that had none.
    DeliversReplies,
    /// What a reply says of its reason is for the host alone. Otherwise it is the reason phrase of the status line.
    HidesReasons,
    /// Only callbacks are called that the module exports. Otherwise those of the end of a response are called always, and one that is
    /// not there ends the process.
    CallsExports,
    /// There is shared data. Otherwise each look at it is a trap, unless the host is set up with some.
    HasSharedData,
    /// Shared data that is full makes room. Otherwise a write is a trap.
    Evicts,
    /// Keys of shared data are compared in full. Otherwise only their CRC-32 is; and 0 is for new keys only.
    ComparesKeys,
    /// A callout that fails has a status, 504 or 503. Otherwise nothing.
    TellsFailures,
    /// An upstream that is none is refused by a status. Otherwise it is a trap.
    RefusesUpstreams,
    /// Properties tell of the connection and of the route. Otherwise there are none of these.
    TellsConnections,
    /// A property that the filter has set is kept. Otherwise none but below `wasmx`.
    KeepsProperties,
    /// The root context can set a timer, and again. Otherwise only once, and streams cannot.
    SetsTimers,
    /// Trailers of requests reach the filter. Otherwise they do not.
    HasTrailers,
    /// There are timers. Otherwise they are refused.
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

    /// Whether a proxy gives it, as it is usually set up.
    pub(super) fn is_given_by(self, behaviour: Behaviour) -> bool {
        behaviour == Behaviour::Envoy || matches!(self, Self::Evicts | Self::HasTimers)
    }
}
