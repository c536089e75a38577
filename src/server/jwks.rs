//! The published keys of one authorization server: where they are, how fresh they are, and when they may be fetched again (R63,
//! R64, R66, R117). All workers share a fetched set through the host's shared data.
//!
//! A set that is in use is fetched again before it reaches `max_age`, in the background and by one worker for all. Requests
//! wait for keys only if none are loaded, if the set lacks the key that they need, or if it is older than `max_age` and there
//! was no recent attempt to fetch it.
//!
//! The store does no IO: it names the document that it needs, and receives the result.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::claim;
use crate::fingerprint::Fingerprint;
use crate::host::SharedData;
use crate::http::callout::{CallResult, Target, status};
use crate::json::Object;
use crate::jwt::{Algorithm, Jws, KeySet, UnusableKey, Unverified};
use crate::refusal::Reason;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Where keys are published, and how long they are valid.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    /// Where the JWK Set is found.
    pub(crate) publication: Publication,
    /// More header fields of requests for the keys, names in lower case.
    pub(crate) headers: Arc<[(String, Secret)]>,
    /// The algorithms with which the keys may be used.
    pub(crate) algorithms: Vec<Algorithm>,
    /// The maximum age of a set while a newer one can be fetched.
    pub(crate) max_age: Duration,
    /// The maximum age of the last valid set while none can be fetched.
    pub(crate) max_stale: Duration,
    /// Least time between two fetches.
    pub(crate) cooldown: Duration,
}

impl PublishedKeys {
    /// Parses a published set. Returns `None` if it is malformed.
    pub(crate) fn read(&self, text: &[u8]) -> Option<KeySet> {
        KeySet::parse(text, &self.algorithms).ok()
    }
}

/// How a JWK Set is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    /// At this URL.
    At(Arc<Target>),
    /// At the URL in the server's metadata (RFC 8414, OpenID Connect Discovery), if these are this issuer's (R104).
    Discovered {
        /// Where the metadata are.
        metadata: Arc<Target>,
        /// The accepted values of `issuer`.
        issuers: Vec<String>,
    },
}

/// A document that the store needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The server's metadata.
    Metadata(Arc<Target>),
    /// The JWK Set.
    Keys(Arc<Target>),
}

/// Why a signature cannot be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The signature is wrong or not acceptable.
    Refused,
    /// The signature is by an unknown key, and newer keys may not be fetched now.
    UnknownKey,
    /// There are no usable keys, and they may not be fetched now.
    NoKeys,
    /// This document has to be fetched first: it may lead to the key.
    Missing(Wanted),
}

/// The keys, and when they may be fetched.
pub(crate) struct KeyStore {
    settings: PublishedKeys,
    identity: Fingerprint,
    loaded: Option<Loaded>,
    /// Where the keys are, by the last metadata.
    discovered: Option<Arc<Target>>,
    /// When the last fetch of this worker succeeded or failed.
    attempted_at: Option<Timestamp>,
    /// When this worker last claimed the background fetch, or found it claimed by another.
    claimed_at: Option<Timestamp>,
    /// Whether the host can fetch in the background.
    has_background: bool,
    /// The start times of the fetches in flight.
    open: Vec<Timestamp>,
    looked_at: Option<Timestamp>,
}

struct Loaded {
    keys: KeySet,
    fetched_at: Timestamp,
    /// The maximum age of this set while a newer one can be fetched: as configured, or as the server's response says if that is less.
    max_age: Duration,
}

impl KeyStore {
    /// Creates a store without keys. `identity` distinguishes this server's keys in the shared data from another's.
    pub(crate) fn new(settings: PublishedKeys, identity: Fingerprint, has_background: bool) -> Self {
        Self {
            settings,
            identity,
            loaded: None,
            discovered: None,
            attempted_at: None,
            claimed_at: None,
            has_background,
            open: Vec::new(),
            looked_at: None,
        }
    }

    /// Verifies a signature with the current keys, and returns the fingerprint of the key. If the keys are too old or lack that key, asks
    /// for newer ones, provided that `may_fetch`.
    ///
    /// # Errors
    /// The cause of the failure.
    pub(crate) fn verify(
        &mut self,
        jws: &Jws<'_>,
        may_fetch: bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<Fingerprint, Obstacle> {
        self.correct_age(now);
        let may_ask = may_fetch && self.may_ask(now);
        if !self.is_fresh(now) {
            self.read_shared(now, shared);
        }
        let verified = match self.usable(now) {
            Some(keys) if !may_ask || !self.is_overdue(now) => keys.verify(jws),
            Some(_) => Err(Unverified::UnknownKey),
            None if may_ask => Err(Unverified::UnknownKey),
            None => return Err(Obstacle::NoKeys),
        };
        verified.or_else(|unverified| match unverified {
            Unverified::Refused => Err(Obstacle::Refused),
            Unverified::UnknownKey if self.read_shared(now, shared) => {
                self.verify(jws, may_fetch, now, shared)
            }
            Unverified::UnknownKey if may_ask => Err(Obstacle::Missing(self.wanted())),
            Unverified::UnknownKey => Err(Obstacle::UnknownKey),
        })
    }

    /// Looks for keys that another worker fetched, every [`LOOK_INTERVAL`] at most: entries that a removed key verified must not count here
    /// longer than there (R66).
    pub(crate) fn follow(&mut self, now: Timestamp, shared: &dyn SharedData) {
        if self.looked_at.is_none_or(|looked_at| !now.is_within(LOOK_INTERVAL, looked_at)) {
            self.looked_at = Some(now);
            self.correct_age(now);
            self.read_shared(now, shared);
        }
    }

    /// Whether entries that this key verified still count: the latest known set has the key, and was fetched within `max_stale`.
    pub(crate) fn has(&self, key: &Fingerprint, now: Timestamp) -> bool {
        self.usable(now).is_some_and(|keys| keys.has(key))
    }

    /// Like [`Self::has`], for a key that another worker used, which may have fetched newer keys.
    pub(crate) fn has_here_or_shared(
        &mut self,
        key: &Fingerprint,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> bool {
        self.has(key, now) || (self.read_shared(now, shared) && self.has(key, now))
    }

    /// Whether the set is to be fetched in the background: it is in the last tenth of its time, and as far as this worker knows, no fetch
    /// is in flight or was made lately.
    pub(crate) fn is_refresh_due(&self, now: Timestamp) -> bool {
        let cooldown = self.settings.cooldown;
        let is_claimed = || self.claimed_at.is_some_and(|claimed_at| now.is_within(cooldown, claimed_at));
        self.has_background && self.is_due(now) && !is_claimed() && self.may_ask(now) && !self.is_asked(now)
    }

    /// The document to fetch in the background, if that is due and no other worker does it.
    pub(crate) fn refresh(&mut self, now: Timestamp, shared: &dyn SharedData) -> Option<Wanted> {
        if !self.is_refresh_due(now) || (self.read_shared(now, shared) && !self.is_due(now)) {
            return None;
        }
        self.claimed_at = Some(now);
        self.claims(now, shared).then(|| self.wanted())
    }

    /// The document to fetch before a request needs it: there are no keys, or newer ones are due, and no other worker fetches them.
    pub(crate) fn prefetch(&mut self, now: Timestamp, shared: &dyn SharedData) -> Option<Wanted> {
        if self.loaded.is_some() || self.read_shared(now, shared) {
            return self.refresh(now, shared);
        }
        let is_first = self.may_ask(now) && !self.is_asked(now) && self.claims(now, shared);
        is_first.then(|| self.wanted())
    }

    /// Disables background refresh: the host has no timers.
    pub(crate) fn disable_background_refresh(&mut self) {
        self.has_background = false;
    }

    /// The document to fetch next, after the metadata were taken: the keys.
    pub(crate) fn next(&self) -> Option<Wanted> {
        self.discovered.as_ref().map(|_| self.wanted())
    }

    /// Whether the required document may be fetched now. If so, it counts as a fetch in flight. Requests that cannot share one response
    /// must not each fetch it (R63), nor may the background right after a request did; but without any keys, a few fetches may run at once.
    pub(crate) fn admits(&mut self, now: Timestamp) -> bool {
        self.open.retain(|asked_at| now.is_within(PATIENCE, *asked_at));
        let limit = if self.loaded.is_some() { 1 } else { MAX_FIRST_QUERIES };
        let is_admitted = self.open.len() < limit && self.may_ask(now);
        if is_admitted {
            self.open.push(now);
        }
        is_admitted
    }

    /// Ends a fetch in flight: it has completed, or the client for which it was made is gone.
    pub(crate) fn abandon(&mut self) {
        if !self.open.is_empty() {
            self.open.remove(0);
        }
    }

    /// Takes the metadata that were fetched. They are accepted if they are the issuer's own, and point to the server that they come from:
    /// no response can make the gateway call another host (R104, R112).
    pub(crate) fn take_metadata(&mut self, result: &CallResult<'_>, now: Timestamp) -> Result<(), Reason> {
        self.abandon();
        let located = document(result).and_then(|body| self.locate(body).ok_or(Reason::UnexpectedResponse));
        if located.is_err() {
            self.attempted_at = Some(now);
        }
        self.discovered = Some(Arc::new(located?));
        Ok(())
    }

    /// Takes the keys that were fetched. The last valid set stays if the response is not a JWK Set (R64). A set without usable keys
    /// replaces it, since its server withdraws what it has published.
    ///
    /// # Errors
    /// Why there are no keys: [`Reason::JwksUnavailable`] if the set has no usable one.
    pub(crate) fn take_keys(
        &mut self,
        result: &CallResult<'_>,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Reason> {
        self.abandon();
        self.attempted_at = Some(now);
        self.discovered = None;
        let body = document(result)?;
        // For a server that forbids caching keys, as many do for all responses, the configured interval applies.
        let PublishedKeys { max_age, cooldown, .. } = self.settings;
        let lifetime = result.freshness(now).lifetime().unwrap_or(max_age);
        let loaded = self.load(body, now, lifetime.max(cooldown).min(max_age));
        let loaded = self.loaded.insert(loaded.ok_or(Reason::UnexpectedResponse)?);
        let (max_age, is_empty) = (loaded.max_age, loaded.keys.is_empty());
        self.write_shared(body, now, max_age, shared);
        if is_empty { Err(Reason::JwksUnavailable) } else { Ok(()) }
    }

    /// The keys of the loaded set that are left out.
    pub(crate) fn unusable_keys(&self) -> &[UnusableKey] {
        self.loaded.as_ref().map_or(&[], |loaded| loaded.keys.unusable_keys())
    }

    fn usable(&self, now: Timestamp) -> Option<&KeySet> {
        let loaded = self.loaded.as_ref()?;
        // After the clock was set back, the age is unknown until `correct_age` is called; the set is usable until then.
        let is_usable = !loaded.keys.is_empty() && now < loaded.fetched_at.plus(self.settings.max_stale);
        is_usable.then_some(&loaded.keys)
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| now.is_within(loaded.max_age, loaded.fetched_at))
    }

    /// Whether a set is loaded, and is in the last tenth of its time or beyond.
    fn is_due(&self, now: Timestamp) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| {
            let fresh = loaded.max_age.saturating_sub(loaded.max_age / 10);
            !now.is_within(fresh, loaded.fetched_at)
        })
    }

    /// Whether the set is too old to verify anything before a new one is fetched. While fetches fail, it is used without waiting (R117):
    /// the background retries after each cooldown, and no request waits until a second cooldown has passed.
    fn is_overdue(&self, now: Timestamp) -> bool {
        let Self { settings: PublishedKeys { cooldown, .. }, attempted_at, claimed_at, .. } = self;
        let fetched_at = self.loaded.as_ref().map(|loaded| loaded.fetched_at);
        let last_try = (*attempted_at).max(*claimed_at).filter(|last_try| Some(*last_try) > fetched_at);
        let patience = if self.has_background { cooldown.saturating_mul(2) } else { *cooldown };
        !self.is_fresh(now) && !last_try.is_some_and(|last_try| now.is_within(patience, last_try))
    }

    /// Whether the last attempt, by this worker or by the one that fetched the loaded keys, was long enough ago.
    fn may_ask(&self, now: Timestamp) -> bool {
        let fetched_at = self.loaded.as_ref().map(|loaded| loaded.fetched_at);
        !self.attempted_at.max(fetched_at).is_some_and(|last| now.is_within(self.pause(), last))
    }

    /// The least time between two fetches: a shorter one before the first successful fetch.
    fn pause(&self) -> Duration {
        match self.loaded {
            Some(_) => self.settings.cooldown,
            None => self.settings.cooldown.min(FIRST_COOLDOWN),
        }
    }

    /// Whether a fetch is in flight.
    fn is_asked(&self, now: Timestamp) -> bool {
        self.open.iter().any(|asked_at| now.is_within(PATIENCE, *asked_at))
    }

    /// Corrects a fetch time in the future, from before the clock was set back. The age of the set is then unknown and counts as `max_age`,
    /// so that the set is fetched again at once, and serves for `max_stale` at the longest.
    fn correct_age(&mut self, now: Timestamp) {
        if let Some(loaded) = self.loaded.as_mut().filter(|loaded| now < loaded.fetched_at) {
            loaded.fetched_at = now.minus(loaded.max_age);
        }
    }

    /// Claims a fetch. Returns whether no other worker has claimed it.
    fn claims(&self, now: Timestamp, shared: &dyn SharedData) -> bool {
        let key = format!("{}.refresh", self.shared_key());
        claim(&key, self.identity.as_bytes(), now, now.plus(self.pause()), shared)
    }

    fn wanted(&self) -> Wanted {
        match (&self.discovered, &self.settings.publication) {
            (Some(target), _) | (None, Publication::At(target)) => Wanted::Keys(Arc::clone(target)),
            (None, Publication::Discovered { metadata, .. }) => Wanted::Metadata(Arc::clone(metadata)),
        }
    }

    fn locate(&self, metadata: &[u8]) -> Option<Target> {
        let Publication::Discovered { metadata: target, issuers } = &self.settings.publication else {
            return None;
        };
        let document = Object::parse(metadata).ok()?;
        let issuer = document.get("issuer")?.as_str()?;
        if !issuers.iter().any(|own| own == issuer) {
            return None;
        }
        let origin = format!("{}://{}", target.scheme, target.authority);
        let path = document.get("jwks_uri")?.as_str()?.strip_prefix(&origin)?;
        let is_path =
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        is_path.then(|| Target { path: path.to_owned(), ..Target::clone(target) })
    }

    fn load(&self, body: &[u8], fetched_at: Timestamp, max_age: Duration) -> Option<Loaded> {
        let keys = self.settings.read(body)?;
        Some(Loaded { keys, fetched_at, max_age })
    }

    /// Loads the set that another worker fetched. Returns whether it is newer than the loaded one. A set with a fetch time in the future is
    /// ignored.
    fn read_shared(&mut self, now: Timestamp, shared: &dyn SharedData) -> bool {
        let Some((value, _)) = shared.get(&self.shared_key()) else { return false };
        let Some((fetched_at, max_age, body)) = self.decode(&value) else { return false };
        let is_newer = self.loaded.as_ref().is_none_or(|loaded| fetched_at > loaded.fetched_at);
        if !is_newer || fetched_at > now {
            return false;
        }
        let loaded = self.load(body, fetched_at, max_age.min(self.settings.max_age));
        let is_loaded = loaded.is_some();
        self.loaded = loaded.or_else(|| self.loaded.take());
        is_loaded
    }

    fn write_shared(&self, body: &[u8], now: Timestamp, max_age: Duration, shared: &dyn SharedData) {
        let key = self.shared_key();
        let cas = shared.get(&key).map_or(0, |(_, cas)| cas);
        let max_age = max_age.as_secs().to_be_bytes();
        let value = [&self.identity.as_bytes()[..], &now.as_millis().to_be_bytes(), &max_age, body].concat();
        shared.set(&key, &value, cas);
    }

    fn decode<'v>(&self, value: &'v [u8]) -> Option<(Timestamp, Duration, &'v [u8])> {
        let rest = value.strip_prefix(self.identity.as_bytes())?;
        let (fetched_at, rest) = rest.split_first_chunk()?;
        let (max_age, body) = rest.split_first_chunk()?;
        let max_age = Duration::from_secs(u64::from_be_bytes(*max_age));
        Some((Timestamp::from_millis(u64::from_be_bytes(*fetched_at)), max_age, body))
    }

    /// The key in the shared data, one for each server. If a host mixes keys up, `decode` recognizes that the value is another server's.
    fn shared_key(&self) -> String {
        let [a, b, c, d, ..] = *self.identity.as_bytes();
        format!("phantom-token.keys.{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

/// The document in a response.
///
/// # Errors
/// Why there is no document to read.
fn document<'a>(result: &CallResult<'a>) -> Result<&'a [u8], Reason> {
    let CallResult::Response { headers, body } = *result else {
        return Err(Reason::of_failure(result));
    };
    match status(headers) {
        Some(200) => Ok(body),
        Some(504) => Err(Reason::IntrospectionTimeout),
        _ => Err(Reason::Unavailable),
    }
}

/// How often a worker looks for keys that others fetched.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of concurrent fetches while there are no keys.
const MAX_FIRST_QUERIES: usize = 4;

/// Longer than any response takes: one that has not arrived by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// Equal to the `Retry-After` that clients receive.
const FIRST_COOLDOWN: Duration = Duration::from_secs(5);
