//! The bytes of an entry in shared data: whose it is, when it ends, and the JWT.
//!
//! `version (1) | fingerprint (32) | token key (32) | fresh until (8) | expires (8) | not before (8) | length (8) | JWT`.
//! Numbers are big-endian, moments in milliseconds since the Unix epoch; for `expires` all ones, for `not before` zero mean
//! "none". The length is the JWT's: an entry that was cut is no entry.

use super::key::{Fingerprint, TokenKey};
use crate::grant::Grant;
use crate::jwt::PhantomToken;
use crate::time::{Timestamp, Validity};

/// What one worker tells the others about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The end of its time to live.
    pub(super) fresh_until: Timestamp,
    validity: Validity,
    jwt: String,
}

impl Entry {
    pub(super) fn of(grant: &Grant) -> Self {
        Self {
            fresh_until: grant.fresh_until(),
            validity: grant.validity(),
            jwt: grant.phantom_token().to_owned(),
        }
    }

    /// The grant that it stands for; none if the JWT is none, which no worker writes.
    pub(super) fn into_grant(self) -> Option<Grant> {
        let phantom_token = PhantomToken::parse(&self.jwt).ok()?;
        let mut grant = Grant::new(phantom_token, self.validity);
        grant.set_fresh_until(self.fresh_until);
        Some(grant)
    }

    pub(super) fn encode(&self, fingerprint: &Fingerprint, token: &TokenKey) -> Vec<u8> {
        let expires = self.validity.expires.map_or(NEVER, Timestamp::as_millis);
        let not_before = self.validity.not_before.map_or(0, Timestamp::as_millis);
        let length = self.jwt.len() as u64;
        let numbers = [self.fresh_until.as_millis(), expires, not_before, length].map(u64::to_be_bytes);
        [
            &[VERSION],
            &fingerprint.as_bytes()[..],
            token.as_bytes(),
            numbers.as_flattened(),
            self.jwt.as_bytes(),
        ]
        .concat()
    }

    /// Reads an entry if it is this token's under this configuration.
    pub(super) fn decode(value: &[u8], fingerprint: &Fingerprint, token: &TokenKey) -> Option<Self> {
        let rest = value.strip_prefix(&[VERSION])?;
        let rest = rest.strip_prefix(fingerprint.as_bytes())?.strip_prefix(token.as_bytes())?;
        let (fresh_until, rest) = number(rest)?;
        let (expires, rest) = number(rest)?;
        let (not_before, rest) = number(rest)?;
        let (length, jwt) = number(rest)?;
        if length != jwt.len() as u64 {
            return None;
        }
        Some(Self {
            fresh_until: Timestamp::from_millis(fresh_until),
            validity: Validity {
                expires: (expires != NEVER).then_some(Timestamp::from_millis(expires)),
                not_before: (not_before != 0).then_some(Timestamp::from_millis(not_before)),
            },
            jwt: std::str::from_utf8(jwt).ok()?.to_owned(),
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

const VERSION: u8 = 1;
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
