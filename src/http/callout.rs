//! A request that the gateway sends through its host, and its result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::http::freshness::Freshness;
use crate::http::{date, media_type};
use crate::time::Timestamp;

/// Where a callout goes, and how the host reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host's name for the server: a cluster of Envoy, `host:port` for Kong.
    pub upstream: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and optional port, as the authorization server knows itself.
    pub authority: String,
    /// The path, with a query if there is one.
    pub path: String,
    /// How long the host waits for the response.
    pub timeout: Duration,
}

/// An HTTP request for the host to send. It carries the gateway's credentials and a token, so it has no `Debug`.
#[derive(Clone)]
pub struct Callout {
    target: Arc<Target>,
    method: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

/// How a callout ended.
#[derive(Clone, Copy, Debug)]
pub enum CallResult<'a> {
    /// A response, from the server or from the proxy in its place.
    Response {
        /// All header fields, `:status` included.
        headers: &'a [(&'a [u8], &'a [u8])],
        /// The body.
        body: &'a [u8],
    },
    /// The response is longer than [`Call::max_response_bytes`](crate::Call::max_response_bytes), or than the host shows.
    Oversized,
    /// No response: unknown upstream, no host, connection reset, time-out.
    Lost,
}

/// Why a query is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// A limit on queries or on pending requests is reached.
    LimitReached,
    /// The circuit breaker stays open for this long.
    CircuitOpen(Duration),
    /// Another worker refreshes this token.
    Claimed,
}

impl Callout {
    /// Creates a GET request for a document.
    pub(crate) fn get(target: Arc<Target>, headers: Vec<(String, String)>) -> Self {
        Self::new(target, "GET", headers, String::new())
    }

    /// Creates a POST request with a form.
    pub(crate) fn post(target: Arc<Target>, form: String, mut headers: Vec<(String, String)>) -> Self {
        headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        Self::new(target, "POST", headers, form)
    }

    /// Adds `User-Agent` unless `headers` has one: some firewalls refuse requests without it.
    fn new(
        target: Arc<Target>,
        method: &'static str,
        mut headers: Vec<(String, String)>,
        body: String,
    ) -> Self {
        if headers.iter().all(|(name, _)| name != "user-agent") {
            headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        }
        Self { target, method, headers, body }
    }

    /// The host's name for the server.
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

    /// How long the host waits for the response.
    pub fn timeout(&self) -> Duration {
        self.target.timeout
    }
}

impl CallResult<'_> {
    /// Whether the server failed: no response, no status, or a status of 500 and above.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Response { headers, .. } => status(headers).is_none_or(|status| status >= 500),
            Self::Oversized => false,
            Self::Lost => true,
        }
    }

    /// Whether, and for how long, HTTP allows the response to be reused. It arrived now.
    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        match self {
            Self::Response { headers, .. } => Freshness::of(headers, now),
            Self::Oversized | Self::Lost => Freshness::default(),
        }
    }

    /// The server's `Retry-After` (RFC 9110 §10.2.3): a number of seconds, or a date by the server's own clock.
    pub(crate) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let Self::Response { headers, .. } = self else { return None };
        let field = |name: &[u8]| {
            headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
        };
        let value = field(b"retry-after")?;
        let seconds = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
        seconds.map(Duration::from_secs).or_else(|| {
            let sent_at = field(b"date").and_then(date::parse).unwrap_or(now);
            date::parse(value).map(|date| date.since(sent_at))
        })
    }
}

/// The default `User-Agent`.
const USER_AGENT: &str = concat!("phantom-token/", env!("CARGO_PKG_VERSION"));

/// `:status` of a response.
pub(crate) fn status(headers: &[(&[u8], &[u8])]) -> Option<u16> {
    let (_, value) = headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The result for a log: the status and the media type, and nothing else from the server.
impl fmt::Display for CallResult<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { headers, .. } => {
                let media_type = media_type::of(headers);
                match status(headers) {
                    Some(status) => write!(formatter, "status {status}")?,
                    None => formatter.write_str("no status")?,
                }
                write!(formatter, " and {}", media_type::shown(media_type.as_deref()))
            }
            Self::Oversized => formatter.write_str("more than is read"),
            Self::Lost => formatter.write_str("nothing"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, _query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        write!(formatter, "{}://{}{path} by way of {}", self.scheme, self.authority, self.upstream)
    }
}
