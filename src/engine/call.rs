//! A call to an authorization server, from the engine to its host and back.

use crate::http::callout::Callout;
use crate::server::query::QueryKey;

/// A request on its way through the gateway, by a number of its host's choice. No two at one time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A call, by a number that is not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A call for the host to send.
pub struct Call {
    /// Names it when its end is reported.
    pub id: CallId,
    /// The stream in whose name it is sent. None where calls [outlive](super::Capabilities::outlives_streams) streams, and for calls in the
    /// background.
    pub stream: Option<StreamId>,
    /// What it is about. One answer can end all calls of a configuration, on whichever worker, that are about the same at one time.
    pub key: QueryKey,
    /// What is sent.
    pub request: Callout,
    /// The longest response body worth reading, in bytes.
    pub max_response_bytes: usize,
}
