//! What a host can do beyond what every host must. The engine does without what it cannot, or refuses.

/// The capabilities of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// It can act on a stream other than the one that it calls about, so that one answer can settle several requests.
    pub switches_streams: bool,
    /// It reports the end of a call whose stream is gone.
    pub outlives_streams: bool,
    /// It calls [`Engine::on_tick`](super::Engine::on_tick) now and then.
    pub has_timers: bool,
    /// It can remove or replace fields of which there are several with one name.
    pub edits_repeated_fields: bool,
}

impl Capabilities {
    /// Those of a host that can do all.
    pub const ALL: Self = Self {
        switches_streams: true,
        outlives_streams: true,
        has_timers: true,
        edits_repeated_fields: true,
    };
}
