//! Scenarios with published keys over time: tokens in use while keys age, are added, are removed, or cannot be fetched.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Capabilities, Worker, bearer};
use crate::host::{NoSharedData, SharedData};
use crate::testing::signer::{p256, public, signed_jwt};
use crate::testing::{self, MemorySharedData, NOW, test};

fn published(edits: Value) -> Value {
    let mut configuration = json!({
        "introspection": {"max_per_second": 1_000_000},
        "keys": {"jwks_uri": "https://login.example.com/jwks", "cooldown": "30s", "max_age": "10m", "max_stale": "2h"},
    });
    testing::merge(&mut configuration, edits);
    configuration
}

fn set(names: &[&str]) -> String {
    let keys: Vec<Value> = names.iter().map(|name| public(&p256(), json!({"kid": name}))).collect();
    json!({"keys": keys}).to_string()
}

fn jwt_by(key: &str) -> String {
    let mut claims = testing::claims();
    testing::merge(&mut claims, json!({"client_id": "app", "jti": key, "exp": NOW + 100_000}));
    signed_jwt(key, &claims)
}

fn name(token: u64) -> String {
    format!("token-{token}")
}

fn worker(edits: Value, shared: &dyn SharedData) -> Worker<'_> {
    worker_on(Capabilities::ALL, edits, shared)
}

fn worker_on(capabilities: Capabilities, edits: Value, shared: &dyn SharedData) -> Worker<'_> {
    let mut worker = Worker::with_capabilities(published(edits), capabilities, shared);
    worker.keys = set(&["k1"]);
    worker.answer_with(jwt_by("k1"));
    worker
}

impl Worker<'_> {
    /// Sends a request with a token, then the background calls that are due. Returns the outcome of the request.
    fn use_token(&mut self, seconds: u64, token: &str) -> String {
        let outcome = self.get(seconds, token);
        self.refresh(seconds);
        outcome
    }
}

/// Introduces one of `tokens` tokens every five seconds, and uses each every ten seconds until `end`. Returns the number of introspections
/// in each second.
fn in_use(worker: &mut Worker<'_>, tokens: u64, end: u64) -> Vec<usize> {
    let mut queries = Vec::new();
    for seconds in 0..end {
        let before = worker.introspections();
        for token in 0..tokens {
            let first = 5 * token;
            if seconds >= first && (seconds - first) % 10 == 0 {
                let outcome = worker.get(seconds, &name(token));
                assert!(outcome.starts_with("Bearer"), "{outcome} at {seconds}");
            }
        }
        worker.refresh(seconds);
        queries.push(worker.introspections() - before);
    }
    queries
}

/// If entries expired when the keys reach their maximum age, all tokens in use would be introspected within seconds, every `max_age`, and
/// those beyond the limits would be refused.
#[test]
fn r117_entries_do_not_all_expire_at_once() {
    let mut worker = worker(json!({"cache": {"max_ttl": "5m"}}), &NoSharedData);
    let queries = in_use(&mut worker, 50, 1300);
    let most = queries.iter().max().copied().unwrap_or_default();
    assert!(most <= 5, "{most} introspections in one second");
    let around: usize = queries[590..620].iter().sum();
    assert!(around <= 10, "{around} introspections when the first keys would be ten minutes old");
    assert_eq!(worker.documents(), 3, "keys are fetched ahead of their age, and once");
}

/// If keys were fetched only once they are too old, all requests that need a verification would wait for that.
#[test]
fn r117_requests_do_not_wait_for_keys_in_use() {
    for edits in [json!({"cache": {"max_ttl": "5m"}}), json!({"cache": {"max_ttl": "0s"}})] {
        let mut worker = worker(edits.clone(), &NoSharedData);
        assert_eq!(worker.use_token(0, "first"), bearer(&jwt_by("k1")));
        for seconds in (10..2000).step_by(10) {
            let before = worker.documents();
            assert!(worker.get(seconds, &name(seconds / 20)).starts_with("Bearer"), "{edits} {seconds}");
            assert_eq!(worker.documents(), before, "{edits}: a request waits at {seconds}");
            worker.refresh(seconds);
        }
        assert_eq!(worker.documents(), 4, "{edits}");
    }
}

/// If every worker fetched keys for itself, the server would be asked as often as there are workers.
#[test]
fn r117_one_worker_fetches_for_all() {
    let shared = MemorySharedData::default();
    let mut workers = [0; 4].map(|_| worker(json!({"cache": {"max_ttl": "3h"}}), &shared));
    for seconds in 0..1000 {
        for worker in &mut workers {
            assert!(worker.get(seconds, "token").starts_with("Bearer"));
        }
        for worker in &mut workers {
            worker.refresh(seconds);
        }
    }
    assert_eq!(workers.iter().map(Worker::documents).sum::<usize>(), 2);
    assert_eq!(workers.iter().map(Worker::introspections).sum::<usize>(), 1);
}

/// If an outage of the keys invalidated entries, it would become a flood of introspections that yield nothing new; if requests waited for
/// each attempt to fetch keys, it would become an outage of the API.
#[test]
fn r117_while_keys_cannot_be_fetched_known_tokens_are_cache_hits() {
    let shared = MemorySharedData::default();
    let mut workers = [0; 2].map(|_| worker(json!({"cache": {"max_ttl": "3h"}}), &shared));
    for worker in &mut workers {
        in_use(worker, 8, 100);
        worker.keys.clear();
    }
    let introspections = |workers: &[Worker<'_>]| workers.iter().map(Worker::introspections).sum::<usize>();
    let before = introspections(&workers);
    for seconds in 100..1000 {
        for worker in &mut workers {
            let documents = worker.documents();
            for token in 0..8 {
                assert!(worker.get(seconds, &name(token)).starts_with("Bearer"));
            }
            assert_eq!(worker.documents(), documents, "a request waits at {seconds}");
        }
        for worker in &mut workers {
            worker.refresh(seconds);
        }
    }
    assert_eq!(introspections(&workers), before);
    let attempts: usize = workers.iter().map(Worker::documents).sum::<usize>() - 1;
    assert!((10..=16).contains(&attempts), "{attempts} in 460 s, by a cool-down of 30 s for both workers");
    for worker in &mut workers {
        let documents = worker.documents();
        assert_eq!(worker.get(1000, "new"), bearer(&jwt_by("k1")), "verified by the keys at hand");
        assert_eq!(worker.documents(), documents);
    }
}

/// If an old set stayed valid forever while none can be fetched, a key that was removed for a reason would stay valid for as long as its
/// thief keeps the server's keys from the gateway.
#[test]
fn r064_r066_nothing_counts_that_was_verified_by_keys_older_than_max_stale() {
    let stale = json!({"cache": {"max_ttl": "1day", "stale_if_error": "1day"}, "keys": {"max_stale": "1h"}});
    let mut worker = worker(stale, &NoSharedData);
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    worker.keys.clear();
    for seconds in (10..3600).step_by(10) {
        assert!(worker.use_token(seconds, "token").starts_with("Bearer"), "{seconds}");
    }
    assert_eq!(worker.use_token(3600, "token"), "jwks_unavailable");
    worker.answer_status("503");
    assert_eq!(worker.use_token(3601, "token"), "unavailable", "nor is it served as a stale answer");
    worker.keys = set(&["k1"]);
    worker.answer_with(jwt_by("k1"));
    assert!(worker.use_token(3700, "token").starts_with("Bearer"));
}

/// If each new key, or each fetch while two nodes of a server publish different ones, caused an introspection for each token, a rotation
/// would be a flood.
#[test]
fn r118_a_key_that_is_added_costs_no_introspection() {
    let shared = MemorySharedData::default();
    let mut workers = [0; 2].map(|_| worker(json!({"cache": {"max_ttl": "3h"}}), &shared));
    let [first, second] = &mut workers;
    for token in 0..12 {
        first.get(0, &name(token));
        second.get(0, &name(token));
    }
    first.keys = set(&["k1", "k2"]);
    first.answer_with(jwt_by("k2"));
    assert_eq!(
        second.get(40, &name(0)),
        bearer(&jwt_by("k1")),
        "it looks for newer keys, once in this second"
    );
    assert_eq!(first.get(40, "newer"), bearer(&jwt_by("k2")));
    assert_eq!(
        second.get(40, "newer"),
        bearer(&jwt_by("k2")),
        "the other worker has its key in the same second"
    );
    let before = (first.introspections(), second.introspections());
    for token in 0..12 {
        assert_eq!(first.get(41, &name(token)), bearer(&jwt_by("k1")));
        assert_eq!(second.get(41, &name(token)), bearer(&jwt_by("k1")));
    }
    assert_eq!((first.introspections(), second.introspections()), before);
    assert_eq!((before, second.documents()), ((13, 0), 0));
}

/// If tokens verified by a removed key stayed valid, a stolen key would be usable for as long as the cache keeps what it signed; if all
/// other tokens were invalidated as well, each rotation would be a flood.
#[test]
fn r066_r118_a_key_that_is_removed_ends_what_it_verified_and_nothing_else() {
    let shared = MemorySharedData::default();
    let configuration = json!({"cache": {"max_ttl": "3h", "stale_if_error": "3h"}});
    let mut workers = [0; 2].map(|_| worker(configuration.clone(), &shared));
    let [first, second] = &mut workers;
    first.keys = set(&["k1", "k2"]);
    for (token, key) in [("one", "k1"), ("two", "k2")] {
        first.answer_with(jwt_by(key));
        assert_eq!(first.get(0, token), bearer(&jwt_by(key)));
        assert_eq!(second.get(0, token), bearer(&jwt_by(key)));
    }
    first.keys = set(&["k2"]);
    assert_eq!(first.use_token(539, "two"), bearer(&jwt_by("k2")));
    assert_eq!(first.documents(), 1, "too early");
    assert_eq!(first.use_token(540, "two"), bearer(&jwt_by("k2")));
    assert_eq!(first.documents(), 2);
    let mut third = worker(configuration, &shared);
    for worker in [first, second, &mut third] {
        worker.answer_status("503");
        let before = worker.introspections();
        assert_eq!(worker.get(541, "two"), bearer(&jwt_by("k2")));
        assert_eq!(worker.introspections(), before);
        assert_eq!(worker.get(541, "one"), "unavailable", "not even while the server is down");
    }
}

/// A key's name and algorithm are part of its identity: under another name, or published for another algorithm, it might verify none of the
/// same tokens.
#[test]
fn r066_the_same_key_under_another_name_is_another() {
    let mut worker = worker(json!({"cache": {"max_ttl": "3h"}}), &NoSharedData);
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    worker.keys = set(&["renamed"]);
    assert!(worker.use_token(540, "token").starts_with("Bearer"), "fetched behind this request");
    assert_eq!(worker.get(541, "token"), "response_signature_invalid");
}

/// If responses verified by published keys were not refreshed ahead, their clients would wait once in every time to live.
#[test]
fn r117_entries_verified_by_published_keys_are_refreshed_ahead_as_well() {
    let edits = json!({"cache": {"max_ttl": "12m", "refresh_ahead": "10s"}});
    let mut worker = worker(edits, &NoSharedData);
    for seconds in (0..3000).step_by(5) {
        let before = worker.introspections();
        assert!(worker.get(seconds, "hot").starts_with("Bearer"));
        assert_eq!(worker.introspections() - before, usize::from(seconds == 0), "nobody waits at {seconds}");
        worker.refresh(seconds);
    }
    assert_eq!(worker.introspections(), 1 + 3000 / 710);
}

/// If keys that cannot be fetched kept entries from being refreshed, an outage of the keys would make all clients wait for introspections.
#[test]
fn r117_entries_are_refreshed_ahead_while_keys_cannot_be_fetched() {
    let mut worker = worker(json!({"cache": {"max_ttl": "2m", "refresh_ahead": "10s"}}), &NoSharedData);
    for seconds in (0..2000).step_by(5) {
        let before = worker.introspections();
        assert!(worker.get(seconds, "hot").starts_with("Bearer"));
        assert_eq!(
            worker.introspections() - before,
            usize::from(seconds == 0),
            "a request waits at {seconds}"
        );
        worker.refresh(seconds);
        worker.keys.clear();
    }
}

/// If a background response signed with a new key caused no fetch, refreshes would fail until the entry expires, and then all
/// requests would wait.
#[test]
fn r119_a_refresh_fetches_the_keys_that_its_response_needs() {
    let discovery = "https://login.example.com/.well-known/openid-configuration";
    for keys in [json!({}), json!({"jwks_uri": null, "metadata_url": discovery})] {
        let edits = json!({
            "cache": {"max_ttl": "2m", "refresh_ahead": "30s"}, "keys": keys,
            "token": {"issuer": "https://login.example.com"},
        });
        let mut worker = worker(edits, &NoSharedData);
        worker.metadata = json!({
            "issuer": "https://login.example.com", "jwks_uri": "https://login.example.com/jwks",
        })
        .to_string();
        assert!(worker.use_token(0, "hot").starts_with("Bearer"));
        let before = worker.documents();
        worker.keys = set(&["k2"]);
        worker.answer_with(jwt_by("k2"));
        for seconds in 85..100 {
            assert!(worker.use_token(seconds, "hot").starts_with("Bearer"), "{keys} {seconds}");
        }
        assert_eq!(worker.get(100, "hot"), bearer(&jwt_by("k2")), "{keys}");
        assert_eq!(worker.documents(), 2 * before, "{keys}");
    }
}

/// If no fetch were made after keys have become too old in an idle hour, a removed key would be accepted once more.
#[test]
fn r066_after_an_idle_time_nothing_is_verified_by_old_keys() {
    let mut worker = worker(json!({}), &NoSharedData);
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    worker.keys = set(&["k2"]);
    assert_eq!(worker.get(3000, "another"), "response_signature_invalid", "it waits for the new keys");
}

/// On a host without timers, nothing is fetched ahead. If requests did not wait there for keys that are too old, the keys would be used
/// until `max_stale`.
#[test]
fn r066_without_timers_requests_wait_for_keys_that_are_too_old() {
    for has_timers in [true, false] {
        let cache = if has_timers { json!({"refresh_ahead": "0s"}) } else { json!({}) };
        let capabilities = Capabilities { has_timers, ..Capabilities::ALL };
        let mut worker = worker_on(capabilities, json!({"cache": cache}), &NoSharedData);
        for seconds in (0..1800).step_by(20) {
            assert!(worker.get(seconds, &name(seconds)).starts_with("Bearer"), "{seconds}");
            assert_eq!(worker.queued(), 0, "{seconds}");
        }
        assert_eq!(worker.documents(), 3);
    }
}

/// If setting the clock back made entries or keys live longer, a revoked token or a removed key would be valid for as long as the clock was
/// wrong.
#[test]
fn r055_r066_a_clock_that_is_set_back_makes_nothing_live_longer() {
    for shared in [&MemorySharedData::default() as &dyn SharedData, &NoSharedData] {
        let mut worker = worker(json!({"cache": {"max_ttl": "5m"}}), shared);
        assert!(worker.use_token(7200, "token").starts_with("Bearer"));
        worker.keys = set(&["k2"]);
        let before = (worker.introspections(), worker.documents());
        assert_eq!(worker.get(0, "token"), "response_signature_invalid");
        assert_eq!((worker.introspections(), worker.documents()), (before.0 + 1, before.1 + 1));
        worker.answer_with(jwt_by("k2"));
        assert_eq!(worker.get(1, "token"), bearer(&jwt_by("k2")));
        worker.answer_with(jwt_by("k3"));
        worker.keys = set(&["k3"]);
        assert_eq!(worker.get(31, "other"), bearer(&jwt_by("k3")), "and the cool-down is of the new time");
    }
}

/// If knowledge from before the clock was set back kept workers from another's newer keys, they would accept a removed key.
#[test]
fn r066_a_clock_that_is_set_back_keeps_newer_keys_from_no_worker() {
    let shared = MemorySharedData::default();
    let mut workers = [0; 2].map(|_| worker(json!({"cache": {"max_ttl": "3h"}}), &shared));
    let [first, second] = &mut workers;
    for worker in [&mut *first, &mut *second] {
        assert!(worker.use_token(7200, "token").starts_with("Bearer"));
    }
    first.keys = set(&["k2"]);
    first.answer_with(jwt_by("k2"));
    assert_eq!(first.get(0, "other"), bearer(&jwt_by("k2")));
    second.answer_status("503");
    assert_eq!(second.get(0, "token"), "unavailable");
    assert_eq!(second.get(0, "other"), bearer(&jwt_by("k2")));
    assert_eq!(second.documents(), 0);
}

/// If a background fetch that was due were sent although a request has fetched the keys meanwhile, they would be fetched twice within one
/// cooldown.
#[test]
fn r063_what_a_request_has_fetched_is_not_fetched_again_in_the_background() {
    let mut worker = worker(json!({"cache": {"max_ttl": "3h"}}), &NoSharedData);
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    assert!(worker.get(540, "token").starts_with("Bearer"));
    assert_eq!(worker.queued(), 1, "it is due");
    worker.keys = set(&["k2"]);
    worker.answer_with(jwt_by("k2"));
    assert_eq!(worker.get(540, "another"), bearer(&jwt_by("k2")));
    let before = worker.documents();
    worker.refresh(540);
    assert_eq!(worker.documents(), before);
}

/// If requests that need a verification waited for each attempt, an outage of the keys would delay all new tokens.
#[test]
fn r117_while_keys_cannot_be_fetched_new_tokens_do_not_wait_either() {
    let mut worker = worker(json!({"cache": {"max_ttl": "0s"}}), &NoSharedData);
    assert!(worker.use_token(0, "first").starts_with("Bearer"));
    worker.keys.clear();
    for seconds in (10..1000).step_by(10) {
        let before = worker.documents();
        assert!(worker.get(seconds, &name(seconds)).starts_with("Bearer"), "{seconds}");
        assert_eq!(worker.documents(), before, "a request waits at {seconds}");
        worker.refresh(seconds);
    }
    assert!(worker.documents() > 10, "the background tries again");
}

/// If metadata fetched in the background were not followed by a fetch of the keys, these would arrive a cooldown later, or too late.
#[test]
fn r117_discovered_keys_are_fetched_ahead_as_well() {
    let discovery = "https://login.example.com/.well-known/openid-configuration";
    let edits = json!({
        "cache": {"max_ttl": "3h"}, "keys": {"jwks_uri": null, "metadata_url": discovery},
        "token": {"issuer": "https://login.example.com"},
    });
    let mut worker = worker(edits, &NoSharedData);
    let metadata =
        json!({"issuer": "https://login.example.com", "jwks_uri": "https://login.example.com/jwks"});
    worker.metadata = metadata.to_string();
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    assert!(worker.use_token(540, "token").starts_with("Bearer"));
    worker.refresh(540);
    assert_eq!(worker.documents(), 4);
}

/// If an attempt recorded before the clock was set back counted as one in the future, nothing would be fetched until that time.
#[test]
fn r066_a_clock_that_is_set_back_does_not_keep_keys_from_being_fetched_in_the_background() {
    let mut worker = worker(json!({"cache": {"max_ttl": "3h"}}), &NoSharedData);
    assert!(worker.use_token(0, "token").starts_with("Bearer"));
    worker.keys.clear();
    assert!(worker.use_token(5000, "token").starts_with("Bearer"));
    let before = worker.documents();
    assert!(worker.use_token(1000, "token").starts_with("Bearer"));
    assert_eq!(worker.documents(), before + 1);
}

impl Worker<'_> {
    /// Runs a tick of a host that fetches keys without a request. Returns the number of calls.
    fn fetch_keys(&mut self, seconds: u64) -> usize {
        let counted = Rc::clone(&self.counted);
        self.driver.engine().fetch_keys(super::host(seconds, self.shared, &counted));
        self.refresh(seconds)
    }
}

/// If the first request had to fetch keys, it would wait for them; if each worker fetched them, a start would cause as many fetches as
/// there are workers; if no fetch followed a failed one, keys would be missing until a request; and if one followed each tick, a server
/// that is down would be asked all the time.
#[test]
fn r261_keys_are_fetched_without_a_request_once_for_all_until_they_are_there_and_when_they_are_due() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (worker(json!({}), &shared), worker(json!({}), &shared));
    first.keys.clear();
    assert_eq!((first.fetch_keys(0), second.fetch_keys(0)), (1, 0));
    let fetches = (1..60).map(|seconds| first.fetch_keys(seconds)).sum::<usize>();
    assert!((5..=12).contains(&fetches), "{fetches} fetches that fail in a minute");
    first.keys = set(&["k1"]);
    let fetches = (60..70).map(|seconds| first.fetch_keys(seconds)).sum::<usize>();
    assert_eq!(fetches, 1, "it has come");
    assert_eq!(second.fetch_keys(70), 0, "it is there");
    second.keys.clear();
    assert_eq!(second.get(71, "a"), bearer(&jwt_by("k1")), "without a fetch");
    assert_eq!(second.documents(), 0);
    let fetches = (71..1_271).map(|seconds| first.fetch_keys(seconds)).sum::<usize>();
    assert!((2..=3).contains(&fetches), "{fetches} fetches in twice the age of keys");
}

/// If keys were fetched this way for workers that share nothing, they would not benefit.
#[test]
fn r261_without_shared_data_no_keys_are_fetched_without_a_request() {
    let mut worker = worker(json!({"cache": {"shared": false}}), &NoSharedData);
    assert_eq!(worker.fetch_keys(0), 0);
}
