//! A reply of the gateway's own, which no service sees.

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
    /// The status for a gRPC client, where the host can tell one.
    pub grpc_status: u8,
    /// The name of the reason, if it is a refusal.
    pub reason: Option<&'static str>,
}
