//! The encoding of an entry in shared data: its token, its lifetime, its claims and the JWT.
//!
//! `version (1) | fingerprint (32) | token key (32) | checksum (8) | kind (1) | fresh until (8) | usable until (8) | length (8) |
//! verifying key (32) | claims | JWT`.
//!
//! Numbers are big-endian, times in milliseconds since the Unix epoch. The checksum covers everything after it, so that a truncated or
//! corrupted entry is rejected; it does not protect against anyone who can write to the shared data. The kind is that of the JWT: none, one
//! that stands for the token, or the token itself. The length is that of the claims, which are JSON. The verifying key is the fingerprint
//! of the published key that verified the response, or zeros if none did.

use std::sync::Arc;

use twox_hash::XxHash64;

use crate::fingerprint::Fingerprint;
use crate::http::lifetime::Lifetime;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token_info::TokenInfo;
use crate::token_key::TokenKey;
use crate::upstream::headers::Forwarding;

/// What workers share about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Until when the entry is fresh, and until when it is usable.
    pub(super) lifetime: Lifetime,
    claims: Claims,
    jwt: Option<String>,
    is_self_contained: bool,
    /// The published key that verified the response, if one did.
    pub(super) verified_by: Option<Fingerprint>,
}

impl Entry {
    pub(super) fn of(token_info: &TokenInfo) -> Self {
        Self {
            lifetime: token_info.lifetime(),
            claims: token_info.claims().clone(),
            jwt: token_info.jwt().map(str::to_owned),
            is_self_contained: token_info.is_self_contained(),
            verified_by: token_info.verified_by().copied(),
        }
    }

    pub(super) fn into_token_info(self, token: TokenKey, forwarding: &Arc<Forwarding>) -> TokenInfo {
        let Self { jwt, claims, is_self_contained, lifetime, verified_by } = self;
        TokenInfo::new(token, jwt.as_deref(), claims, is_self_contained, verified_by, forwarding, lifetime)
    }

    pub(super) fn encode(&self, fingerprint: &Fingerprint, token: &TokenKey) -> Vec<u8> {
        let claims = serde_json::to_vec(&self.claims).unwrap_or_default();
        let jwt = self.jwt.as_deref().unwrap_or_default();
        let kind = match (&self.jwt, self.is_self_contained) {
            (None, _) => NO_JWT,
            (Some(_), false) => PHANTOM_TOKEN,
            (Some(_), true) => SELF_CONTAINED,
        };
        let Lifetime { fresh_until, usable_until } = self.lifetime;
        let numbers = [fresh_until.as_millis(), usable_until.as_millis(), claims.len() as u64];
        let numbers = numbers.map(u64::to_be_bytes);
        let key = self.verified_by.as_ref().map_or(&NO_KEY, Fingerprint::as_bytes);
        let content = [&[kind], numbers.as_flattened(), key, &claims, jwt.as_bytes()].concat();
        let checksum = checksum(&content);
        [&[VERSION], &fingerprint.as_bytes()[..], token.as_bytes(), &checksum, &content].concat()
    }

    /// Decodes an entry. Returns `None` if it is malformed, or not this token's under this configuration.
    pub(super) fn decode(value: &[u8], fingerprint: &Fingerprint, token: &TokenKey) -> Option<Self> {
        let rest = value.strip_prefix(&[VERSION])?;
        let rest = rest.strip_prefix(fingerprint.as_bytes())?.strip_prefix(token.as_bytes())?;
        let (written, content) = rest.split_first_chunk()?;
        if checksum(content) != *written {
            return None;
        }
        let (&kind, rest) = content.split_first().filter(|(kind, _)| **kind <= SELF_CONTAINED)?;
        let (fresh_until, rest) = number(rest)?;
        let (usable_until, rest) = number(rest)?;
        let (claims_length, rest) = number(rest)?;
        let (key, rest) = rest.split_first_chunk()?;
        let (claims, jwt) = rest.split_at_checked(usize::try_from(claims_length).ok()?)?;
        let jwt = std::str::from_utf8(jwt).ok()?.to_owned();
        Some(Self {
            lifetime: Lifetime {
                fresh_until: Timestamp::from_millis(fresh_until),
                usable_until: Timestamp::from_millis(usable_until),
            },
            claims: serde_json::from_slice(claims).ok()?,
            jwt: (kind != NO_JWT).then_some(jwt),
            is_self_contained: kind == SELF_CONTAINED,
            verified_by: (*key != NO_KEY).then_some(Fingerprint::from_bytes(*key)),
        })
    }
}

/// Detects accidents only: anyone who can write an entry can write its checksum. XXH64 is the same with every compiler and version.
fn checksum(content: &[u8]) -> [u8; 8] {
    XxHash64::oneshot(0, content).to_be_bytes()
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

const VERSION: u8 = 8;

const NO_KEY: [u8; 32] = [0; 32];

const NO_JWT: u8 = 0;
const PHANTOM_TOKEN: u8 = 1;
const SELF_CONTAINED: u8 = 2;

#[cfg(test)]
mod tests;
