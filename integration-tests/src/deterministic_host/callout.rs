//! The callouts that the filter sends through the host.

use std::time::Duration;

use super::context_key::ContextKey;
use super::header_map::HeaderMap;

/// A callout of the host, whichever worker sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalloutId(pub(super) usize);

#[derive(Clone, Debug)]
pub struct Callout {
    pub(super) root: ContextKey,
    /// The context that was in effect when the callout was sent.
    pub(super) owner: ContextKey,
    /// The number by which the module knows the callout.
    pub(super) token: u32,
    pub(super) is_open: bool,
    /// The worker that sent the callout.
    pub worker: usize,
    pub upstream: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// How long the host waits for the response.
    pub timeout: Duration,
    /// When the callout was sent, since the epoch.
    pub sent_at: Duration,
}

/// How a callout ends.
#[derive(Clone, Debug)]
pub enum Answer {
    Response {
        /// The header fields, including `:status`.
        headers: HeaderMap,
        body: Vec<u8>,
    },
    TimedOut,
    Refused,
    /// The connection broke before the response was complete.
    Reset,
}

impl Callout {
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The context that sent the callout: a stream's or a root context.
    pub fn owner(&self) -> ContextKey {
        self.owner
    }

    pub fn root(&self) -> ContextKey {
        self.root
    }

    /// When the host gives up, since the epoch.
    pub fn due(&self) -> Duration {
        self.sent_at + self.timeout
    }

    /// Returns a decoded parameter of the form in the body, empty if it is absent.
    pub fn parameter(&self, name: &str) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let pair = body.split('&').filter_map(|pair| pair.split_once('=')).find(|(own, _)| *own == name);
        pair.map(|(_, value)| decoded(value)).unwrap_or_default()
    }
}

impl Answer {
    /// Creates a response with this status and media type.
    pub fn response(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let status = status.to_string();
        let mut headers = HeaderMap::new(&[(":status", &status)]);
        if !media_type.is_empty() {
            headers.push("content-type", media_type.as_bytes());
        }
        Self::Response { headers, body: body.into() }
    }

    pub fn jwt(jwt: &str) -> Self {
        Self::response(200, "application/jwt", jwt)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.push(name, value.as_bytes());
        }
        self
    }

    /// Returns the header fields and body that the filter sees. There are no fields if there is no response.
    pub(super) fn delivered(self, tells_failures: bool) -> (HeaderMap, Vec<u8>) {
        let local = |status: &str, body: &str| {
            let length = body.len().to_string();
            let fields = [(":status", status), ("content-length", &length), ("content-type", "text/plain")];
            (HeaderMap::new(&fields), body.as_bytes().to_vec())
        };
        match self {
            Self::Response { headers, body } => (headers, body),
            Self::TimedOut if tells_failures => local("504", "upstream request timeout"),
            Self::Refused if tells_failures => local("503", "upstream connect error"),
            Self::TimedOut | Self::Refused | Self::Reset => <(HeaderMap, Vec<u8>)>::default(),
        }
    }
}

/// Decodes a form-encoded value. The filter writes only valid ones.
pub(super) fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (rest, _) = match (byte, escaped) {
            (b'%', Some(byte)) => (&tail[2..], bytes.push(byte)),
            (b'+', _) => (tail, bytes.push(b' ')),
            _ => (tail, bytes.push(byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
