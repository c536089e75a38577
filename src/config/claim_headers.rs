//! The section `claim_headers`.

use http::HeaderName;

use super::fields::is_pointer;
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::claim_header::ClaimHeader;

pub(super) fn claim_headers(raw: Vec<Field<raw::ClaimHeader>>, mistakes: &mut Mistakes) -> Vec<ClaimHeader> {
    let mut headers: Vec<ClaimHeader> = Vec::new();
    for (index, field) in raw.into_iter().enumerate() {
        let place = format!("claim_headers[{index}]");
        let Some(header) =
            mistakes.required(&place, field).and_then(|raw| claim_header(&place, raw, mistakes))
        else {
            continue;
        };
        if headers.iter().any(|other| other.is_imitated_by(header.name.as_bytes())) {
            mistakes.note(format!("{place}.header"), "is there already");
        }
        headers.push(header);
    }
    headers
}

fn claim_header(place: &str, raw: raw::ClaimHeader, mistakes: &mut Mistakes) -> Option<ClaimHeader> {
    let at = |field: &str| format!("{place}.{field}");
    let name = mistakes.required(&at("header"), raw.header);
    if name.as_deref().is_some_and(|name| !is_settable(name)) {
        mistakes.note(at("header"), "must be a field name in lower case that means nothing to HTTP itself");
    }
    let pointer = mistakes.required(&at("pointer"), raw.pointer);
    if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
        mistakes.note(at("pointer"), "must be a JSON Pointer (RFC 6901), like /sub, to no registered date");
    }
    let encoding = mistakes.optional(&at("encoding"), raw.encoding);
    if !matches!(encoding.as_deref(), None | Some("plain" | "base64url")) {
        mistakes.note(at("encoding"), "must be plain or base64url");
    }
    mistakes.refuse_unknown(place, &raw.unknown);
    Some(ClaimHeader {
        name: name?,
        pointer: pointer?,
        is_base64url: encoding.as_deref() == Some("base64url"),
    })
}

fn is_settable(name: &str) -> bool {
    let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|parsed| parsed.as_str() == name);
    is_name && !OF_HTTP.contains(&name) && !name.starts_with("content-")
}

const OF_HTTP: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
