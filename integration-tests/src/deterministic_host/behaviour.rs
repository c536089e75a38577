//! Which proxy the host behaves like.

/// A proxy, in what matters to a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// A paused stream goes on when the filter says so. Callouts outlive the streams that asked, and their answers are lost on
    /// them. A callout that times out is answered by 504, a connection that is refused by 503.
    #[default]
    Envoy,
    /// Kong's ngx_wasm_module. A stream goes on by itself when its last callout has ended, whatever the filter wants, and even if
    /// it trapped. The effective context cannot be switched, but the host says that it is. Shared data needs a zone, tells keys
    /// apart by their CRC-32 alone, and compares numbers always: 0 is for new keys only. A callout that fails is answered by
    /// nothing, and one whose stream ends is cancelled. Timers are the root context's to set, once. There are
    /// no trailers, and no properties of the filter's own but below `wasmx`.
    NgxWasm,
}
