//! The bytes of an entry in shared data: whose it is, when it ends, and the JWT.
//!
//! `version (1) | fingerprint (32) | token key (32) | fresh until (8) | length (8) | length (8) | claims | JWT`. Numbers are
//! big-endian, moments in milliseconds since the Unix epoch. The lengths are those of the claims, which are JSON, and of the
//! JWT: an entry that was cut is no entry.

use super::key::{Fingerprint, TokenKey};
use crate::claim_header::ClaimHeader;
use crate::claims::Claims;
use crate::grant::Grant;
use crate::time::Timestamp;

/// What one worker tells the others about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The end of its time to live.
    pub(super) fresh_until: Timestamp,
    claims: Claims,
    jwt: String,
}

impl Entry {
    pub(super) fn of(grant: &Grant) -> Self {
        Self { fresh_until: grant.fresh_until(), claims: grant.claims().clone(), jwt: grant.jwt().to_owned() }
    }

    pub(super) fn into_grant(self, claim_headers: &[ClaimHeader]) -> Grant {
        Grant::new(&self.jwt, self.claims, claim_headers, Some(self.fresh_until))
    }

    pub(super) fn encode(&self, fingerprint: &Fingerprint, token: &TokenKey) -> Vec<u8> {
        let claims = serde_json::to_vec(&self.claims).unwrap_or_default();
        let numbers = [self.fresh_until.as_millis(), claims.len() as u64, self.jwt.len() as u64];
        let numbers = numbers.map(u64::to_be_bytes);
        [
            &[VERSION],
            &fingerprint.as_bytes()[..],
            token.as_bytes(),
            numbers.as_flattened(),
            &claims,
            self.jwt.as_bytes(),
        ]
        .concat()
    }

    /// Reads an entry if it is this token's under this configuration.
    pub(super) fn decode(value: &[u8], fingerprint: &Fingerprint, token: &TokenKey) -> Option<Self> {
        let rest = value.strip_prefix(&[VERSION])?;
        let rest = rest.strip_prefix(fingerprint.as_bytes())?.strip_prefix(token.as_bytes())?;
        let (fresh_until, rest) = number(rest)?;
        let (claims_length, rest) = number(rest)?;
        let (jwt_length, rest) = number(rest)?;
        let (claims, jwt) = rest.split_at_checked(usize::try_from(claims_length).ok()?)?;
        if jwt_length != jwt.len() as u64 {
            return None;
        }
        Some(Self {
            fresh_until: Timestamp::from_millis(fresh_until),
            claims: serde_json::from_slice(claims).ok()?,
            jwt: std::str::from_utf8(jwt).ok()?.to_owned(),
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
