//! The proxy whose behaviour the host simulates.

/// A proxy, in what matters to a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// A paused stream goes on when the filter says so. Callouts outlive the streams that asked, and their answers are lost on
    /// them. A callout that times out is answered by 504, a connection that is refused by 503.
    #[default]
    Envoy,
    /// Kong's ngx_wasm_module, as it was seen at the commit that Kong 3.9.1 pins and at its newest: nearly nothing of
    /// [`Guarantee`](super::Guarantee). A callout whose stream ends is cancelled.
    NgxWasm,
}

/// What is deployed: the same filter, with the exports that a host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// For Envoy, and what is built on it.
    Envoy,
    Kong,
    /// That for Envoy, which counts the instructions of each function.
    Counting,
}

impl Behaviour {
    pub fn package(self) -> Package {
        match self {
            Self::Envoy => Package::Envoy,
            Self::NgxWasm => Package::Kong,
        }
    }
}
