//! One request on its way through the filter, as the host sees it.

use std::collections::BTreeMap;

use super::context_key::ContextKey;
use super::header_map::HeaderMap;

/// A stream of the host, whichever worker serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub(super) usize);

/// A request, what has become of it, and its contexts.
#[derive(Debug)]
pub struct Stream {
    pub(super) context: ContextKey,
    pub(super) root: ContextKey,
    pub(super) headers: HeaderMap,
    /// The path and query that the client sent, and its host.
    pub(super) target: String,
    pub(super) authority: String,
    pub(super) properties: BTreeMap<String, Vec<u8>>,
    pub(super) response: Option<HeaderMap>,
    pub(super) state: State,
    /// Pieces of the body that the host keeps until the head goes on: their sizes, and which is the last.
    pub(super) held_body: Vec<(usize, bool)>,
    pub(super) is_over: bool,
}

/// What has become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its head is held.
    Paused,
    /// It has gone on to the services, like this.
    Forwarded { headers: HeaderMap },
    /// The filter answered it.
    Replied {
        status: u16,
        /// The fields of the answer, `:status` among them.
        headers: HeaderMap,
        body: String,
    },
    /// The filter answered it, but the host lost the answer, and closed the connection.
    Lost,
    /// Its client left before anything became of it.
    Abandoned,
}

impl Stream {
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its headers as the filter sees them now, or did when it went on or was answered.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn context(&self) -> ContextKey {
        self.context
    }

    /// The root context that it was made by: its configuration on its worker.
    pub fn root(&self) -> ContextKey {
        self.root
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What the filter has set for access logs and other filters, or the request came with.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.get(name).map(Vec::as_slice)
    }

    /// The head of its response, as the client receives it.
    pub fn response(&self) -> Option<&HeaderMap> {
        self.response.as_ref()
    }
}

impl State {
    /// The status of the filter's answer, if it answered.
    pub fn status(&self) -> Option<u16> {
        if let Self::Replied { status, .. } = self { Some(*status) } else { None }
    }
}
