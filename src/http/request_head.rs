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
    /// The tokens that were found elsewhere than in `Authorization`, in places that are configured.
    pub elsewhere: &'a [FoundToken<'a>],
    /// The route that the host has selected, by its name or its label, if rules ask for it.
    pub route: Option<&'a [u8]>,
    /// The caller's identity in its certificate (a URI, RFC 5280 §4.2.1.6), if rules need it and there is one.
    pub peer: Option<&'a [u8]>,
    /// `Origin`, which browsers send with cross-origin requests.
    pub origin: Option<&'a [u8]>,
    /// `Access-Control-Request-Method`, which browsers send with preflights.
    pub access_control_request_method: Option<&'a [u8]>,
    /// The fields that rules name.
    pub named: &'a [NamedField<'a>],
    /// The call of an MCP client, as read from the body by a filter of the host, if rules ask for it.
    pub mcp_call: Option<McpCall<'a>>,
    /// `grpc-timeout`, if streams end with their token.
    pub grpc_timeout: Option<&'a [u8]>,
    /// Whether there is a field that could turn the request into another one behind the gateway: see `sanitize`.
    pub has_suspect_field: bool,
    /// The number of fields.
    pub field_count: usize,
}

/// A field that rules name.
#[derive(Clone, Copy, Debug)]
pub struct NamedField<'a> {
    /// Its name, in lower case.
    pub name: &'a str,
    /// Its value. A field of another name that services may take for this one makes it [`Presented::Repeated`].
    pub value: Presented<'a>,
}

/// The call of an MCP client: a JSON-RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McpCall<'a> {
    /// `method`.
    pub method: &'a [u8],
    /// `params.name`: the name of the tool, if one is called.
    pub name: Option<&'a [u8]>,
}

/// Whether something is present in a request, and only once. Some hosts deliver two fields as one, joined by a comma.
#[derive(Clone, Copy, Default)]
pub enum Presented<'a> {
    /// Not at all.
    #[default]
    Absent,
    /// Once, with this value.
    Once(&'a [u8]),
    /// More than once, with equal values or not (R8).
    Repeated,
}

/// A token that was found elsewhere than in `Authorization`. Its `Debug` hides the token.
pub struct FoundToken<'a> {
    /// The place where it was found.
    pub(crate) place: Place,
    /// The token, or whatever else is in that place.
    pub(crate) value: Cow<'a, [u8]>,
}

/// A kind of place for a token. The place itself is configured by its name.
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
            // The length is compared first, which rules out nearly every name.
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
    /// Finds the fields of this name.
    pub(crate) fn find<'f: 'a>(name: &'a str, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Self {
        let mut value = Presented::Absent;
        for (written, own) in fields.filter(|(written, _)| resembles(written, name)) {
            // A look-alike does not provide the value.
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
