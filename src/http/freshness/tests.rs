use super::*;
use crate::testing::{at, test};

fn freshness(fields: &[(&str, &str)]) -> Freshness {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    Freshness::of(&fields, at(0))
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

/// Limits in other fields than `max-age` (RFC 9111, by its sections). If a limit were not read, a response would serve for `cache.max_ttl`
/// although its server wants to be asked each time.
#[test]
fn r191_every_way_to_limit_an_answer_is_read() {
    const NOW: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const MINUTE_LATER: &str = "Thu, 01 Jan 2026 00:01:00 GMT";
    let must_revalidate = |freshness| Freshness { must_revalidate: true, ..freshness };
    for (fields, expected) in [
        // §5.3: an invalid date, "especially the value 0", has passed. ASP.NET sends -1.
        (&[("expires", "0")][..], FORBIDDEN),
        (&[("expires", "-1")], FORBIDDEN),
        (&[("expires", "")], FORBIDDEN),
        (&[("expires", "tomorrow")], FORBIDDEN),
        (&[("expires", "Thu, 01 Jan 1970 00:00:00 GMT")], FORBIDDEN),
        (&[("expires", "Mon, 26 Jul 1997 05:00:00 GMT")], FORBIDDEN),
        (&[("expires", NOW)], FORBIDDEN),
        // §4.2.1: without max-age, from Date to Expires; in each form of RFC 9110 §5.6.7.
        (&[("expires", MINUTE_LATER)], fresh_for(60)),
        (&[("Expires", "Thursday, 01-Jan-26 00:01:00 GMT")], fresh_for(60)),
        (&[("expires", "Thu Jan  1 00:01:00 2026")], fresh_for(60)),
        (&[("expires", MINUTE_LATER), ("date", NOW)], fresh_for(60)),
        (&[("expires", MINUTE_LATER), ("date", "no date")], fresh_for(60)),
        (&[("expires", MINUTE_LATER), ("date", NOW), ("age", "20")], fresh_for(40)),
        (&[("expires", MINUTE_LATER), ("age", "60")], FORBIDDEN),
        (&[("expires", MINUTE_LATER), ("expires", "0")], Freshness { forbidden: true, ..fresh_for(60) }),
        // The server's clock is an hour behind, or ahead.
        (
            &[("expires", "Wed, 31 Dec 2025 23:01:00 GMT"), ("date", "Wed, 31 Dec 2025 23:00:00 GMT")],
            fresh_for(60),
        ),
        (
            &[("expires", "Thu, 01 Jan 2026 01:01:00 GMT"), ("date", "Thu, 01 Jan 2026 01:00:00 GMT")],
            fresh_for(60),
        ),
        (&[("expires", MINUTE_LATER), ("date", MINUTE_LATER)], FORBIDDEN),
        // §5.3: max-age overrides Expires.
        (&[("expires", "0"), ("cache-control", "max-age=60")], fresh_for(60)),
        (&[("expires", MINUTE_LATER), ("cache-control", "max-age=0")], FORBIDDEN),
        (&[("expires", MINUTE_LATER), ("cache-control", "private")], fresh_for(60)),
        (&[("expires", "0"), ("cache-control", "private")], FORBIDDEN),
        (&[("expires", MINUTE_LATER), ("cache-control", "no-store")], FORBIDDEN),
        // §5.2.2.10: the gateway is a shared cache.
        (&[("cache-control", "s-maxage=30, max-age=60")], fresh_for(30)),
        (&[("cache-control", "max-age=30"), ("cache-control", "s-maxage=60")], fresh_for(30)),
        (&[("cache-control", "s-maxage=0, max-age=60")], Freshness { forbidden: true, ..fresh_for(60) }),
        (&[("cache-control", "S-MaxAge=\"60\""), ("expires", "0")], fresh_for(60)),
        (&[("cache-control", "max-age=60, proxy-revalidate")], must_revalidate(fresh_for(60))),
        // §5.2.2.4: only the named fields must not be reused, but their names are not read.
        (
            &[("cache-control", "no-cache=\"set-cookie\", max-age=60")],
            Freshness { forbidden: true, ..fresh_for(60) },
        ),
        (&[("cache-control", "no-cache=\"a, b\"")], FORBIDDEN),
        (&[("cache-control", "private=\"x-user\", max-age=60")], fresh_for(60)),
        (&[("cache-control", "MAX-AGE = 60 , Private")], fresh_for(60)),
        (
            &[("cache-control", "max-age=60"), ("cache-control", "no-cache")],
            Freshness { forbidden: true, ..fresh_for(60) },
        ),
        (&[("cache-control", "public, immutable, stale-while-revalidate=60")], Freshness::default()),
        // §5.4: Pragma counts if there is no Cache-Control.
        (&[("pragma", "no-cache")], FORBIDDEN),
        (&[("Pragma", "x=y, No-Cache")], FORBIDDEN),
        (&[("pragma", "no-cache"), ("cache-control", "max-age=60")], fresh_for(60)),
        (&[("pragma", "public")], Freshness::default()),
        // §4.1: no later request is known to match.
        (&[("vary", "*"), ("cache-control", "max-age=60")], Freshness { forbidden: true, ..fresh_for(60) }),
        (&[("vary", "Accept, *")], FORBIDDEN),
        (&[("vary", "Accept, Authorization")], Freshness::default()),
        // §5.1: an invalid number is ignored; of several, the largest counts.
        (&[("cache-control", "max-age=60"), ("age", "old")], fresh_for(60)),
        (&[("cache-control", "max-age=60"), ("age", "10, 50")], fresh_for(10)),
        (&[("date", NOW)], Freshness::default()),
        (&[("last-modified", NOW), ("etag", "\"1\"")], Freshness::default()),
    ] {
        assert_eq!(freshness(fields), expected, "{fields:?}");
    }
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
