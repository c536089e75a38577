//! Documents that the gateway publishes: public JSON at a fixed path, served without a token. Services may know the gateway by another name
//! than clients do, so a document is served on every host, except on another host that a rule opens by name without a token, where the
//! service takes precedence.

use crate::http::authority::without_port;
use crate::http::cors;
use crate::http::reply::Reply;
use crate::http::request_head::RequestHead;

/// A document, and the URL where it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    host: String,
    path: String,
    text: String,
}

impl Document {
    /// Creates a document from JSON text, at this path of an origin.
    pub fn new(origin: &str, path: String, text: String) -> Self {
        let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        Self { host: without_port(authority).to_ascii_lowercase(), path, text }
    }

    /// Whether this is a GET or HEAD request for the path of the document, on whatever host.
    pub(crate) fn is_at(&self, head: &RequestHead<'_>) -> bool {
        let path = head.path.split(|&byte| byte == b'?').next().unwrap_or_default();
        path == self.path.as_bytes() && matches!(head.method, b"GET" | b"HEAD")
    }

    /// Whether both documents are at the same path of the same host, regardless of ports.
    pub(crate) fn is_at_place_of(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }

    /// Whether this is the host of the document's own URL, regardless of the port.
    pub(crate) fn is_of_host(&self, authority: &[u8]) -> bool {
        std::str::from_utf8(authority)
            .is_ok_and(|authority| without_port(authority).eq_ignore_ascii_case(&self.host))
    }

    /// Returns the reply with the document. Pages of any origin may read it, since it is public. A CORS filter in front may replace `*`
    /// with the origin of one page; `vary` keeps a cache from serving that response to another origin.
    pub(crate) fn reply(&self) -> Reply {
        let headers = [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=3600"),
            ("access-control-allow-origin", "*"),
            ("vary", "origin"),
        ];
        reply(200, &headers, self.text.clone())
    }

    /// Returns the reply to the preflight of a page that wants to read a document.
    pub(crate) fn preflight_reply() -> Reply {
        reply(204, cors::FOR_EVERY_PAGE, String::new())
    }
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: String) -> Reply {
    Reply::new(status, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), body)
}
