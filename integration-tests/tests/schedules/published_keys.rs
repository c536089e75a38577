//! The published keys of the authorization server: how they change, which worker has fetched them, and what that means for signatures.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use integration_tests::deterministic_host::{Answer, ContextKey};
use serde_json::{Value, json};

use crate::moment::Moment;
use crate::signer::{Signer, forged};

/// What one configuration promises about keys.
#[derive(Clone, Debug)]
pub struct KeyBounds {
    /// The age after which a set is fetched again.
    pub max_age: Duration,
    /// The maximum age of a set while none can be fetched.
    pub max_stale: Duration,
    /// The time after a fetch without another.
    pub cooldown: Duration,
}

/// The number of a key, which is also its `kid`.
pub type KeyId = usize;

/// The signer of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// No signature, and none is verified.
    Unverified,
    Key(KeyId),
    /// Another key, with the `kid` of a published one.
    Forger,
}

/// The existing keys, and what workers know of them.
pub struct PublishedKeys {
    published: BTreeSet<KeyId>,
    signing: KeyId,
    last: KeyId,
    is_available: bool,
    fetches: Vec<Fetch>,
}

/// The result of a worker's fetch of the keys. `keys` is `None` if it failed.
#[derive(Debug)]
struct Fetch {
    root: ContextKey,
    at: Moment,
    /// Whether the worker has certainly received the response: the host may have refused to let it be read.
    is_certain: bool,
    keys: Option<BTreeSet<KeyId>>,
}

/// The recipient of the response to a callout.
#[derive(Clone, Copy, Debug)]
pub struct Recipient {
    pub root: ContextKey,
    pub at: Moment,
    /// Whether the context that sent the callout still exists.
    pub is_there: bool,
    /// Whether the host may refuse to let the response be read.
    pub is_refusing: bool,
}

impl Recipient {
    /// Whether the response is certainly received.
    pub fn is_certain(&self) -> bool {
        self.is_there && !self.is_refusing
    }
}

impl KeyBounds {
    pub fn random(rng: &mut Rng) -> Self {
        let max_age = Duration::from_secs([5, 60, 600, 600][rng.usize(..4)]);
        Self {
            max_age,
            max_stale: max_age * [1, 10, 1000][rng.usize(..3)],
            cooldown: Duration::from_secs([1, 10][rng.usize(..2)]),
        }
    }

    /// The section `keys` as an operator writes it.
    pub fn configuration(&self, timeout: Duration) -> Value {
        let time = |duration: Duration| format!("{}ms", duration.as_millis());
        json!({
            "jwks_uri": format!("https://login.example.com{KEYS_PATH}"),
            "max_age": time(self.max_age),
            "max_stale": time(self.max_stale),
            "cooldown": time(self.cooldown),
            "timeout": time(timeout),
        })
    }
}

impl PublishedKeys {
    pub fn new() -> Self {
        Self { published: BTreeSet::from([1]), signing: 1, last: 1, is_available: true, fetches: Vec::new() }
    }

    /// Changes the keys at random. Returns a description.
    pub fn change(&mut self, rng: &mut Rng) -> String {
        let what = match rng.u8(..12) {
            0..5 => {
                self.last += 1;
                self.signing = self.last;
                self.published = BTreeSet::from([self.last]);
                "a new key signs, all others are taken back"
            }
            5 | 6 => {
                self.last += 1;
                self.signing = self.last;
                self.published.insert(self.last);
                "a new key signs"
            }
            7 => {
                self.last += 1;
                self.signing = self.last;
                "a key signs that is not published"
            }
            8 => {
                self.published.insert(self.signing);
                "the key that signs is published"
            }
            9 => {
                self.published.remove(&self.signing);
                "the key that signs is taken back"
            }
            10 => {
                self.published.pop_first();
                "the oldest key is taken back"
            }
            _ => {
                self.is_available = !self.is_available;
                "the keys cannot be had any more, or can again"
            }
        };
        format!("{what}: {:?} are published, {} signs", self.published, self.signing)
    }

    /// Returns a JWT of this type, signed by the current key, sometimes by another, or by a forger.
    pub fn sign(&self, media_type: &str, claims: &Value, rng: &mut Rng) -> (String, Signature) {
        let key = if rng.u8(..8) == 0 { rng.usize(1..=self.last) } else { self.signing };
        let jwt = Signer::new(key).sign(media_type, json!({"kid": key.to_string()}), claims);
        if rng.u8(..8) == 0 { (forged(&jwt), Signature::Forger) } else { (jwt, Signature::Key(key)) }
    }

    /// Answers a request for the keys.
    pub fn answer(&mut self, recipient: Recipient, rng: &mut Rng) -> Answer {
        let keys = Some(self.published.clone()).filter(|_| self.is_available && rng.u8(..8) != 0);
        let answer = match &keys {
            Some(keys) => self.document(keys, rng),
            None => match rng.u8(..6) {
                0 => Answer::TimedOut,
                1 => Answer::Refused,
                2 => Answer::Reset,
                3 => Answer::response(500, "text/plain", "oops"),
                4 => Answer::response(200, "application/json", r#"{"keys":"#),
                _ => Answer::response(200, "application/json", vec![b' '; 300_000]),
            },
        };
        self.note(recipient, keys);
        answer
    }

    /// Lets a request for the keys time out.
    pub fn time_out(&mut self, recipient: Recipient) -> Answer {
        self.note(recipient, None);
        Answer::TimedOut
    }

    fn note(&mut self, recipient: Recipient, keys: Option<BTreeSet<KeyId>>) {
        if recipient.is_there {
            let Recipient { root, at, .. } = recipient;
            self.fetches.push(Fetch { root, at, is_certain: recipient.is_certain(), keys });
        }
    }

    /// Describes what a worker learned last.
    pub fn last(&self) -> String {
        self.fetches.last().map(|fetch| format!("{fetch:?}")).unwrap_or_default()
    }

    /// Checks that a withdrawn key counts nowhere any longer a second after any worker has fetched a set without it, and on that worker
    /// immediately.
    pub fn judge_signature(
        &self,
        signature: Signature,
        root: ContextKey,
        now: Moment,
        is_shared: bool,
    ) -> Result<()> {
        let Signature::Key(key) = signature else {
            ensure!(signature == Signature::Unverified, "what a forger signed went on");
            return Ok(());
        };
        let must_know = |fetch: &&Fetch| {
            let is_found = is_shared && fetch.at.elapsed + LOOK_INTERVAL <= now.elapsed;
            fetch.is_certain && (fetch.root == root || is_found)
        };
        let newest = self.sets().filter(must_know).map(|fetch| fetch.at.elapsed).max().unwrap_or_default();
        let counts = self.sets().filter(|fetch| newest <= fetch.at.elapsed).any(|fetch| fetch.has(key));
        ensure!(
            counts,
            "key {key} signed this, which is not among the keys since {newest:?}, and it is {now:?}"
        );
        Ok(())
    }

    /// Checks that no second fetch follows right after another: a client that invents `kid` values must not decide how often keys are
    /// fetched.
    pub fn judge_query(&self, root: ContextKey, bounds: &KeyBounds, now: Moment) -> Result<()> {
        let has_keys =
            self.fetches.iter().any(|fetch| fetch.root == root && fetch.is_certain && fetch.keys.is_some());
        let pause = if has_keys { bounds.cooldown } else { bounds.cooldown.min(FIRST_COOLDOWN) };
        // After the clock was set back, the time since the last fetch is unknown, so a fetch may follow immediately.
        let own = self
            .fetches
            .iter()
            .filter(|fetch| fetch.root == root && fetch.is_certain && fetch.at.clock <= now.clock);
        let last = own.map(|fetch| fetch.at.elapsed).max();
        let is_early = last.is_some_and(|last| now.elapsed < last + pause);
        ensure!(!is_early, "keys are asked for {pause:?} after the last time, or sooner");
        Ok(())
    }

    /// Whether a worker may refuse a signature of this key as unverifiable: no set that the worker has to know contains the key, and it has
    /// fetched as often as it may.
    pub fn may_lack(
        &self,
        key: KeyId,
        root: ContextKey,
        bounds: &KeyBounds,
        now: Moment,
        is_shared: bool,
    ) -> bool {
        let has_tried = self.fetches.iter().any(|fetch| {
            let is_known = fetch.root == root || fetch.keys.is_some();
            let pause = bounds.cooldown.max(FIRST_COOLDOWN);
            // The pause is measured by the host's clock, which may reach the same time again.
            let is_again = fetch.at.clock <= now.clock && now.clock < fetch.at.clock + pause;
            is_known && (is_again || now.elapsed < fetch.at.elapsed + pause)
        });
        has_tried && self.newest(root, is_shared).any(|fetch| !fetch.has(key))
    }

    /// Whether a worker may have no keys that are recent enough: none were fetched, or all were withdrawn (R153).
    pub fn may_have_none(&self, root: ContextKey, bounds: &KeyBounds, now: Moment, is_shared: bool) -> bool {
        let is_usable = |fetch: &Fetch| now.elapsed < fetch.at.elapsed + bounds.max_stale;
        let is_found = |fetch: &Fetch| fetch.is_certain && (fetch.root == root || is_shared);
        let own = self.sets().filter(|fetch| fetch.root == root).last();
        let has_emptied = own.into_iter().chain(self.newest(root, is_shared)).any(Fetch::is_empty);
        has_emptied || !self.sets().any(|fetch| is_found(fetch) && is_usable(fetch))
    }

    /// The newest sets that a worker may have or find: its own, and newer ones of others, which it finds unless the host loses them.
    fn newest(&self, root: ContextKey, is_shared: bool) -> impl Iterator<Item = &Fetch> {
        let is_found = move |fetch: &&Fetch| fetch.is_certain && (fetch.root == root || is_shared);
        let newest = self.sets().filter(is_found).map(|fetch| fetch.at.elapsed).max().unwrap_or_default();
        self.sets().filter(move |fetch| newest <= fetch.at.elapsed)
    }

    fn sets(&self) -> impl Iterator<Item = &Fetch> {
        self.fetches.iter().filter(|fetch| fetch.keys.is_some())
    }

    fn document(&self, keys: &BTreeSet<KeyId>, rng: &mut Rng) -> Answer {
        let mut keys: Vec<Value> = keys.iter().map(|key| public(*key)).collect();
        rng.shuffle(&mut keys);
        Answer::response(200, "application/json", json!({"keys": keys}).to_string())
    }
}

impl Fetch {
    fn is_empty(&self) -> bool {
        self.keys.as_ref().is_some_and(BTreeSet::is_empty)
    }

    fn has(&self, key: KeyId) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.contains(&key))
    }
}

fn public(key: KeyId) -> Value {
    let mut jwk = Signer::new(key).public();
    jwk["kid"] = json!(key.to_string());
    jwk
}

/// The path of the JWK Set.
pub const KEYS_PATH: &str = "/jwks";

/// The time within which all workers follow one that has fetched keys.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum time before a worker that never had keys fetches again.
const FIRST_COOLDOWN: Duration = Duration::from_secs(5);
