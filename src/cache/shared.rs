//! The cache level in the host's shared data.
//!
//! Hosts keep every key ever written, without bound, time to live or deletion. So there is a fixed number of keys, the slots: a token's
//! digest selects its slot, the entry names its token, and a collision overwrites. Some hosts compare only a checksum of the key. That does
//! no harm either, since no entry is trusted because of its key (R52, R57).

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

    /// Returns the usable entry of a token. An entry that claims to be fresh for longer than any can be is ignored.
    pub(super) fn read(&self, token: &TokenKey, now: Timestamp, shared: &dyn SharedData) -> Option<Entry> {
        let (value, _) = shared.get(&self.key(token))?;
        let mut entry = Entry::decode(&value, &self.fingerprint, token)?;
        let Lifetime { fresh_until, usable_until } = &mut entry.lifetime;
        *usable_until = (*usable_until).min(fresh_until.plus(self.stale_if_error));
        (now < *usable_until && entry.lifetime.is_possible(self.max_ttl, now)).then_some(entry)
    }

    /// Writes the entry of a token. An entry longer than an equal share of the space is not shared, so that one bound limits both the
    /// number of entries and their bytes; an older entry of the token is then revoked.
    pub(super) fn write(&self, token: &TokenKey, entry: &Entry, shared: &dyn SharedData) {
        let value = entry.encode(&self.fingerprint, token);
        if value.len() > self.max_length {
            return self.revoke(token, false, shared);
        }
        let key = self.key(token);
        let cas = shared.get(&key).map_or(0, |(_, cas)| cas);
        shared.set(&key, &value, cas);
    }

    /// Replaces the entry of a token with a mark that the token is no longer valid. Another token's entry in the slot stays, unless
    /// `was_known`: then other workers may know this token as well.
    pub(super) fn revoke(&self, token: &TokenKey, was_known: bool, shared: &dyn SharedData) {
        let key = self.key(token);
        let (value, cas) = shared.get(&key).unwrap_or_default();
        if was_known || Entry::decode(&value, &self.fingerprint, token).is_some() {
            shared.set(&key, &self.revoked(token), cas);
        }
    }

    /// Whether any worker has marked a token as no longer valid.
    pub(super) fn is_revoked(&self, token: &TokenKey, shared: &dyn SharedData) -> bool {
        shared.get(&self.key(token)).is_some_and(|(value, _)| value == self.revoked(token))
    }

    fn revoked(&self, token: &TokenKey) -> Vec<u8> {
        [REVOKED, self.fingerprint.as_bytes(), token.as_bytes()].concat()
    }

    /// Claims the refresh of a token's entry for one worker, until `end`. Returns `false` if another worker has claimed it. If two tokens
    /// share a slot, the later claim replaces the earlier one.
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

    /// The key must not contain `/`: Kong takes what precedes one for the name of a zone.
    fn key(&self, token: &TokenKey) -> String {
        let slot = token.prefix().checked_rem(self.count).unwrap_or_default();
        format!("phantom-token.{slot}")
    }
}

/// Claims a task for one worker, until `end`, among all workers that use the same `owner`. Returns `false` if another worker has claimed
/// it.
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
    // If writing fails although no other worker holds a claim, the claim counts as granted.
    shared.set(key, &claim, cas) || !shared.get(key).is_some_and(|(claim, _)| is_claimed(&claim))
}

/// No entry begins with this: entries begin with their version.
const REVOKED: &[u8] = b"revoked";
