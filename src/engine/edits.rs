//! Everything that is taken off the head of a request or rewritten there before it may continue: tokens from other places than
//! `Authorization`, fields that resemble the gateway's own, fields that could make it another request, and credentials.
//!
//! What is set for the services comes later: see [`UpstreamHeaders`](super::UpstreamHeaders).

use crate::credentials::token_sources::Extracted;
use crate::http::field_name::{AUTHORIZATION, resembles};
use crate::http::request_head::RequestHead;
use crate::http::sanitize::{self, OverrideHeaders};
use crate::refusal::Reason;
use crate::session::SESSION_ID;
use crate::settings::Settings;

/// The edits of one request head. They are made whatever becomes of the request, so that access logs see it without tokens.
#[derive(Debug, Default)]
pub struct HeaderEdits<'a> {
    /// Fields, `:path` among them, that are rewritten, or removed where there is no value.
    pub(super) rewritten: Vec<(String, Option<Vec<u8>>)>,
    /// Names of fields that resemble the gateway's own, as the client spelt them.
    pub(super) spoofed: Vec<&'a str>,
    /// Whether the client's credentials go.
    pub(super) strips_credentials: bool,
}

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'e> {
    /// All fields of this name are removed.
    Remove(&'e str),
    /// All fields of this name are replaced by one with this value.
    Replace(&'e str, &'e [u8]),
}

impl<'a> HeaderEdits<'a> {
    /// The edits that a request needs whatever becomes of it, and the tokens that are taken out of other places than `Authorization`: fields
    /// that a service could take for the gateway's own go (R75), and fields that could make it another request behind the gateway (R78, R131).
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

    /// The head of the request after these edits, with the tokens that were taken out.
    pub(super) fn applied_to<'h>(
        &'h self,
        head: RequestHead<'h>,
        extracted: &'h Extracted<'_>,
    ) -> RequestHead<'h> {
        extracted.taken_out_of(head, &self.rewritten)
    }

    /// The edits, in the order in which they are made.
    pub fn iter(&self) -> impl Iterator<Item = Edit<'_>> {
        let rewritten = self.rewritten.iter().map(|(name, value)| match value {
            Some(value) => Edit::Replace(name, value),
            None => Edit::Remove(name),
        });
        let spoofed = self.spoofed.iter().map(|name| Edit::Remove(name));
        let credentials = self.strips_credentials.then_some(Edit::Remove(AUTHORIZATION));
        rewritten.chain(spoofed).chain(credentials)
    }

    /// Why a request is refused where only one field of a name can be edited: of one that has to be, there are two.
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

/// The names among these that no trailer section may have: credentials, session ids where they are bound, and what is taken off the head
/// (R132, R276).
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
