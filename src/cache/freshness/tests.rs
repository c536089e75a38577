use super::*;
use crate::testing::{at, test};

fn freshness(fields: &[(&str, &str)]) -> Freshness {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    Freshness::of(&fields)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn r050_r051_cache_control_and_age_are_read() {
    for (control, expected) in [
        ("max-age=60", Freshness::For(seconds(60))),
        ("Max-Age=60", Freshness::For(seconds(60))),
        ("private, max-age=60", Freshness::For(seconds(60))),
        ("max-age=\"60\"", Freshness::For(seconds(60))),
        ("max-age=90, max-age=60", Freshness::For(seconds(60))),
        ("max-age=0", Freshness::Forbidden),
        ("max-age=60, no-store", Freshness::Forbidden),
        ("No-Cache", Freshness::Forbidden),
        ("max-age", Freshness::Forbidden),
        ("max-age=-1", Freshness::Forbidden),
        ("max-age=1.5", Freshness::Forbidden),
        ("max-age=99999999999999999999", Freshness::For(seconds(u64::MAX))),
        ("private", Freshness::Unstated),
        ("x-no-store", Freshness::Unstated),
    ] {
        assert_eq!(freshness(&[("cache-control", control)]), expected, "{control}");
    }
    assert_eq!(freshness(&[]), Freshness::Unstated);
    assert_eq!(freshness(&[("Cache-Control", "max-age=60"), ("Age", "20")]), Freshness::For(seconds(40)));
    assert_eq!(freshness(&[("cache-control", "max-age=60"), ("age", "60")]), Freshness::Forbidden);
    assert_eq!(
        freshness(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]),
        Freshness::Forbidden
    );
}

/// If any of the three limits were left out, a token could live in the cache beyond its own end.
#[test]
fn r049_r050_the_shortest_limit_counts() {
    let limits = TimeToLive { max: seconds(300), despite_no_store: None };
    let ttl = |freshness, expires: Option<u64>| {
        limits.of(freshness, expires.map(at), at(0)).map(|ttl| ttl.as_secs())
    };
    assert_eq!(ttl(Freshness::Unstated, None), Some(300));
    assert_eq!(ttl(Freshness::For(seconds(60)), Some(100)), Some(60));
    assert_eq!(ttl(Freshness::For(seconds(600)), Some(100)), Some(100));
    assert_eq!(ttl(Freshness::For(seconds(600)), Some(1000)), Some(300));
    assert_eq!(ttl(Freshness::Unstated, Some(0)), None);
    assert_eq!(ttl(Freshness::Forbidden, None), None);
}

#[test]
fn r051_the_override_is_capped_like_everything() {
    let limits = TimeToLive { max: seconds(20), despite_no_store: Some(seconds(30)) };
    assert_eq!(limits.of(Freshness::Forbidden, None, at(0)), Some(seconds(20)));
    assert_eq!(limits.of(Freshness::Forbidden, Some(at(5)), at(0)), Some(seconds(5)));
    let off = TimeToLive { max: Duration::ZERO, despite_no_store: Some(seconds(30)) };
    assert_eq!(off.of(Freshness::Forbidden, None, at(0)), None);
    assert_eq!(off.of(Freshness::For(seconds(9)), None, at(0)), None);
}
