//! Cross-origin requests of browsers (the CORS protocol, Fetch §3.2), if no other filter handles them: preflights pass without a token,
//! since browsers send none with them (R80), and pages may read why a request was refused (R81).

use std::sync::Arc;

use http::Method;

use crate::http::reply::Reply;
use crate::http::request_head::RequestHead;

/// The origins whose pages may call the API.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins as browsers write them: scheme, host, and port if it is not the scheme's own.
    pub allow_origins: Vec<Arc<str>>,
    /// Whether these pages may read refusals of requests that they send with credentials such as cookies.
    pub allow_credentials: bool,
}

impl Cors {
    /// The origin of this request, if its pages may call the API.
    pub(crate) fn allowed_origin(&self, head: &RequestHead<'_>) -> Option<Arc<str>> {
        let origin = head.origin?;
        self.allow_origins.iter().find(|allowed| allowed.as_bytes() == origin).cloned()
    }
}

/// The request that a preflight announces, if this is a preflight (Fetch §3.2.2): its method has to be a token (RFC 9110 §9.1).
pub(crate) fn asked_by_preflight<'a>(head: &RequestHead<'a>) -> Option<RequestHead<'a>> {
    if head.method != b"OPTIONS" {
        return None;
    }
    let method = head.access_control_request_method.filter(|_| head.origin.is_some())?;
    Method::from_bytes(method).is_ok().then_some(RequestHead { method, ..*head })
}

/// The fields that let a page of this origin read a refusal, including those of its fields that say what to do.
pub(crate) fn headers(origin: &str, allow_credentials: bool) -> impl Iterator<Item = (&'static str, String)> {
    let headers = [
        ("access-control-allow-origin", origin),
        (
            "access-control-expose-headers",
            "www-authenticate, retry-after, dpop-nonce, grpc-status, grpc-message",
        ),
        ("vary", "origin"),
    ];
    let credentials = allow_credentials.then_some(("access-control-allow-credentials", "true"));
    headers.into_iter().chain(credentials).map(|(name, value)| (name, value.to_owned()))
}

/// The reply to a preflight from an allowed origin for a request that the rules refuse. The request that follows is refused as well, but
/// its page can read why; without this reply, it could not.
#[cold]
#[inline(never)]
pub(crate) fn readable_refusal(origin: &str, asked: &RequestHead<'_>, allow_credentials: bool) -> Reply {
    let method = String::from_utf8_lossy(asked.method).into_owned();
    let mut fields: Vec<_> = headers(origin, allow_credentials).collect();
    fields.push(("access-control-allow-methods", method));
    fields.push(("access-control-allow-headers", FIELDS_OF_PAGES.to_owned()));
    Reply::new(204, fields, String::new())
}

/// The request fields that pages which call APIs, MCP clients included, are known to set. `*` stands for all others, but only if the page
/// sends no credentials of its browser.
const FIELDS_OF_PAGES: &str = "authorization, content-type, dpop, last-event-id, mcp-method, mcp-name, \
     mcp-protocol-version, mcp-session-id, traceparent, x-requested-with, *";

/// Lets pages of any origin fetch a public document. `*` does not stand for `Authorization`, and MCP clients send `MCP-Protocol-Version`;
/// both are named for browsers that do not know `*`.
pub(crate) const FOR_EVERY_PAGE: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, HEAD"),
    ("access-control-allow-headers", "authorization, mcp-protocol-version, *"),
    ("access-control-max-age", "3600"),
];
