//! Cross-origin requests of browsers (the CORS protocol, Fetch §3.2), where no other filter speaks it: preflights pass without
//! a token, since browsers send none with them (R80), and pages may read why a request was refused (R81).

use std::sync::Arc;

use crate::http::request_head::RequestHead;

/// The origins whose pages may call the API.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins as browsers write them: scheme, host, and port if it is not the scheme's own.
    pub allow_origins: Vec<Arc<str>>,
}

impl Cors {
    /// The origin of this request, if its pages may call the API.
    pub(crate) fn allowed_origin(&self, head: &RequestHead<'_>) -> Option<Arc<str>> {
        let origin = head.origin?;
        self.allow_origins.iter().find(|allowed| allowed.as_bytes() == origin).cloned()
    }
}

/// The request that a preflight asks about, if this is one (Fetch §3.2.2).
pub(crate) fn asked_by_preflight<'a>(head: &RequestHead<'a>) -> Option<RequestHead<'a>> {
    let method =
        head.access_control_request_method.filter(|_| head.method == b"OPTIONS" && head.origin.is_some())?;
    Some(RequestHead { method, ..*head })
}

/// What lets a page of this origin read an answer, and the fields of it that tell what to do.
pub(crate) fn headers(origin: &str) -> [(&'static str, String); 3] {
    [
        ("access-control-allow-origin", origin.to_owned()),
        ("access-control-expose-headers", "www-authenticate, retry-after, dpop-nonce".to_owned()),
        ("vary", "origin".to_owned()),
    ]
}
