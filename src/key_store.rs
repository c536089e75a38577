//! The published keys of one authorization server: where they are, how fresh they are, and when they may be asked for again
//! (R63, R64, R66). What one worker fetched, all others find in the host's shared data.
//!
//! The store asks nobody itself: it says which document it wants, and is told what became of that.

use std::rc::Rc;
use std::time::Duration;

use crate::cache::{Fingerprint, SharedData};
use crate::callout::{Outcome, Target};
use crate::json::Object;
use crate::jwt::{Algorithm, Jws, KeySet, Unverified};
use crate::rejection::Reason;
use crate::time::Timestamp;

/// Where keys are published, and how long they are good.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    /// Where they are.
    pub(crate) publication: Publication,
    /// With which algorithms they may be used.
    pub(crate) algorithms: Vec<Algorithm>,
    /// How old a set may become before it is fetched again.
    pub(crate) max_age: Duration,
    /// How old the last good set may become while none can be fetched.
    pub(crate) max_stale: Duration,
    /// How long nobody is asked after somebody was.
    pub(crate) cooldown: Duration,
}

/// How a JWK Set is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    /// It is there.
    At(Rc<Target>),
    /// Where the server's metadata say (RFC 8414, OpenID Connect Discovery), if they are this issuer's (R104).
    Discovered {
        /// Where the metadata are.
        metadata: Rc<Target>,
        /// `issuer`.
        issuer: String,
    },
}

/// A document that the store wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The server's metadata.
    Metadata(Rc<Target>),
    /// The JWK Set.
    Keys(Rc<Target>),
}

/// What is in the way of verifying a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It is wrong, or made by a key that is none of the issuer's.
    Refused,
    /// There are no keys, and it is too early to ask for them again.
    NoKeys,
    /// This document may help.
    Missing(Wanted),
}

/// The keys, and when they may be fetched.
pub(crate) struct KeyStore {
    settings: PublishedKeys,
    identity: Fingerprint,
    loaded: Option<Loaded>,
    /// Where the metadata said that the keys are.
    discovered: Option<Rc<Target>>,
    attempted_at: Option<Timestamp>,
    /// When documents were asked for that have not come.
    open: Vec<Timestamp>,
    looked_at: Option<Timestamp>,
}

struct Loaded {
    keys: Rc<KeySet>,
    fetched_at: Timestamp,
    digest: Fingerprint,
}

impl KeyStore {
    /// A store without keys. `identity` tells this server's keys in the shared data from another's.
    pub(crate) fn new(settings: PublishedKeys, identity: Fingerprint) -> Self {
        Self {
            settings,
            identity,
            loaded: None,
            discovered: None,
            attempted_at: None,
            open: Vec::new(),
            looked_at: None,
        }
    }

    /// Verifies a signature by the keys that there are; wants newer ones where these are too old or do not have the key, unless
    /// nobody is `asking`.
    ///
    /// # Errors
    /// What is in the way.
    pub(crate) fn verify(
        &mut self,
        jws: &Jws<'_>,
        asking: bool,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Obstacle> {
        let may_ask = asking && self.may_ask(now);
        if !self.is_fresh(now) {
            self.read_shared(now, shared);
        }
        let verified = match self.usable(now) {
            Some(keys) if self.is_fresh(now) || !may_ask => keys.verify(jws),
            Some(_) => Err(Unverified::UnknownKey),
            None if may_ask => Err(Unverified::UnknownKey),
            None => return Err(Obstacle::NoKeys),
        };
        verified.or_else(|unverified| match unverified {
            Unverified::Refused => Err(Obstacle::Refused),
            Unverified::UnknownKey if self.read_shared(now, shared) => self.verify(jws, asking, now, shared),
            Unverified::UnknownKey if may_ask => Err(Obstacle::Missing(self.wanted())),
            Unverified::UnknownKey => Err(Obstacle::Refused),
        })
    }

    /// Looks for keys that another worker fetched, now and then: what was verified by removed ones must not count here longer
    /// than there (R66).
    pub(crate) fn follow(&mut self, now: Timestamp, shared: &dyn SharedData) {
        if self.looked_at.is_none_or(|looked_at| now >= looked_at.plus(LOOK_INTERVAL)) {
            self.looked_at = Some(now);
            self.read_shared(now, shared);
        }
    }

    /// Whether the document that it wants may be asked for, which then counts as asked. Requests that cannot wait for one
    /// answer together must not ask for it each (R63); but who has no keys at all may ask a few times at once.
    pub(crate) fn admits(&mut self, now: Timestamp) -> bool {
        self.open.retain(|asked_at| now < asked_at.plus(PATIENCE));
        let limit = if self.loaded.is_some() { 1 } else { MAX_FIRST_QUESTIONS };
        let is_admitted = self.open.len() < limit;
        if is_admitted {
            self.open.push(now);
        }
        is_admitted
    }

    /// The answer to a question will not come, since the client is gone for which it was asked.
    pub(crate) fn abandon(&mut self) {
        if !self.open.is_empty() {
            self.open.remove(0);
        }
    }

    /// Until when what is verified now needs no verifying: then newer keys are due.
    pub(crate) fn good_until(&self, now: Timestamp) -> Timestamp {
        let due = self.loaded.as_ref().map(|loaded| loaded.fetched_at.plus(self.settings.max_age));
        let next_attempt = self.attempted_at.map(|attempted_at| attempted_at.plus(self.settings.cooldown));
        due.filter(|due| now < *due).or(next_attempt).unwrap_or(now)
    }

    /// Takes the metadata that were asked for. They are believed if they are the issuer's own, and point to the server that
    /// they come from: no answer makes the gateway call another host (R104, R112).
    pub(crate) fn take_metadata(&mut self, outcome: &Outcome<'_>, now: Timestamp) -> Result<(), Reason> {
        self.note_answer(outcome)?;
        let located = outcome.document().and_then(|body| self.locate(body).ok_or(Reason::UnexpectedResponse));
        if located.is_err() {
            self.attempted_at = Some(now);
        }
        self.discovered = Some(Rc::new(located?));
        Ok(())
    }

    /// Takes the keys that were asked for. The last good set stays if these are none (R64).
    pub(crate) fn take_keys(
        &mut self,
        outcome: &Outcome<'_>,
        now: Timestamp,
        shared: &dyn SharedData,
    ) -> Result<(), Reason> {
        self.note_answer(outcome)?;
        self.attempted_at = Some(now);
        self.discovered = None;
        let body = outcome.document()?;
        self.loaded = Some(self.load(body, now).ok_or(Reason::UnexpectedResponse)?);
        self.write_shared(body, now, shared);
        Ok(())
    }

    /// What tells the keys in use from others.
    pub(crate) fn digest(&self) -> Option<Fingerprint> {
        self.loaded.as_ref().map(|loaded| loaded.digest)
    }

    /// What was withheld was never asked: it says nothing of the server, and another's answer may be on its way.
    fn note_answer(&mut self, outcome: &Outcome<'_>) -> Result<(), Reason> {
        if matches!(outcome, Outcome::Withheld(_)) {
            return Err(outcome.failure());
        }
        self.abandon();
        Ok(())
    }

    fn usable(&self, now: Timestamp) -> Option<Rc<KeySet>> {
        let loaded = self.loaded.as_ref()?;
        (now < loaded.fetched_at.plus(self.settings.max_stale)).then(|| Rc::clone(&loaded.keys))
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| now < loaded.fetched_at.plus(self.settings.max_age))
    }

    /// Whether the last attempt, here or where the keys came from, was long enough ago. Who has no keys yet is less patient.
    fn may_ask(&self, now: Timestamp) -> bool {
        let fetched_at = self.loaded.as_ref().map(|loaded| loaded.fetched_at);
        let pause = match fetched_at {
            Some(_) => self.settings.cooldown,
            None => self.settings.cooldown.min(FIRST_COOLDOWN),
        };
        self.attempted_at.max(fetched_at).is_none_or(|last| now >= last.plus(pause))
    }

    fn wanted(&self) -> Wanted {
        match (&self.discovered, &self.settings.publication) {
            (Some(target), _) | (None, Publication::At(target)) => Wanted::Keys(Rc::clone(target)),
            (None, Publication::Discovered { metadata, .. }) => Wanted::Metadata(Rc::clone(metadata)),
        }
    }

    fn locate(&self, metadata: &[u8]) -> Option<Target> {
        let Publication::Discovered { metadata: target, issuer } = &self.settings.publication else {
            return None;
        };
        let document = Object::parse(metadata).ok()?;
        if document.get("issuer")?.as_str()? != issuer {
            return None;
        }
        let origin = format!("{}://{}", target.scheme, target.authority);
        let path = document.get("jwks_uri")?.as_str()?.strip_prefix(&origin)?;
        let is_path =
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        is_path.then(|| Target { path: path.to_owned(), ..Target::clone(target) })
    }

    fn load(&self, body: &[u8], fetched_at: Timestamp) -> Option<Loaded> {
        let keys = Rc::new(KeySet::parse(body, &self.settings.algorithms).ok()?);
        let digest = keys.digest();
        Some(Loaded { keys, fetched_at, digest })
    }

    /// Reads what another worker fetched. Whether that is newer than what is here; what claims to come from the future is not
    /// ours.
    fn read_shared(&mut self, now: Timestamp, shared: &dyn SharedData) -> bool {
        let Some((value, _)) = shared.get(&self.shared_key()) else { return false };
        let Some((fetched_at, body)) = self.decode(&value) else { return false };
        let is_newer = self.loaded.as_ref().is_none_or(|loaded| fetched_at > loaded.fetched_at);
        if !is_newer || fetched_at > now {
            return false;
        }
        let loaded = self.load(body, fetched_at);
        let is_loaded = loaded.is_some();
        self.loaded = loaded.or_else(|| self.loaded.take());
        is_loaded
    }

    fn write_shared(&self, body: &[u8], now: Timestamp, shared: &dyn SharedData) {
        let key = self.shared_key();
        let cas = shared.get(&key).map_or(0, |(_, cas)| cas);
        let value = [&self.identity.as_bytes()[..], &now.as_millis().to_be_bytes(), body].concat();
        shared.set(&key, &value, cas);
    }

    fn decode<'v>(&self, value: &'v [u8]) -> Option<(Timestamp, &'v [u8])> {
        let rest = value.strip_prefix(self.identity.as_bytes())?;
        let (fetched_at, body) = rest.split_first_chunk()?;
        Some((Timestamp::from_millis(u64::from_be_bytes(*fetched_at)), body))
    }

    /// One for each server; a host that mixes keys up finds that the value is another's.
    fn shared_key(&self) -> String {
        let [a, b, c, d, ..] = *self.identity.as_bytes();
        format!("phantom-token.keys.{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

/// How often a worker looks for keys that others fetched.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many questions for keys may be open where there are none.
const MAX_FIRST_QUESTIONS: usize = 4;

/// Longer than any answer takes: one that has not come will not.
const PATIENCE: Duration = Duration::from_secs(120);

/// As soon as clients are told to come back.
const FIRST_COOLDOWN: Duration = Duration::from_secs(5);
