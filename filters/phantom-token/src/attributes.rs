//! Request attributes other than header fields, as the host provides them.

use crate::field_map;
use crate::host::{self, Refused};

/// Returns the label for the filter in the selected route's metadata, or else the route's name. Returns `None` if the route has neither. A
/// host that fails to answer is an error: it must not be taken for one without routes.
pub(crate) fn route() -> Result<Option<Vec<u8>>, Refused> {
    const LABEL: [&str; 5] = ["xds", "route_metadata", "filter_metadata", "phantom-token", "route"];
    for property in [&LABEL[..], &["xds", "route_name"]] {
        match host::property(property) {
            Err(Refused::NOT_FOUND) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

/// Returns the first URI in the caller's certificate.
pub(crate) fn peer() -> Option<Vec<u8>> {
    host::property(&["connection", "uri_san_peer_certificate"]).ok()
}

/// Returns the SHA-256 of the caller's certificate, in hexadecimal digits.
pub(crate) fn certificate() -> Option<Vec<u8>> {
    host::property(&["connection", "sha256_peer_certificate_digest"]).ok()
}

/// Returns path and authority, for hosts that do not show them as pseudo-header fields.
#[cold]
#[inline(never)]
pub(crate) fn target(fields: &[u8]) -> Result<(Vec<u8>, &[u8]), Refused> {
    let path = host::property(&["request", "path"])?;
    let mut hosts = field_map::fields(fields).filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    // Without `Host`, or with several, the authority is empty, which no rule can name.
    let authority = match (hosts.next(), hosts.next()) {
        (Some((_, host)), None) => host,
        _ => b"",
    };
    Ok((path, authority))
}

/// The method of an MCP client's call, and the name of what it calls.
pub(crate) type OwnedCall = (Vec<u8>, Option<Vec<u8>>);

/// Returns the method and tool of an MCP client's call, from the dynamic metadata of Envoy's MCP filter. Returns `None` if that filter
/// would have rejected the body: a key that is there twice, or beyond the filter's limit, may make it another call.
#[cold]
#[inline(never)]
pub(crate) fn mcp_call() -> Result<Option<OwnedCall>, Refused> {
    let read = |path: &[&str]| {
        const METADATA: [&str; 3] = ["metadata", "filter_metadata", "envoy.filters.http.mcp"];
        match host::property(&[&METADATA, path].concat()) {
            Err(Refused::NOT_FOUND) => Ok(None),
            found => found.map(Some),
        }
    };
    match read(&["method"])? {
        Some(method) if read(&["passthrough_reason"])?.is_none() => {
            Ok(Some((method, read(&["params", "name"])?)))
        }
        _ => Ok(None),
    }
}
