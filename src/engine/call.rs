//! A call to an authorization server, passed between the engine and its host.

use crate::http::callout::Callout;
use crate::server::query::QueryKey;

/// A request in the gateway, by a number that its host chooses. No two concurrent requests have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A call, by a number that is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A call for the host to send.
pub struct Call {
    /// Identifies the call when its end is reported.
    pub id: CallId,
    /// The stream in whose name the call is sent. `None` if calls [outlive](super::Capabilities::outlives_streams) streams, and for
    /// background calls.
    pub stream: Option<StreamId>,
    /// The subject of the call. One response can end all concurrent calls of a configuration with the same key, on all workers.
    pub key: QueryKey,
    /// The request to send.
    pub request: Callout,
    /// The longest response body worth reading, in bytes.
    pub max_response_bytes: usize,
}
