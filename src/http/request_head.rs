//! The parts of a request that the filter needs, borrowed from the host's bytes. Header values are bytes: a value that is not
//! UTF-8 is legal (RFC 9110 §5.5) and must not stop a worker.

use std::borrow::Cow;

use crate::http::field_name::resembles;
use crate::http::sanitize::is_suspect;

/// The head of a request, as its host delivered it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:authority`, or `Host`: host and optional port.
    pub authority: &'a [u8],
    /// `:path`: path and query.
    pub path: &'a [u8],
    /// The `Authorization` field.
    pub authorization: Presented<'a>,
    /// The `DPoP` field (RFC 9449 §4.1).
    pub dpop: Presented<'a>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits, if needed.
    pub certificate: Option<&'a [u8]>,
    /// The `traceparent` field (W3C Trace Context §3.2).
    pub traceparent: Presented<'a>,
    /// The `x-forwarded-client-cert` field.
    pub forwarded_client_cert: Presented<'a>,
    /// The tokens that came elsewhere, where that is allowed.
    pub elsewhere: &'a [FoundToken<'a>],
    /// The route that the host has selected, by its name or its label, if rules ask for it.
    pub route: Option<&'a [u8]>,
    /// The caller's identity in its certificate (a URI, RFC 5280 §4.2.1.6), if rules need it and there is one.
    pub peer: Option<&'a [u8]>,
    /// `Origin`, which browsers send with cross-origin requests.
    pub origin: Option<&'a [u8]>,
    /// `Access-Control-Request-Method`, which browsers send with preflights.
    pub access_control_request_method: Option<&'a [u8]>,
    /// The fields that rules name, if they name any.
    pub named: &'a [NamedField<'a>],
    /// The call of an MCP client, by a filter of the host that reads the body, if rules ask for it.
    pub mcp_call: Option<McpCall<'a>>,
    /// `grpc-timeout`, if streams end with their token.
    pub grpc_timeout: Option<&'a [u8]>,
    /// Whether there is a field by which the request could become another one behind the gateway: see `sanitize`.
    pub has_suspect_field: bool,
    /// How many fields there are.
    pub field_count: usize,
}

/// A field that rules name.
#[derive(Clone, Copy, Debug)]
pub struct NamedField<'a> {
    /// Its name, in lower case.
    pub name: &'a str,
    /// Its value. A field by another name that services may take for this one counts as one more.
    pub value: Presented<'a>,
}

/// The call of an MCP client: a JSON-RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McpCall<'a> {
    /// `method`.
    pub method: &'a [u8],
    /// `params.name`: which tool is called, where one is.
    pub name: Option<&'a [u8]>,
}

/// How often something is there. Some hosts deliver two fields as one, joined by a comma.
#[derive(Clone, Copy, Default)]
pub enum Presented<'a> {
    /// It is not there.
    #[default]
    Absent,
    /// The one value.
    Once(&'a [u8]),
    /// More than one, equal or not (R8).
    Repeated,
}

/// A token that was found elsewhere than in `Authorization`. It never shows in a debug print.
pub struct FoundToken<'a> {
    /// Where it was.
    pub(crate) place: Place,
    /// The token, or whatever is in its place.
    pub(crate) value: Cow<'a, [u8]>,
}

/// A place for a token that is configured by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    QueryParameter,
    Cookie,
    Header,
    WebsocketProtocol,
}

impl<'a> RequestHead<'a> {
    /// Picks what is needed from all header fields, pseudo-header fields included, in one pass.
    pub fn read(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self::default();
        for (name, value) in fields {
            head.field_count = head.field_count.saturating_add(1);
            let is = |own: &[u8]| name == own || name.eq_ignore_ascii_case(own);
            // By its length first, which rules nearly every name out.
            match name.len() {
                7 if name == b":method" => head.method = value,
                10 if name == b":authority" => head.authority = value,
                5 if name == b":path" => head.path = value,
                13 if is(b"authorization") => head.authorization = head.authorization.and(value),
                4 if is(b"dpop") => head.dpop = head.dpop.and(value),
                11 if is(b"traceparent") => head.traceparent = head.traceparent.and(value),
                23 if is(b"x-forwarded-client-cert") => {
                    head.forwarded_client_cert = head.forwarded_client_cert.and(value);
                }
                6 if is(b"origin") => head.origin = Some(value),
                29 if is(b"access-control-request-method") => {
                    head.access_control_request_method = Some(value);
                }
                _ if is_suspect(name) => head.has_suspect_field = true,
                _ => {}
            }
        }
        head
    }
}

impl<'a> NamedField<'a> {
    /// The fields of this name.
    pub(crate) fn find<'f: 'a>(name: &'a str, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Self {
        let mut value = Presented::Absent;
        for (written, own) in fields.filter(|(written, _)| resembles(written, name)) {
            // A look-alike is no value of it.
            let is_it = written.eq_ignore_ascii_case(name.as_bytes());
            value = if is_it { value.and(own) } else { Presented::Repeated };
        }
        Self { name, value }
    }
}

impl<'a> Presented<'a> {
    fn and(self, value: &'a [u8]) -> Self {
        if matches!(self, Self::Absent) { Self::Once(value) } else { Self::Repeated }
    }
}

impl std::fmt::Debug for FoundToken<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("FoundToken").field(&self.place).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "absent",
            Self::Once(_) => "[hidden]",
            Self::Repeated => "repeated",
        })
    }
}
