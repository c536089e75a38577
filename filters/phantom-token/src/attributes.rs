//! Attributes of a request besides its fields, from the host.

use crate::field_map;
use crate::host::{self, Refused};

/// The label that the selected route's metadata have for the filter, or else the route's name. None, if it has neither; but a host that
/// does not say must not be taken for one without routes.
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

/// The first URI in the caller's certificate.
pub(crate) fn peer() -> Option<Vec<u8>> {
    host::property(&["connection", "uri_san_peer_certificate"]).ok()
}

/// The SHA-256 of the caller's certificate, in hexadecimal digits.
pub(crate) fn certificate() -> Option<Vec<u8>> {
    host::property(&["connection", "sha256_peer_certificate_digest"]).ok()
}

/// Path and authority, where the host does not show them as pseudo-header fields.
#[cold]
#[inline(never)]
pub(crate) fn target(fields: &[u8]) -> Result<(Vec<u8>, &[u8]), Refused> {
    let path = host::property(&["request", "path"])?;
    let mut hosts = field_map::fields(fields).filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    // A request without one, or with several, is for no host that a rule could name.
    let authority = match (hosts.next(), hosts.next()) {
        (Some((_, host)), None) => host,
        _ => b"",
    };
    Ok((path, authority))
}

/// Method, and name of what is called.
pub(crate) type OwnedCall = (Vec<u8>, Option<Vec<u8>>);

/// Method and tool of an MCP client's call, by the dynamic metadata of Envoy's own filter. None, if that would have refused the body: what is
/// there twice, or stands behind its limit, may be another call.
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
