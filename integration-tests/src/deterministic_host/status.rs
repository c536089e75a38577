//! The status of a host function.

/// A status of the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not there.
    NotFound = 1,
    /// The arguments make no sense, or not now.
    BadArgument = 2,
    /// A pointer leads out of the module's memory.
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}
