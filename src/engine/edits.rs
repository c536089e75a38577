//! Everything that is removed from the head of a request or rewritten there before it may continue: tokens from places other than
//! `Authorization`, fields that resemble the gateway's own, fields that could turn the request into another one, and credentials.
//!
//! Fields for the services are set later: see [`UpstreamHeaders`](super::UpstreamHeaders).

use crate::credentials::token_sources::Extracted;
use crate::http::field_name::{AUTHORIZATION, resembles};
use crate::http::request_head::RequestHead;
use crate::http::sanitize::{self, OverrideHeaders};
use crate::refusal::Reason;
use crate::session::SESSION_ID;
use crate::settings::Settings;

/// The edits of one request head. They are made whatever the decision, so that access logs never contain tokens.
#[derive(Debug, Default)]
pub struct HeaderEdits<'a> {
    /// Fields, possibly `:path`, that are rewritten, or removed if there is no value.
    pub(super) rewritten: Vec<(String, Option<Vec<u8>>)>,
    /// Names of fields that resemble the gateway's own, as the client spelled them.
    pub(super) spoofed: Vec<&'a str>,
    /// Whether the client's credentials are removed.
    pub(super) strips_credentials: bool,
}

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'e> {
    /// Removes all fields of this name.
    Remove(&'e str),
    /// Replaces all fields of this name by one with this value.
    Replace(&'e str, &'e [u8]),
}

impl<'a> HeaderEdits<'a> {
    /// Returns the edits that a request needs whatever the decision, and the tokens found in places other than `Authorization`. Removed are
    /// fields that a service could mistake for the gateway's own (R75), and fields that could turn the request into another one behind the
    /// gateway (R78, R131).
    pub(super) fn find(
        head: &RequestHead<'_>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        settings: &Settings,
    ) -> (Self, Extracted<'a>) {
        let mut extracted = settings.credentials.sources.extract(fields.clone());
        let mut rewritten = std::mem::take(&mut extracted.edits);
        if head.has_suspect_field {
            rewritten.extend(sanitize::edits(fields.clone(), settings.forwarding.override_headers));
        }
        let spoofed = settings.forwarding.spoofed_headers(fields.map(|(name, _)| name));
        (Self { rewritten, spoofed, strips_credentials: false }, extracted)
    }

    /// Returns the head of the request after these edits, with the tokens found elsewhere.
    pub(super) fn applied_to<'h>(
        &'h self,
        head: RequestHead<'h>,
        extracted: &'h Extracted<'_>,
    ) -> RequestHead<'h> {
        extracted.taken_out_of(head, &self.rewritten)
    }

    /// Returns the edits, in the order in which they are made.
    pub fn iter(&self) -> impl Iterator<Item = Edit<'_>> {
        let rewritten = self.rewritten.iter().map(|(name, value)| match value {
            Some(value) => Edit::Replace(name, value),
            None => Edit::Remove(name),
        });
        let spoofed = self.spoofed.iter().map(|name| Edit::Remove(name));
        let credentials = self.strips_credentials.then_some(Edit::Remove(AUTHORIZATION));
        rewritten.chain(spoofed).chain(credentials)
    }

    /// Returns why a request is refused on a host that can edit only one field of a name: there are two of a name that has to be edited.
    #[cold]
    #[inline(never)]
    pub(super) fn repetition<'f>(
        &self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Option<Reason> {
        let is_repeated = |name: &str| {
            let is_named = |field: &(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name.as_bytes());
            fields.clone().filter(is_named).nth(1).is_some()
        };
        let rewritten = self.rewritten.iter().map(|(name, _)| name.as_str());
        if is_repeated(AUTHORIZATION) {
            return Some(Reason::RepeatedCredentials);
        }
        rewritten.chain(self.spoofed.iter().copied()).any(is_repeated).then_some(Reason::RepeatedField)
    }
}

/// Returns the names that a trailer section must not contain: credentials, session ids if they are bound, and fields that are removed from
/// the head (R132, R276).
#[inline(never)]
pub(super) fn forbidden_trailers<'n>(
    names: impl Iterator<Item = &'n [u8]> + Clone,
    settings: &Settings,
) -> Vec<&'n str> {
    let Settings { forwarding, credentials, rules, .. } = settings;
    let is_credential = |name: &[u8]| {
        resembles(name, AUTHORIZATION)
            || credentials.sources.fields().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
    };
    let is_session = |name: &[u8]| resembles(name, SESSION_ID) && rules.bind_sessions();
    let overrides =
        |name: &[u8]| forwarding.override_headers == OverrideHeaders::Remove && sanitize::is_override(name);
    let own = names.clone().filter(|name| is_credential(name) || is_session(name) || overrides(name));
    let own = own.filter_map(|name| std::str::from_utf8(name).ok());
    own.chain(forwarding.spoofed_headers(names)).collect()
}
