//! Everything that is taken off the head of a request or rewritten there before it may continue: tokens from other places than
//! `Authorization`, fields that resemble the gateway's own, fields that could make it another request, and credentials.
//!
//! What is set for the services comes later: see [`UpstreamHeaders`](super::UpstreamHeaders).

use crate::http::field_name::AUTHORIZATION;
use crate::refusal::Reason;

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

impl HeaderEdits<'_> {
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
