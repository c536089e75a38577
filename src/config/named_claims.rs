//! The sections `claim_headers`, `filter_state`, `jwt_header` and `override_headers`: under which names services and the host receive what.

use std::mem::take;

use http::HeaderName;

use super::fields::is_pointer;
use super::mistakes::Mistakes;
use super::raw::{self, Encoding, Field};
use crate::http::field_name::{AUTHORIZATION, imitates};
use crate::token::named_claim::NamedClaim;
use crate::upstream::headers::Forwarding;

pub(super) fn forwarding(raw: &mut raw::Configuration, mistakes: &mut Mistakes) -> Forwarding {
    let jwt_field = mistakes.optional("jwt_header", take(&mut raw.jwt_header));
    let jwt_field = jwt_field.unwrap_or_else(|| AUTHORIZATION.to_owned());
    if jwt_field != AUTHORIZATION && !is_settable(&jwt_field) {
        mistakes.note("jwt_header", NOT_SETTABLE);
    }
    let headers = mistakes.optional("claim_headers", take(&mut raw.claim_headers)).unwrap_or_default();
    let claim_headers = claim_headers(headers, &jwt_field, mistakes);
    let state = mistakes.optional("filter_state", take(&mut raw.filter_state)).unwrap_or_default();
    let read = |(index, field)| {
        let place = format!("filter_state[{index}]");
        mistakes.required(&place, field).and_then(|raw| filter_state(&place, raw, mistakes))
    };
    let filter_state = state.into_iter().enumerate().filter_map(read).collect();
    let withheld = match raw.dpop {
        Field::Absent => Vec::new(),
        _ => vec!["dpop".to_owned()],
    };
    let override_headers =
        mistakes.optional("override_headers", take(&mut raw.override_headers)).unwrap_or_default();
    Forwarding { jwt_field, claim_headers, filter_state, withheld, override_headers, minted_bytes: 0 }
}

fn claim_headers(
    raw: Vec<Field<raw::ClaimHeader>>,
    jwt_field: &str,
    mistakes: &mut Mistakes,
) -> Vec<NamedClaim> {
    let mut headers: Vec<NamedClaim> = Vec::new();
    for (index, field) in raw.into_iter().enumerate() {
        let place = format!("claim_headers[{index}]");
        let Some(header) =
            mistakes.required(&place, field).and_then(|raw| claim_header(&place, raw, mistakes))
        else {
            continue;
        };
        let is_taken = |other: &str| imitates(header.name.as_bytes(), other);
        if (jwt_field != AUTHORIZATION && is_taken(jwt_field))
            || headers.iter().any(|other| is_taken(&other.name))
        {
            mistakes.note(format!("{place}.header"), "is there already");
        }
        headers.push(header);
    }
    headers
}

fn filter_state(place: &str, raw: raw::FilterState, mistakes: &mut Mistakes) -> Option<NamedClaim> {
    let at = |field: &str| format!("{place}.{field}");
    let name = mistakes.optional(&at("name"), raw.name);
    let is_word = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if name.as_deref().is_some_and(|name| !is_word(name)) {
        mistakes.note(at("name"), "must be of letters, digits, _ and -");
    }
    let pointer = pointer(&at("pointer"), raw.pointer, mistakes);
    mistakes.refuse_unknown(place, &raw.unknown);
    Some(NamedClaim { name: name?, pointer: pointer?, is_base64url: false })
}

fn pointer(path: &str, field: Field<String>, mistakes: &mut Mistakes) -> Option<String> {
    let pointer = mistakes.optional(path, field);
    if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
        mistakes.note(path, "must be a JSON Pointer (RFC 6901), like /sub, to no registered date");
    }
    pointer
}

fn claim_header(place: &str, raw: raw::ClaimHeader, mistakes: &mut Mistakes) -> Option<NamedClaim> {
    let at = |field: &str| format!("{place}.{field}");
    let name = mistakes.optional(&at("header"), raw.header);
    if name.as_deref().is_some_and(|name| !is_settable(name)) {
        mistakes.note(at("header"), NOT_SETTABLE);
    }
    let pointer = pointer(&at("pointer"), raw.pointer, mistakes);
    let encoding = mistakes.optional(&at("encoding"), raw.encoding);
    mistakes.refuse_unknown(place, &raw.unknown);
    Some(NamedClaim { name: name?, pointer: pointer?, is_base64url: encoding == Some(Encoding::Base64Url) })
}

pub(super) fn is_settable(name: &str) -> bool {
    let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|parsed| parsed.as_str() == name);
    is_name && !OF_HTTP.contains(&name) && !name.starts_with("content-")
}

pub(super) const NOT_SETTABLE: &str = "must be a field name in lower case that means nothing to HTTP itself";

const OF_HTTP: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "dpop",
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
