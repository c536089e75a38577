//! One request passing through the filter, as the host sees it.

use std::collections::BTreeMap;

use super::context_key::ContextKey;
use super::header_map::HeaderMap;

/// A stream of the host, whichever worker serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub(super) usize);

/// A request, its state and its contexts.
#[derive(Debug)]
pub struct Stream {
    pub(super) context: ContextKey,
    pub(super) root: ContextKey,
    pub(super) headers: HeaderMap,
    /// The path with its query, and the host, that the client sent.
    pub(super) target: String,
    pub(super) authority: String,
    pub(super) properties: BTreeMap<String, Vec<u8>>,
    pub(super) response: Option<HeaderMap>,
    pub(super) state: State,
    /// The parts of the body that the host holds until the headers continue: their sizes, and whether each is the last.
    pub(super) held_body: Vec<(usize, bool)>,
    pub(super) is_over: bool,
}

/// The state of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The headers are held.
    Paused,
    /// The request was forwarded to services with these headers.
    Forwarded { headers: HeaderMap },
    /// The filter sent a reply.
    Replied {
        status: u16,
        /// The header fields of the reply, including `:status`.
        headers: HeaderMap,
        body: String,
    },
    /// The filter sent a reply, but the host lost it and closed the connection.
    Lost,
    /// The client left before the request was forwarded or refused.
    Abandoned,
}

impl Stream {
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The headers as the filter sees them now, or saw them when the request was forwarded or refused.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn context(&self) -> ContextKey {
        self.context
    }

    /// The root context that created the stream: its configuration on its worker.
    pub fn root(&self) -> ContextKey {
        self.root
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// A property that came with the request, or that the filter has set for access logs and other filters.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.get(name).map(Vec::as_slice)
    }

    /// The headers of the response, as the client receives them.
    pub fn response(&self) -> Option<&HeaderMap> {
        self.response.as_ref()
    }
}

impl State {
    /// The status of the filter's reply. `None` if there is no reply.
    pub fn status(&self) -> Option<u16> {
        if let Self::Replied { status, .. } = self { Some(*status) } else { None }
    }
}
