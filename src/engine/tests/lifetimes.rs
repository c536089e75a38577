//! Scenarios with responses that are about to expire, have expired, or report that a token is inactive.

use serde_json::{Value, json};

use super::{Worker, bearer};
use crate::host::NoSharedData;
use crate::metrics::Counter;
use crate::testing::{self, MemorySharedData, test};

impl Worker<'_> {
    fn answer_inactive(&mut self, cache_control: &str) {
        let headers = [("content-type", "application/json"), ("cache-control", cache_control)];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
        self.answer = ("200".to_owned(), r#"{"active":false}"#.to_owned(), headers);
    }
}

/// If inactivity were not cached, a client with a dead token would cause an introspection with each request; if it were cached for long, a
/// token that the server did not know yet would stay refused.
#[test]
fn r054_that_a_token_is_not_active_is_known_for_a_few_seconds() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    worker.answer_inactive("max-age=60");
    assert_eq!(worker.get(0, "dead"), "inactive");
    assert_eq!(worker.get(1, "dead"), "inactive");
    assert_eq!((worker.introspections(), worker.counted.of(Counter::CacheHitInactive)), (1, 1));
    assert_eq!(worker.get(1, "other"), "inactive");
    assert_eq!(worker.introspections(), 2, "another token");
    worker.answer_with(testing::jwt(json!({})));
    assert!(worker.get(2, "dead").starts_with("Bearer"));
}

/// A client that uses its refresh token as an access token retries as often as one with a dead token. If the reason were not cached, each
/// retry would cost a query, and a place among those that valid tokens need.
#[test]
fn r128_an_active_token_that_is_refused_for_what_it_is_asks_once() {
    let active = |edits: Value| {
        let mut claims =
            json!({"active": true, "sub": "alice", "token_type": "Bearer", "exp": testing::NOW + 600});
        testing::merge(&mut claims, edits);
        claims.to_string()
    };
    let fields = |cache: &str| {
        vec![("content-type", "application/json".to_owned()), ("cache-control", cache.to_owned())]
    };
    for (edits, reason) in [
        (json!({"token_type": "refresh_token"}), "not_an_access_token"),
        (json!({"token_use": "refresh_token"}), "not_an_access_token"),
        (json!({"token_type": null}), "not_an_access_token"),
        (json!({"cnf": {"kid": "x"}}), "proof_required"),
        (json!({"token_type": "DPoP"}), "proof_required"),
        (json!({"exp": testing::NOW - 60}), "expired"),
        (json!({"exp": 0}), "expired"),
    ] {
        let configuration = json!({
            "introspection": {"response": {"accept": "application/json"}},
            "token": {"require_token_type": true},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        });
        let mut worker = Worker::new(configuration, &NoSharedData);
        worker.answer = ("200".to_owned(), active(edits.clone()), fields("max-age=60"));
        for seconds in [0, 0, 1] {
            assert_eq!(worker.get(seconds, "refresh"), reason, "{edits}");
        }
        assert_eq!(worker.introspections(), 1, "{edits}");
        assert_eq!(worker.counted.of(Counter::CacheHitInactive), 2, "{edits}");
        assert_eq!(worker.get(2, "refresh"), reason, "{edits}");
        assert_eq!(worker.introspections(), 2, "no longer than an inactive one: {edits}");
        worker.answer.2 = fields("no-store");
        assert_eq!([worker.get(9, "refresh"), worker.get(9, "refresh")], [reason, reason], "{edits}");
        assert_eq!(worker.introspections(), 4, "where HTTP forbids it, nothing is kept: {edits}");
    }
}

/// If a failure were cached, it would outlast its cause; a response that HTTP forbids to store is not stored, whatever it says.
#[test]
fn r051_r054_only_server_responses_are_cached_and_only_where_http_allows_it() {
    for (edits, cache_control) in [
        (json!({}), "no-store"),
        (json!({}), "no-cache"),
        (json!({}), "max-age=0"),
        (json!({"cache": {"inactive_ttl": "0s"}}), "max-age=60"),
        (json!({"cache": {"max_ttl": "0s"}}), "max-age=60"),
    ] {
        let mut worker = Worker::new(edits.clone(), &NoSharedData);
        worker.answer_inactive(cache_control);
        assert_eq!((worker.get(0, "dead"), worker.get(0, "dead")), ("inactive".into(), "inactive".into()));
        assert_eq!(worker.introspections(), 2, "{edits} {cache_control}");
    }
    let mut worker = Worker::new(json!({"cache": {"no_store_ttl": "1s"}}), &NoSharedData);
    worker.answer_inactive("no-store");
    assert_eq!((worker.get(0, "dead"), worker.get(0, "dead")), ("inactive".into(), "inactive".into()));
    assert_eq!(worker.introspections(), 1, "the operator overrides it");
    for status in ["500", "503", "404", "302"] {
        let mut worker = Worker::new(json!({}), &NoSharedData);
        worker.answer_status(status);
        worker.get(0, "opaque");
        worker.answer_with(testing::jwt(json!({})));
        assert!(worker.get(0, "opaque").starts_with("Bearer"), "{status}");
    }
}

/// If inactive tokens shared the space of active ones, a client with random tokens could empty the cache.
#[test]
fn r057_a_flood_of_dead_tokens_takes_nothing_from_good_ones() {
    let shared = MemorySharedData::default();
    let mut worker = Worker::new(
        json!({"cache": {"max_entries": 16}, "introspection": {"max_per_second": 1_000_000}}),
        &shared,
    );
    for token in 0..10 {
        assert!(worker.get(0, &format!("good-{token}")).starts_with("Bearer"));
    }
    let entries = shared.values.borrow().len();
    worker.answer_inactive("max-age=60");
    for token in 0..20_000 {
        worker.get(0, &format!("dead-{token}"));
    }
    let before = worker.introspections();
    for token in 0..10 {
        assert!(worker.get(0, &format!("good-{token}")).starts_with("Bearer"));
    }
    assert_eq!(worker.introspections(), before);
    assert_eq!(shared.values.borrow().len(), entries, "others learn nothing of them");
}

/// If a token in use were introspected only when its entry has expired, all of its clients would wait at the same time, once in every time
/// to live.
#[test]
fn an_entry_in_use_is_refreshed_before_it_expires() {
    let mut worker = Worker::new(json!({"cache": {"max_ttl": "1m", "refresh_ahead": "10s"}}), &NoSharedData);
    assert!(worker.get(0, "hot").starts_with("Bearer"));
    assert!(worker.get(49, "hot").starts_with("Bearer"));
    assert_eq!(worker.refresh(49), 0, "too early");
    let refreshed = testing::jwt(json!({"jti": "renewed"}));
    worker.answer_with(refreshed.clone());
    for _ in 0..3 {
        assert!(worker.get(50, "hot").starts_with("Bearer"), "nobody waits");
    }
    assert_eq!(worker.refresh(50), 1, "one asks for all");
    assert_eq!(worker.get(70, "hot"), bearer(&refreshed));
    assert_eq!((worker.introspections(), worker.counted.of(Counter::CacheRefresh)), (2, 1));
    assert_eq!(worker.get(111, "hot"), bearer(&refreshed), "asked again: nobody used it in time");
    assert_eq!(worker.introspections(), 3);
}

/// If a failed refresh removed an entry, refreshing ahead would make an outage worse; without another attempt, the entry would expire all
/// the same.
#[test]
fn a_failed_refresh_keeps_the_entry_and_is_retried() {
    let mut worker = Worker::new(json!({"cache": {"max_ttl": "1m", "refresh_ahead": "20s"}}), &NoSharedData);
    assert!(worker.get(0, "hot").starts_with("Bearer"));
    worker.answer_status("503");
    for seconds in [41, 42, 43, 44] {
        assert!(worker.get(seconds, "hot").starts_with("Bearer"));
        worker.refresh(seconds);
    }
    assert_eq!(worker.introspections(), 3, "every two seconds, as long as an answer may take");
    worker.answer_with(testing::jwt(json!({})));
    assert!(worker.get(50, "hot").starts_with("Bearer"));
    worker.refresh(50);
    assert!(worker.get(100, "hot").starts_with("Bearer"));
    assert_eq!(worker.introspections(), 4);
}

/// If the result of a refresh did not apply at once, a revoked token would be valid for longer than necessary.
#[test]
fn r055_a_refresh_that_finds_a_revoked_token_removes_it() {
    let shared = MemorySharedData::default();
    let settings = json!({"cache": {"max_ttl": "1m", "refresh_ahead": "10s"}});
    let mut worker = Worker::new(settings.clone(), &shared);
    assert!(worker.get(0, "hot").starts_with("Bearer"));
    worker.answer_status("204");
    assert!(worker.get(55, "hot").starts_with("Bearer"));
    assert_eq!(worker.refresh(55), 1);
    assert_eq!(worker.get(55, "hot"), "inactive");
    let mut other = Worker::new(settings, &shared);
    other.answer_status("204");
    assert_eq!(other.get(56, "hot"), "inactive", "nor is it shared any more");
}

/// If every worker refreshed entries for itself, the server would be asked as often as there are workers.
#[test]
fn workers_share_one_refresh() {
    let shared = MemorySharedData::default();
    let settings = json!({"cache": {"max_ttl": "1m", "refresh_ahead": "10s"}});
    let mut workers = [0; 4].map(|_| Worker::new(settings.clone(), &shared));
    for worker in &mut workers {
        assert!(worker.get(0, "hot").starts_with("Bearer"));
    }
    for worker in &mut workers {
        assert!(worker.get(56, "hot").starts_with("Bearer"));
    }
    let asked: Vec<usize> = workers.iter_mut().map(|worker| worker.refresh(57)).collect();
    assert_eq!(asked, [1, 0, 0, 0]);
    for worker in &mut workers {
        assert!(worker.get(59, "hot").starts_with("Bearer"));
        assert_eq!(worker.refresh(59), 0, "what one learned, all have");
        assert!(worker.get(100, "hot").starts_with("Bearer"));
    }
    assert_eq!(workers.iter().map(Worker::introspections).sum::<usize>(), 2);
}

/// A request that is refused must not cause a query; nor does a token that the gateway verifies itself.
#[test]
fn a_denied_request_refreshes_nothing() {
    let rules = json!([{"path": "/orders"}, {"path": "/admin", "scopes": ["admin"]}]);
    let settings = json!({"cache": {"max_ttl": "1m", "refresh_ahead": "10s"}, "rules": rules});
    let mut worker = Worker::new(settings, &NoSharedData);
    assert!(worker.get(0, "hot").starts_with("Bearer"));
    assert_eq!(worker.request(55, "GET", "/admin", Some("Bearer hot")), "insufficient_scope");
    assert_eq!(worker.refresh(55), 0);
    let mut off = Worker::new(json!({"cache": {"refresh_ahead": "0s"}}), &NoSharedData);
    assert!(off.get(0, "hot").starts_with("Bearer"));
    assert!(off.get(299, "hot").starts_with("Bearer"));
    assert_eq!(off.refresh(299), 0);
}

const STALE: &str = r#"{"cache": {"max_ttl": "1m", "refresh_ahead": "0s", "stale_if_error": "5m"}}"#;

fn stale() -> serde_json::Value {
    serde_json::from_str(STALE).expect("JSON")
}

/// If stale entries were used by default, a revoked token would be valid for as long as an attacker keeps the server down.
#[test]
fn r056_nothing_stale_is_served_unless_configured() {
    for (edits, expected) in [(json!({"cache": {"max_ttl": "1m"}}), false), (stale(), true)] {
        for status in ["500", "503", "504"] {
            let mut worker = Worker::new(edits.clone(), &NoSharedData);
            assert!(worker.get(0, "opaque").starts_with("Bearer"));
            worker.answer_status(status);
            assert_eq!(worker.get(61, "opaque").starts_with("Bearer"), expected, "{edits} {status}");
            assert_eq!(worker.counted.of(Counter::CacheHitStale), usize::from(expected));
        }
    }
}

/// A response of the server always takes precedence over a stale entry; a server that responds with nonsense, or refuses the gateway, is
/// not down.
#[test]
fn r056_what_is_stale_serves_only_in_an_outage() {
    for (status, reason) in [
        ("204", "inactive"),
        ("429", "server_rate_limited"),
        ("401", "gateway_credentials_refused"),
        ("404", "unexpected_response"),
        ("200", "unexpected_response"),
    ] {
        let mut worker = Worker::new(stale(), &NoSharedData);
        assert!(worker.get(0, "opaque").starts_with("Bearer"));
        worker.answer_status(status);
        assert_eq!(worker.get(61, "opaque"), reason);
    }
    let mut worker = Worker::new(stale(), &NoSharedData);
    assert!(worker.get(0, "opaque").starts_with("Bearer"));
    worker.answer_status("204");
    assert_eq!(worker.get(61, "opaque"), "inactive");
    worker.answer_status("503");
    assert_eq!(worker.get(70, "opaque"), "unavailable", "it was revoked, and stays so");
}

/// If a token's own expiry did not count, stale entries would make it immortal; so it counts to the second, without leeway.
#[test]
fn r056_nothing_is_served_past_the_tokens_end_or_the_configured_time() {
    let mut worker = Worker::new(stale(), &NoSharedData);
    worker.answer_with(testing::jwt(json!({"exp": testing::NOW + 100})));
    assert!(worker.get(0, "short").starts_with("Bearer"));
    worker.answer_with(testing::jwt(json!({"exp": testing::NOW + 10_000})));
    assert!(worker.get(0, "long").starts_with("Bearer"));
    worker.answer_status("503");
    assert!(worker.get(99, "short").starts_with("Bearer"));
    assert_eq!(worker.get(100, "short"), "unavailable");
    assert!(worker.get(359, "long").starts_with("Bearer"));
    assert_eq!(worker.get(360, "long"), "unavailable");
}

/// RFC 9111 §5.2.2.2: a response that must be revalidated is not used stale, however the gateway is configured.
#[test]
fn r051_r056_http_can_forbid_that_an_answer_is_served_stale() {
    for (cache_control, expected) in [
        ("max-age=60", true),
        ("max-age=60, must-revalidate", false),
        ("no-store", false),
        ("no-cache", false),
    ] {
        let mut configuration = stale();
        configuration["cache"]["no_store_ttl"] = json!("30s");
        let mut worker = Worker::new(configuration, &NoSharedData);
        worker.answer.2.push(("cache-control", cache_control.to_owned()));
        assert!(worker.get(0, "opaque").starts_with("Bearer"));
        worker.answer_status("503");
        assert_eq!(worker.get(61, "opaque").starts_with("Bearer"), expected, "{cache_control}");
    }
}

/// If one worker's knowledge of a revoked token did not reach the others, each would have to introspect it, which is impossible
/// during an outage.
#[test]
fn r056_a_token_that_one_worker_knows_as_revoked_is_stale_for_none() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) = (Worker::new(stale(), &shared), Worker::new(stale(), &shared));
    for worker in [&mut first, &mut second] {
        assert!(worker.get(0, "revoked").starts_with("Bearer"));
        assert!(worker.get(0, "good").starts_with("Bearer"));
    }
    first.answer_status("204");
    assert_eq!(first.get(61, "revoked"), "inactive");
    second.answer_status("503");
    assert_eq!(second.get(62, "revoked"), "unavailable");
    assert!(second.get(62, "good").starts_with("Bearer"));
    second.answer_with(testing::jwt(json!({})));
    assert!(second.get(63, "revoked").starts_with("Bearer"), "the server's latest word counts");
    assert!(first.get(64, "revoked").starts_with("Bearer"));
}

/// Each request is judged by its own rule, whether its entry is fresh or stale.
#[test]
fn r053_what_is_stale_is_validated_like_what_is_fresh_and_other_workers_have_it_too() {
    let shared = MemorySharedData::default();
    let mut configuration = stale();
    configuration["rules"] = json!([{"path": "/orders"}, {"path": "/admin", "scopes": ["admin"]}]);
    let mut first = Worker::new(configuration.clone(), &shared);
    assert!(first.get(0, "opaque").starts_with("Bearer"));
    let mut second = Worker::new(configuration, &shared);
    second.answer_status("503");
    assert!(second.get(61, "opaque").starts_with("Bearer"));
    assert_eq!(second.request(61, "GET", "/admin", Some("Bearer opaque")), "insufficient_scope");
    // A worker that may not use stale entries takes none from one that may.
    let mut strict = Worker::new(json!({"cache": {"max_ttl": "1m"}}), &shared);
    strict.answer_status("503");
    assert_eq!(strict.get(61, "opaque"), "unavailable");
}

/// If long JWTs could fill the host's memory, the number of entries alone would bound nothing.
#[test]
fn r057_what_is_longer_than_its_share_is_not_shared() {
    let shared = MemorySharedData::default();
    let cache = json!({"cache": {"max_entries": 16, "shared_max_bytes": 65_536}});
    let mut worker = Worker::new(cache, &shared);
    for (length, is_shared) in [(3000, true), (5000, false)] {
        let pad = "x".repeat(length * 3 / 4);
        worker.answer_with(testing::jwt(json!({"pad": pad})));
        let before = shared.values.borrow().len();
        assert!(worker.get(0, &format!("token-{length}")).starts_with("Bearer"));
        assert_eq!(shared.values.borrow().len() > before, is_shared, "{length}");
    }
    let longest = shared.values.borrow().values().map(|(value, _)| value.len()).max();
    assert!(longest <= Some(65_536 / 16), "{longest:?}");
}

fn narrowed(worker: &mut Worker<'_>, edits: serde_json::Value, cache_control: &str) {
    worker.answer_with(testing::jwt(edits));
    worker.answer.2.push(("cache-control", cache_control.to_owned()));
}

/// If an older response outlived one that may not be cached, a token with fewer rights than before would regain those it lost, from shared
/// data or in an outage.
#[test]
fn r055_r056_the_latest_response_counts_even_if_uncacheable() {
    let rules = json!([{"path": "/orders", "scopes": ["orders:read"]}]);
    let configured = |cache: serde_json::Value| json!({"cache": cache, "rules": rules});
    let renewing = configured(json!({"max_ttl": "1m", "refresh_ahead": "10s"}));
    for (edits, cache_control, reason) in [
        (json!({"scope": "profile"}), "no-store", "insufficient_scope"),
        (json!({"exp": testing::NOW + 40}), "max-age=60", "expired"),
    ] {
        let shared = MemorySharedData::default();
        let mut worker = Worker::new(renewing.clone(), &shared);
        assert!(worker.get(0, "hot").starts_with("Bearer"));
        assert!(worker.get(50, "hot").starts_with("Bearer"));
        narrowed(&mut worker, edits, cache_control);
        assert_eq!(worker.refresh(50), 1);
        assert_eq!(worker.get(51, "hot"), reason);
    }
    let bounded = json!({
        "max_ttl": "1m", "refresh_ahead": "0s", "stale_if_error": "5m", "max_entries": 16, "shared_max_bytes": 65_536,
    });
    for (edits, cache_control) in [
        (json!({"scope": "profile"}), "no-store"),
        (json!({"scope": "profile", "pad": "x".repeat(5000)}), "max-age=60"),
    ] {
        let shared = MemorySharedData::default();
        let (mut worker, mut other) = (
            Worker::new(configured(bounded.clone()), &shared),
            Worker::new(configured(bounded.clone()), &shared),
        );
        assert!(worker.get(0, "token").starts_with("Bearer"));
        narrowed(&mut worker, edits, cache_control);
        assert_eq!(worker.get(61, "token"), "insufficient_scope");
        other.answer_status("503");
        assert_eq!(other.get(62, "token"), "unavailable", "{cache_control}");
    }
}

/// If the gateway's own limits counted as an outage, the holder of a revoked token would only have to flood the gateway.
#[test]
fn r056_a_flood_is_no_outage() {
    let mut configuration = stale();
    configuration["introspection"] = json!({"max_per_second": 1});
    let mut worker = Worker::new(configuration, &NoSharedData);
    assert!(worker.get(0, "revoked").starts_with("Bearer"));
    worker.answer_status("204");
    assert_eq!(worker.get(100, "made-up"), "inactive");
    assert_eq!(worker.get(100, "revoked"), "introspection_limit");
}

/// If a token that this worker knows competed with random ones once its entry has expired, a flood would shut valid clients out, and a
/// revoked token could hide behind it.
#[test]
fn r114_known_tokens_take_precedence_over_random_ones() {
    let limited = json!({"introspection": {"max_per_second": 10}, "cache": {"max_ttl": "1m"}});
    let mut worker = Worker::new(limited, &NoSharedData);
    assert!(worker.get(0, "known").starts_with("Bearer"));
    assert!(worker.get(0, "revoked").starts_with("Bearer"));
    worker.answer_status("204");
    let answers: Vec<String> = (0..20).map(|token| worker.get(100, &format!("made-up-{token}"))).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "inactive").count(), 9, "{answers:?}");
    assert_eq!(worker.get(100, "revoked"), "inactive");
    worker.answer_with(testing::jwt(json!({})));
    assert_eq!(worker.get(100, "revoked"), "inactive", "it is known to be so");
    assert_eq!(worker.get(100, "known"), "introspection_limit", "one place was kept");
    assert_eq!(worker.get(100, "made-up"), "introspection_limit");
    assert!(worker.get(101, "known").starts_with("Bearer"));
}

/// If a worker that may not send a refresh kept its claim, no other worker would send one either, and clients would wait or be refused.
#[test]
fn r114_a_refresh_that_may_not_be_sent_is_another_workers() {
    let shared = MemorySharedData::default();
    let settings = json!({
        "introspection": {"max_per_second": 1}, "cache": {"max_ttl": "1m", "refresh_ahead": "10s"},
    });
    let mut workers = [0; 2].map(|_| Worker::new(settings.clone(), &shared));
    for worker in &mut workers {
        assert!(worker.get(0, "hot").starts_with("Bearer"));
        assert!(worker.get(56, "hot").starts_with("Bearer"));
    }
    let [flooded, other] = &mut workers;
    flooded.get(57, "made-up");
    assert_eq!((flooded.refresh(57), other.refresh(57)), (0, 1));
}

/// A refresh does not extend the expiry of a token: if it were tried all the same, it would be tried again and again.
#[test]
fn an_entry_that_expires_with_its_token_is_not_refreshed() {
    let mut worker = Worker::new(json!({"cache": {"refresh_ahead": "1m"}}), &NoSharedData);
    worker.answer_with(testing::jwt(json!({"exp": testing::NOW + 100})));
    for seconds in 0..100 {
        assert!(worker.get(seconds, "hot").starts_with("Bearer"));
        assert_eq!(worker.refresh(seconds), 0);
    }
}
