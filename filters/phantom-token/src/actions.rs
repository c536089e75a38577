//! The one place that changes a request or a response, as the engine decided.

use phantom_token_core::{
    Edit, HeaderEdits, Reply, SESSION_ID, SessionSeal, UpstreamHeaders, private_cache_control,
};
use proxy_wasm::types::MapType::{HttpRequestHeaders, HttpResponseHeaders};

use crate::capabilities::capabilities;
use crate::field_map;
use crate::host::{self, Refused};

/// Applies the engine's edits to the request head.
pub(crate) fn edit(edits: &HeaderEdits<'_>) -> Result<(), Refused> {
    if !capabilities().removes_fields {
        return blank(edits);
    }
    edits.iter().try_for_each(|edit| match edit {
        Edit::Remove(name) => host::remove(HttpRequestHeaders, name),
        Edit::Replace(name, value) => host::replace(HttpRequestHeaders, name, value),
    })
}

/// Sets the fields that services receive. Properties, which the host keeps, are set before, while the request can still be refused.
pub(crate) fn set(headers: &UpstreamHeaders) -> Result<(), Refused> {
    for (name, value) in headers.filter_state() {
        host::set_property(name, value)?;
    }
    headers.fields().try_for_each(|(name, value)| host::replace(HttpRequestHeaders, name, value.as_bytes()))
}

/// Keeps a successful response out of shared caches.
pub(crate) fn make_private() -> Result<(), Refused> {
    let field = |name| host::field(HttpResponseHeaders, name).unwrap_or_default();
    match private_cache_control(&field(":status"), &field(CACHE_CONTROL)) {
        Some(value) => host::replace(HttpResponseHeaders, CACHE_CONTROL, &value),
        None => Ok(()),
    }
}

/// Restores the media type of a reply, which Envoy removes from a reply without content.
pub(crate) fn restore_content_type(media_type: &str) -> Result<(), Refused> {
    match host::field(HttpResponseHeaders, CONTENT_TYPE) {
        Err(Refused::NOT_FOUND) => host::replace(HttpResponseHeaders, CONTENT_TYPE, media_type.as_bytes()),
        _ => Ok(()),
    }
}

/// Seals the session id of the response, if it has one.
pub(crate) fn seal_session(seal: &SessionSeal) -> Result<(), Refused> {
    match host::field(HttpResponseHeaders, SESSION_ID) {
        Ok(id) => host::replace(HttpResponseHeaders, SESSION_ID, &seal.seal(&id)),
        Err(Refused::NOT_FOUND) => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Returns the reply without its body and its media type.
pub(crate) fn without_body(reply: Reply) -> Reply {
    let headers = reply.headers.into_iter().filter(|(name, _)| *name != CONTENT_TYPE).collect();
    Reply { headers, body: String::new(), ..reply }
}

/// Blanks removed fields, for hosts that only hide a removed field and still send it. A blank field stays visible: what is set later
/// replaces it, and a field that is not blank was missed, so the request is refused.
#[cold]
#[inline(never)]
fn blank(edits: &HeaderEdits<'_>) -> Result<(), Refused> {
    let is_there = |name: &str| match host::field(HttpRequestHeaders, name) {
        Ok(value) => Ok(!value.is_empty()),
        Err(Refused::NOT_FOUND) => Ok(false),
        Err(refused) => Err(refused),
    };
    let (mut removed, mut has_blanked) = (Vec::new(), false);
    for edit in edits.iter() {
        match edit {
            Edit::Replace(name, value) => host::replace(HttpRequestHeaders, name, value)?,
            Edit::Remove(name) => {
                removed.push(name);
                if is_there(name)? {
                    host::replace(HttpRequestHeaders, name, b"")?;
                    has_blanked = true;
                }
            }
        }
    }
    if !has_blanked {
        return Ok(());
    }
    let fields = host::fields(HttpRequestHeaders)?;
    let is_left = |(name, value): (&[u8], &[u8])| {
        !value.is_empty() && removed.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    };
    if field_map::fields(&fields).any(is_left) { Err(Refused::INCOMPLETE) } else { Ok(()) }
}

const CACHE_CONTROL: &str = "cache-control";
const CONTENT_TYPE: &str = "content-type";
