//! A query to an authorization server: whether a token is active, or a document that the server publishes. A query is not a
//! request; it creates one for each attempt.

use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;
use crate::http::callout::{Callout, Target};
use crate::http::request_head::Presented;
use crate::introspection::IntrospectionRequest;
use crate::refusal::Reason;
use crate::secret::Secret;
use crate::server::rate_limiter::Precedence;
use crate::server_id::ServerId;
use crate::token_key::TokenKey;

/// A query to an authorization server. It can be sent more than once, with a new callout each time.
#[derive(Clone)]
pub struct Query {
    key: QueryKey,
    content: Content,
    max_response_bytes: usize,
    precedence: Precedence,
    is_refresh: bool,
}

#[derive(Clone)]
enum Content {
    Introspection(IntrospectionRequest),
    Document(Document),
}

/// A document that a server publishes, and how it is requested.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) target: Arc<Target>,
    /// The media types of the document.
    pub(crate) accept: &'static str,
    /// More header fields, names in lower case.
    pub(crate) headers: Arc<[(String, Secret)]>,
}

/// The server and the subject of a query: queries with the same key share one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryKey {
    pub(crate) server: ServerId,
    pub(crate) about: About,
}

/// The subject of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Whether a token is active.
    Token(TokenKey),
    /// The server's metadata, which say where its keys are (RFC 8414).
    Metadata,
    /// The server's keys (RFC 7517 §5).
    Keys,
}

impl Query {
    /// Creates a query about a token. A response of more than `max_response_bytes` bytes is not read.
    pub(crate) fn introspection(
        key: QueryKey,
        request: IntrospectionRequest,
        max_response_bytes: usize,
    ) -> Self {
        Self::new(key, Content::Introspection(request), max_response_bytes)
    }

    /// Creates a query for a published document.
    pub(crate) fn document(key: QueryKey, document: Document) -> Self {
        Self::new(key, Content::Document(document), MAX_DOCUMENT)
    }

    fn new(key: QueryKey, content: Content, max_response_bytes: usize) -> Self {
        Self { key, content, max_response_bytes, precedence: Precedence::Unknown, is_refresh: false }
    }

    /// Sets the precedence of its token.
    #[must_use]
    pub(crate) fn with_precedence(self, precedence: Precedence) -> Self {
        Self { precedence, ..self }
    }

    /// Makes the query a refresh of an entry that still serves.
    #[must_use]
    pub(crate) fn refreshing(self) -> Self {
        Self { precedence: Precedence::Known, is_refresh: true, ..self }
    }

    /// Adds the trace context of the request that needs the query.
    #[must_use]
    pub(crate) fn traced(self, traceparent: Presented<'_>) -> Self {
        let content = match self.content {
            Content::Introspection(request) => Content::Introspection(request.traced(traceparent)),
            document @ Content::Document(_) => document,
        };
        Self { content, ..self }
    }

    /// The server, and the subject of the query.
    pub fn key(&self) -> QueryKey {
        self.key
    }

    /// The precedence of its token.
    pub(crate) fn precedence(&self) -> Precedence {
        self.precedence
    }

    /// Whether the query refreshes an entry that still serves, so that no request waits for it.
    pub fn is_refresh(&self) -> bool {
        self.is_refresh
    }

    /// Whether the query is about a token.
    pub fn is_introspection(&self) -> bool {
        !self.key.is_document()
    }

    /// The longest response that is read, in bytes.
    pub fn max_response_bytes(&self) -> usize {
        self.max_response_bytes
    }

    /// How long the response may take.
    pub fn timeout(&self) -> Duration {
        self.target().timeout
    }

    /// The media types that the response may have.
    pub(crate) fn accept(&self) -> &'static str {
        match &self.content {
            Content::Introspection(request) => request.accept(),
            Content::Document(document) => document.accept,
        }
    }

    /// The host's name for the server.
    pub(crate) fn upstream(&self) -> &str {
        &self.target().upstream
    }

    fn target(&self) -> &Target {
        match &self.content {
            Content::Introspection(request) => request.target(),
            Content::Document(document) => &document.target,
        }
    }

    /// Creates a new callout.
    ///
    /// # Errors
    /// [`Reason::Internal`] if the gateway cannot authenticate as configured.
    pub fn callout(&self, context: Host<'_>) -> Result<Callout, Reason> {
        match &self.content {
            Content::Introspection(request) => request.callout(context),
            Content::Document(document) => Ok(document.callout()),
        }
    }
}

impl Document {
    fn callout(&self) -> Callout {
        let accept = ("accept".to_owned(), self.accept.to_owned());
        let more = self.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        Callout::get(Arc::clone(&self.target), std::iter::once(accept).chain(more).collect())
    }
}

impl QueryKey {
    /// Whether the query is for one of the server's documents, and so not about a client.
    pub(crate) fn is_document(&self) -> bool {
        !matches!(self.about, About::Token(_))
    }

    /// Whether both are about tokens of one server, or both about its documents.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.server == other.server && self.is_document() == other.is_document()
    }
}

/// The longest document that is read, in bytes. Metadata and keys of the largest servers have a tenth of it.
const MAX_DOCUMENT: usize = 256 * 1024;
