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
    /// A concurrent write came first.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The host has no such function.
    Unimplemented = 12,
}
