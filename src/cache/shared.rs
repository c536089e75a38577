//! The level in the host's shared data.
//!
//! Hosts keep every key ever written, without bound, time to live or deletion. So there is a fixed number of keys, the slots: a
//! token's digest selects its slot, the entry names its token, and a collision overwrites. Some hosts compare only a checksum
//! of the key, which this survives as well: nothing is trusted by its key (R52, R57).

use std::time::Duration;

use super::entry::Entry;
use super::settings::CacheSettings;
use crate::fingerprint::Fingerprint;
use crate::host::SharedData;
use crate::http::lifetime::Lifetime;
use crate::time::Timestamp;
use crate::token_key::TokenKey;

/// A fixed number of keys, with values of bounded length.
pub(super) struct Slots {
    count: u64,
    max_length: usize,
    fingerprint: Fingerprint,
    max_ttl: Duration,
    stale_if_error: Duration,
}

impl Slots {
    pub(super) fn new(settings: &CacheSettings, fingerprint: Fingerprint) -> Self {
        let CacheSettings { max_entries, max_ttl, stale_if_error, .. } = *settings;
        let count = max_entries.max(1);
        Self {
            count: count as u64,
            max_length: settings.shared_bytes() / count,
            fingerprint,
            max_ttl,
            stale_if_error,
        }
    }

    /// The usable entry of a token. One that claims to be fresh for longer than any can be is not ours.
    pub(super) fn read(&self, token: &TokenKey, now: Timestamp, shared: &dyn SharedData) -> Option<Entry> {
        let (value, _) = shared.get(&self.key(token))?;
        let mut entry = Entry::decode(&value, &self.fingerprint, token)?;
        let Lifetime { fresh_until, usable_until } = &mut entry.lifetime;
        *usable_until = (*usable_until).min(fresh_until.plus(self.stale_if_error));
        (now < *usable_until && entry.lifetime.is_possible(self.max_ttl, now)).then_some(entry)
    }

    /// Writes the entry of a token. One that is longer than an equal share is not shared, so that one bound keeps the number of
    /// entries and their bytes; nor is an older one then.
    pub(super) fn write(&self, token: &TokenKey, entry: &Entry, shared: &dyn SharedData) {
        let value = entry.encode(&self.fingerprint, token);
        if value.len() > self.max_length {
            return self.revoke(token, false, shared);
        }
        let key = self.key(token);
        let cas = shared.get(&key).map_or(0, |(_, cas)| cas);
        shared.set(&key, &value, cas);
    }

    /// Puts a mark in the place of a token's entry that it counts no more. Another's in its slot stays, unless `was_known`: then
    /// other workers may know the token as well.
    pub(super) fn revoke(&self, token: &TokenKey, was_known: bool, shared: &dyn SharedData) {
        let key = self.key(token);
        let (value, cas) = shared.get(&key).unwrap_or_default();
        if was_known || Entry::decode(&value, &self.fingerprint, token).is_some() {
            shared.set(&key, &self.revoked(token), cas);
        }
    }

    /// Whether the server said to any worker that a token counts no more.
    pub(super) fn is_revoked(&self, token: &TokenKey, shared: &dyn SharedData) -> bool {
        shared.get(&self.key(token)).is_some_and(|(value, _)| value == self.revoked(token))
    }

    fn revoked(&self, token: &TokenKey) -> Vec<u8> {
        [REVOKED, self.fingerprint.as_bytes(), token.as_bytes()].concat()
    }

    /// Claims the refresh of a token's entry for one worker, until `end`. Whether no other has it; where two tokens have one slot,
    /// the later claim stands.
    pub(super) fn claim_refresh(
        &self,
        token: &TokenKey,
        now: Timestamp,
        end: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        let key = format!("{}.refresh", self.key(token));
        let owner = [*self.fingerprint.as_bytes(), *token.as_bytes()];
        claim(&key, owner.as_flattened(), now, end, shared)
    }

    /// No `/` in it: Kong takes what is before one for the name of a zone.
    fn key(&self, token: &TokenKey) -> String {
        let slot = token.prefix().checked_rem(self.count).unwrap_or_default();
        format!("phantom-token.{slot}")
    }
}

/// Claims for one worker, until `end`, what all workers that are this `owner` could do. Whether no other worker has claimed it.
pub(crate) fn claim(
    key: &str,
    owner: &[u8],
    now: Timestamp,
    end: Timestamp,
    shared: &dyn SharedData,
) -> bool {
    let is_claimed = |claim: &[u8]| {
        let claimed_until = claim.strip_prefix(owner).and_then(<[u8]>::first_chunk);
        let claimed_until = claimed_until.map(|bytes| Timestamp::from_millis(u64::from_be_bytes(*bytes)));
        claimed_until.is_some_and(|other| now < other && other <= end)
    };
    let (claim, cas) = shared.get(key).unwrap_or_default();
    if is_claimed(&claim) {
        return false;
    }
    let claim = [owner, &end.as_millis().to_be_bytes()].concat();
    // If nothing can be written, no other worker holds a claim.
    shared.set(key, &claim, cas) || !shared.get(key).is_some_and(|(claim, _)| is_claimed(&claim))
}

/// No entry begins like this: those begin with their version.
const REVOKED: &[u8] = b"revoked";
