//! The bytes of an entry in shared data: whose it is, when it ends, and the JWT.
//!
//! `version (1) | fingerprint (32) | token key (32) | kind (1) | fresh until (8) | length (8) | length (8) | claims | JWT`.
//! Numbers are big-endian, moments in milliseconds since the Unix epoch. The kind is that of the JWT: none, one that stands
//! for the token, or the token itself. The lengths are those of the claims, which are JSON, and of the JWT: an entry that was
//! cut is no entry.

use std::rc::Rc;

use super::key::{Fingerprint, TokenKey};
use crate::claims::Claims;
use crate::forwarding::Forwarding;
use crate::grant::Grant;
use crate::time::Timestamp;

/// What one worker tells the others about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The end of its time to live.
    pub(super) fresh_until: Timestamp,
    claims: Claims,
    jwt: Option<String>,
    is_self_contained: bool,
}

impl Entry {
    pub(super) fn of(grant: &Grant) -> Self {
        Self {
            fresh_until: grant.fresh_until(),
            claims: grant.claims().clone(),
            jwt: grant.jwt().map(str::to_owned),
            is_self_contained: grant.is_self_contained(),
        }
    }

    pub(super) fn into_grant(self, forwarding: &Rc<Forwarding>) -> Grant {
        let Self { jwt, claims, is_self_contained, fresh_until } = self;
        Grant::new(jwt.as_deref(), claims, is_self_contained, forwarding, Some(fresh_until))
    }

    pub(super) fn encode(&self, fingerprint: &Fingerprint, token: &TokenKey) -> Vec<u8> {
        let claims = serde_json::to_vec(&self.claims).unwrap_or_default();
        let jwt = self.jwt.as_deref().unwrap_or_default();
        let kind = match (&self.jwt, self.is_self_contained) {
            (None, _) => NO_JWT,
            (Some(_), false) => PHANTOM_TOKEN,
            (Some(_), true) => SELF_CONTAINED,
        };
        let numbers = [self.fresh_until.as_millis(), claims.len() as u64, jwt.len() as u64];
        let numbers = numbers.map(u64::to_be_bytes);
        [
            &[VERSION],
            &fingerprint.as_bytes()[..],
            token.as_bytes(),
            &[kind],
            numbers.as_flattened(),
            &claims,
            jwt.as_bytes(),
        ]
        .concat()
    }

    /// Reads an entry if it is this token's under this configuration.
    pub(super) fn decode(value: &[u8], fingerprint: &Fingerprint, token: &TokenKey) -> Option<Self> {
        let rest = value.strip_prefix(&[VERSION])?;
        let rest = rest.strip_prefix(fingerprint.as_bytes())?.strip_prefix(token.as_bytes())?;
        let (&kind, rest) = rest.split_first()?;
        let (fresh_until, rest) = number(rest)?;
        let (claims_length, rest) = number(rest)?;
        let (jwt_length, rest) = number(rest)?;
        let (claims, jwt) = rest.split_at_checked(usize::try_from(claims_length).ok()?)?;
        if jwt_length != jwt.len() as u64 || kind > SELF_CONTAINED {
            return None;
        }
        let is_of_jws = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let jwt =
            std::str::from_utf8(jwt).ok().filter(|jwt| jwt.bytes().all(|byte| is_of_jws(&byte)))?.to_owned();
        Some(Self {
            fresh_until: Timestamp::from_millis(fresh_until),
            claims: serde_json::from_slice(claims).ok()?,
            jwt: (kind != NO_JWT).then_some(jwt),
            is_self_contained: kind == SELF_CONTAINED,
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

const VERSION: u8 = 3;

const NO_JWT: u8 = 0;
const PHANTOM_TOKEN: u8 = 1;
const SELF_CONTAINED: u8 = 2;

#[cfg(test)]
mod tests;
