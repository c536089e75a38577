//! The proxy whose behavior the host simulates.

/// A proxy, as far as a filter can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// A paused stream continues when the filter says so. A callout outlives the stream that sent it, and its response is then lost. A
    /// callout that times out gets status 504, one whose connection is refused gets 503.
    #[default]
    Envoy,
    /// Kong's ngx_wasm_module, as observed at the commit that Kong 3.9.1 pins and at its newest: it lacks nearly all of
    /// [`Guarantee`](super::Guarantee). A callout is canceled when its stream ends.
    NgxWasm,
}

/// A build of the filter, with the exports that its host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// For Envoy and products built on it.
    Envoy,
    Kong,
    /// The build for Envoy, instrumented to count the instructions of each function.
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
