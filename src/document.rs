//! Documents that the gateway publishes: JSON at a fixed path, for everybody, without a token.

use crate::rejection::Reply;
use crate::request::RequestHead;

/// A document and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    path: String,
    text: String,
}

impl Document {
    /// A JSON text at this path.
    pub fn new(path: String, text: String) -> Self {
        Self { path, text }
    }

    /// The document, if this request is for it. Pages of any origin may read it: it is public.
    pub(crate) fn answer(&self, head: &RequestHead<'_>) -> Option<Reply> {
        let path = head.path.split(|&byte| byte == b'?').next().unwrap_or_default();
        if path != self.path.as_bytes() || !matches!(head.method, b"GET" | b"HEAD") {
            return None;
        }
        let headers = [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=3600"),
            ("access-control-allow-origin", "*"),
        ];
        Some(Reply {
            status: 200,
            headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
            body: self.text.clone(),
            grpc_status: 0,
            reason: None,
        })
    }
}
