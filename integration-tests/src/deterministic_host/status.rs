//! The status of a host function.

/// A status of the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The thing does not exist.
    NotFound = 1,
    /// The arguments are invalid, or not allowed at this time.
    BadArgument = 2,
    /// A pointer leads outside the module's memory.
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}
