//! Optional capabilities of a host. Without one of these, the engine works around it, or refuses requests.

/// The capabilities of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The host can act on a stream other than the one that it calls about, so that one response can settle several requests.
    pub switches_streams: bool,
    /// The host reports the end of a call even if the call's stream is gone.
    pub outlives_streams: bool,
    /// The host calls [`Engine::on_tick`](super::Engine::on_tick) periodically.
    pub has_timers: bool,
    /// The host can remove or replace header fields of which several have the same name.
    pub edits_repeated_fields: bool,
}

impl Capabilities {
    /// All capabilities.
    pub const ALL: Self = Self {
        switches_streams: true,
        outlives_streams: true,
        has_timers: true,
        edits_repeated_fields: true,
    };
}
