//! What the gateway asks of an authorization server by way of its host, and what becomes of that.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::cache::{Freshness, TokenKey};
use crate::introspection::Inquiry;
use crate::limiter::Precedence;
use crate::rejection::Reason;
use crate::request::Presented;
use crate::time::Timestamp;

/// Where a callout goes, and how the host reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the host calls it: a cluster of Envoy, `host:port` for Kong.
    pub upstream: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and optional port, as the authorization server knows itself.
    pub authority: String,
    /// The path, with a query if there is one.
    pub path: String,
    /// How long the host waits for the answer.
    pub timeout: Duration,
}

/// What a question is about. Requests with questions about the same can wait for one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub(crate) server: ServerId,
    pub(crate) about: About,
}

impl Subject {
    /// Whether it is one of the server's documents, which is not about a client.
    pub(crate) fn is_document(&self) -> bool {
        !matches!(self.about, About::Token(_))
    }

    /// Whether both are about tokens of one server, or both about its documents.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.server == other.server && self.is_document() == other.is_document()
    }
}

/// Which of the configured authorization servers, by its place among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(pub(crate) usize);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Whether a token is active.
    Token(TokenKey),
    /// Where the keys are (RFC 8414).
    Metadata,
    /// The keys (RFC 7517 §5).
    Keys,
}

/// A question to an authorization server. It can be asked more than once, and makes a new callout each time.
#[derive(Clone)]
pub struct Question {
    subject: Subject,
    content: Content,
    answer_limit: usize,
    precedence: Precedence,
    is_refresh: bool,
}

#[derive(Clone)]
enum Content {
    Introspection(Inquiry),
    Document { target: Rc<Target>, accept: &'static str },
}

/// An HTTP request for the host to dispatch. It carries the gateway's credentials and a token: it has no debug print.
pub struct Callout {
    target: Rc<Target>,
    method: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

/// What became of a callout.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// A response, be it from the server or from the proxy in its place.
    Response {
        /// All header fields, `:status` included.
        headers: &'a [(&'a [u8], &'a [u8])],
        /// The body.
        body: &'a [u8],
    },
    /// The response has a body over the limit, so it was not read.
    Oversized,
    /// The host could not dispatch the call, or lost it: unknown upstream, no host, connection reset.
    Lost,
    /// The gateway did not ask.
    Withheld(Withheld),
}

/// Why the gateway does not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// It asks as much as it may already, or as many requests wait as may.
    Overloaded,
    /// The server failed again and again, and is left alone for so long.
    CircuitOpen(Duration),
    /// Another worker refreshes this token.
    Claimed,
}

/// What is new in each callout.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    /// The time.
    pub now: Timestamp,
    /// Where numbers come from that nobody used before.
    pub randomness: &'a dyn Randomness,
}

/// A source of random numbers, of which the `jti` of assertions and minted JWTs are made: they have to be unique, not secret.
pub trait Randomness {
    /// Sixteen random bytes; none if the host gives none.
    fn bytes(&self) -> Option<[u8; 16]>;
}

/// A host without randomness.
pub struct NoRandomness;

impl Randomness for NoRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        None
    }
}

impl Question {
    /// Asks about a token; an answer of more than `answer_limit` bytes is not worth reading.
    pub(crate) fn introspection(subject: Subject, inquiry: Inquiry, answer_limit: usize) -> Self {
        Self::new(subject, Content::Introspection(inquiry), answer_limit)
    }

    /// Asks for a published document.
    pub(crate) fn document(subject: Subject, target: Rc<Target>, accept: &'static str) -> Self {
        Self::new(subject, Content::Document { target, accept }, MAX_DOCUMENT)
    }

    fn new(subject: Subject, content: Content, answer_limit: usize) -> Self {
        Self { subject, content, answer_limit, precedence: Precedence::Unknown, is_refresh: false }
    }

    /// Gives it the precedence of its token.
    #[must_use]
    pub(crate) fn with_precedence(self, precedence: Precedence) -> Self {
        Self { precedence, ..self }
    }

    /// Makes it the refresh of a grant that still serves.
    #[must_use]
    pub(crate) fn refreshing(self) -> Self {
        Self { precedence: Precedence::Known, is_refresh: true, ..self }
    }

    /// The question of a request of this trace.
    #[must_use]
    pub(crate) fn traced(self, traceparent: Presented<'_>) -> Self {
        let content = match self.content {
            Content::Introspection(inquiry) => Content::Introspection(inquiry.traced(traceparent)),
            document @ Content::Document { .. } => document,
        };
        Self { content, ..self }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Whether its token comes before others.
    pub(crate) fn precedence(&self) -> Precedence {
        self.precedence
    }

    /// Whether it refreshes a grant that still serves, so that no request waits for it.
    pub fn is_refresh(&self) -> bool {
        self.is_refresh
    }

    /// Whether it is about a token.
    pub fn is_introspection(&self) -> bool {
        !self.subject.is_document()
    }

    /// The longest answer worth reading, in bytes.
    pub fn answer_limit(&self) -> usize {
        self.answer_limit
    }

    /// How long its answer may take.
    pub fn timeout(&self) -> Duration {
        match &self.content {
            Content::Introspection(inquiry) => inquiry.timeout(),
            Content::Document { target, .. } => target.timeout,
        }
    }

    /// The callout for this occasion.
    ///
    /// # Errors
    /// [`Reason::Internal`] if the gateway cannot authenticate as it should.
    pub fn callout(&self, occasion: Occasion<'_>) -> Result<Callout, Reason> {
        match &self.content {
            Content::Introspection(inquiry) => inquiry.callout(occasion),
            Content::Document { target, accept } => Ok(Callout::get(Rc::clone(target), accept)),
        }
    }
}

impl Callout {
    /// GET of a document.
    fn get(target: Rc<Target>, accept: &str) -> Self {
        let headers = vec![("accept".to_owned(), accept.to_owned())];
        Self { target, method: "GET", headers, body: String::new() }
    }

    /// POST of a form.
    pub(crate) fn post(target: Rc<Target>, form: String, headers: Vec<(String, String)>) -> Self {
        let media_type = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let headers = std::iter::once(media_type).chain(headers).collect();
        Self { target, method: "POST", headers, body: form }
    }

    /// What the host calls the server.
    pub fn upstream(&self) -> &str {
        &self.target.upstream
    }

    /// The header fields, pseudo-header fields first.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let Target { scheme, authority, path, .. } = &*self.target;
        let pseudo =
            [(":method", self.method), (":scheme", scheme), (":authority", authority), (":path", path)];
        pseudo.into_iter().chain(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The body, empty for a GET.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// How long the host waits for the answer.
    pub fn timeout(&self) -> Duration {
        self.target.timeout
    }
}

impl Outcome<'_> {
    /// The body of a response; why there is none that could be read, otherwise.
    pub(crate) fn document(&self) -> Result<&[u8], Reason> {
        let Self::Response { headers, body } = self else { return Err(self.failure()) };
        match status(headers) {
            Some(200) => Ok(body),
            Some(504) => Err(Reason::TimedOut),
            _ => Err(Reason::Unavailable),
        }
    }

    /// Whether the server did not serve; none, if it was not asked.
    pub(crate) fn has_failed(&self) -> Option<bool> {
        match self {
            Self::Response { headers, .. } => Some(status(headers).is_none_or(|status| status >= 500)),
            Self::Oversized => Some(false),
            Self::Lost => Some(true),
            Self::Withheld(_) => None,
        }
    }

    /// Whether, and for how long, HTTP allows it to be used again.
    pub(crate) fn freshness(&self) -> Freshness {
        match self {
            Self::Response { headers, .. } => Freshness::of(headers),
            Self::Oversized | Self::Lost | Self::Withheld(_) => Freshness::default(),
        }
    }

    /// When to try again, as the server says (RFC 9110 §10.2.3, in seconds), or as the gateway has decided.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Response { headers, .. } => {
                let (_, value) =
                    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"retry-after"))?;
                let seconds = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
                Some(Duration::from_secs(seconds))
            }
            Self::Withheld(Withheld::CircuitOpen(pause)) => Some(*pause),
            Self::Withheld(Withheld::Overloaded | Withheld::Claimed) | Self::Oversized | Self::Lost => None,
        }
    }

    /// Whose failure it is that there is no response.
    pub(crate) fn failure(&self) -> Reason {
        match self {
            Self::Response { .. } | Self::Oversized => Reason::UnexpectedResponse,
            Self::Lost => Reason::Unavailable,
            Self::Withheld(Withheld::Overloaded | Withheld::Claimed) => Reason::Overloaded,
            Self::Withheld(Withheld::CircuitOpen(_)) => Reason::CircuitOpen,
        }
    }
}

/// `:status` of a response.
pub(crate) fn status(headers: &[(&[u8], &[u8])]) -> Option<u16> {
    let (_, value) = headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, _query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        write!(formatter, "{}://{}{path} by way of {}", self.scheme, self.authority, self.upstream)
    }
}

/// Metadata and keys of the largest servers have a tenth of it.
const MAX_DOCUMENT: usize = 256 * 1024;
