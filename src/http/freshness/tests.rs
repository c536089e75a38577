use super::*;
use crate::testing::{at, test};

fn freshness(fields: &[(&str, &str)]) -> Freshness {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    Freshness::of(&fields)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fresh_for(seconds: u64) -> Freshness {
    Freshness { lifetime: Some(Duration::from_secs(seconds)), ..Freshness::default() }
}

const FORBIDDEN: Freshness = Freshness { lifetime: None, forbidden: true, must_revalidate: false };

#[test]
fn r050_r051_cache_control_and_age_are_read() {
    for (control, expected) in [
        ("max-age=60", fresh_for(60)),
        ("Max-Age=60", fresh_for(60)),
        ("private, max-age=60", fresh_for(60)),
        ("max-age=\"60\"", fresh_for(60)),
        ("max-age=90, max-age=60", fresh_for(60)),
        ("max-age=60, no-store", Freshness { forbidden: true, ..fresh_for(60) }),
        ("max-age=99999999999999999999", fresh_for(u64::MAX)),
        ("max-age=0", FORBIDDEN),
        ("No-Cache", FORBIDDEN),
        ("max-age", FORBIDDEN),
        ("max-age=-1", FORBIDDEN),
        ("max-age=1.5", FORBIDDEN),
        ("private", Freshness::default()),
        ("x-no-store", Freshness::default()),
    ] {
        assert_eq!(freshness(&[("cache-control", control)]), expected, "{control}");
    }
    assert_eq!(freshness(&[]), Freshness::default());
    assert_eq!(freshness(&[("Cache-Control", "max-age=60"), ("Age", "20")]), fresh_for(40));
    assert_eq!(freshness(&[("cache-control", "max-age=60"), ("age", "60")]), FORBIDDEN);
    assert_eq!(freshness(&[("age", "5"), ("cache-control", "max-age=60"), ("age", "20")]), fresh_for(40));
    assert_eq!(freshness(&[("cache-control", "private"), ("cache-control", "no-store")]), FORBIDDEN);
}

/// If any of the limits were left out, a token could live in the cache beyond its own end.
#[test]
fn r049_r050_the_shortest_limit_counts() {
    let limits = TimeToLive { max: seconds(300), despite_no_store: None };
    let ttl = |freshness, expires: Option<u64>| {
        limits.of(freshness, expires.map(at), at(0)).map(|ttl| ttl.as_secs())
    };
    assert_eq!(ttl(Freshness::default(), None), Some(300));
    assert_eq!(ttl(fresh_for(60), Some(100)), Some(60));
    assert_eq!(ttl(fresh_for(600), Some(100)), Some(100));
    assert_eq!(ttl(fresh_for(600), Some(1000)), Some(300));
    assert_eq!(ttl(Freshness::default(), Some(0)), None);
    assert_eq!(ttl(FORBIDDEN, None), None);
}

#[test]
fn r051_the_override_is_capped_like_everything() {
    let limits = TimeToLive { max: seconds(20), despite_no_store: Some(seconds(10)) };
    assert_eq!(limits.of(FORBIDDEN, None, at(0)), Some(seconds(10)));
    assert_eq!(limits.of(FORBIDDEN, Some(at(5)), at(0)), Some(seconds(5)));
    assert_eq!(limits.of(Freshness { forbidden: true, ..fresh_for(3) }, None, at(0)), Some(seconds(3)));
    let off = TimeToLive { max: Duration::ZERO, despite_no_store: Some(seconds(10)) };
    assert_eq!(off.of(FORBIDDEN, None, at(0)), None);
    assert_eq!(off.of(fresh_for(9), None, at(0)), None);
}
