//! How long an answer may be used again: `Cache-Control` and `Age` of the response (RFC 9111 §4.2, §5.2.2), the token's
//! expiry and the operator's limits (R49 to R51).

use std::time::Duration;

use crate::time::Timestamp;

/// What the response's header fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// How long the answer is fresh: `max-age` minus `Age`, if it says so.
    lifetime: Option<Duration>,
    /// Whether it must not be used again: `no-store`, `no-cache`, or no time left.
    forbidden: bool,
    /// Whether it must not be used when it is stale, be the server down (§5.2.2.2, RFC 5861 §4).
    must_revalidate: bool,
}

/// The operator's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeToLive {
    /// The longest time to live.
    pub(crate) max: Duration,
    /// The time to live of what must not be used again, if that is overridden.
    pub(crate) despite_no_store: Option<Duration>,
}

impl Freshness {
    /// Reads the header fields of a response. A `max-age` that cannot be understood counts as none left, as RFC 9111
    /// §4.2.1 recommends for what looks stale.
    pub(crate) fn of(headers: &[(&[u8], &[u8])]) -> Self {
        let values = |name: &'static [u8]| {
            let matches = move |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name);
            headers.iter().filter(matches).map(|field| field.1)
        };
        let age = values(b"age").map(|value| delta_seconds(value).unwrap_or(0)).max().unwrap_or(0);
        let mut freshness = Self::default();
        for directive in values(b"cache-control").flat_map(|value| value.split(|&byte| byte == b',')) {
            let mut parts = directive.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
                freshness.forbidden = true;
            } else if name.eq_ignore_ascii_case(b"must-revalidate") {
                freshness.must_revalidate = true;
            } else if name.eq_ignore_ascii_case(b"max-age") {
                match parts.next().and_then(delta_seconds).unwrap_or(0).saturating_sub(age) {
                    0 => freshness.forbidden = true,
                    seconds => freshness.shorten(Duration::from_secs(seconds)),
                }
            }
        }
        freshness
    }

    /// Whether it may be used when it is stale.
    pub(crate) fn allows_stale(self) -> bool {
        !self.forbidden && !self.must_revalidate
    }

    fn shorten(&mut self, lifetime: Duration) {
        self.lifetime = Some(self.lifetime.map_or(lifetime, |earlier| earlier.min(lifetime)));
    }
}

impl TimeToLive {
    /// The time to live of an answer, or none if it is not to be kept: the shortest of all limits.
    pub(crate) fn of(
        self,
        freshness: Freshness,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Duration> {
        let despite = if freshness.forbidden { Some(self.despite_no_store?) } else { None };
        let left = expires.map(|expires| expires.since(now));
        let limits = [Some(self.max), freshness.lifetime, despite, left];
        limits.into_iter().flatten().min().filter(|ttl| !ttl.is_zero())
    }
}

/// RFC 9111 §1.2.2 `delta-seconds`; a sender may quote an argument (§5.2). Too great a number is a great one.
fn delta_seconds(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let digits = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
