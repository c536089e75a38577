//! How long an answer may be used again: `Cache-Control` and `Age` of the response (RFC 9111 §4.2, §5.2.2), the token's
//! expiry and the operator's limits (R49 to R51).

use std::time::Duration;

use crate::time::Timestamp;

/// What the response's header fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing.
    Unstated,
    /// It is fresh for so long.
    For(Duration),
    /// It must not be used again: `no-store`, `no-cache`, or no time left.
    Forbidden,
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
    /// Reads the header fields of a response. A directive that cannot be understood counts as none left, as RFC 9111
    /// §4.2.1 recommends for stale information.
    pub(crate) fn of(headers: &[(&[u8], &[u8])]) -> Self {
        let values = |name: &'static [u8]| {
            let matches = move |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name);
            headers.iter().filter(matches).map(|field| field.1)
        };
        let mut max_age = None::<u64>;
        for directive in values(b"cache-control").flat_map(|value| value.split(|&byte| byte == b',')) {
            let mut parts = directive.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
                return Self::Forbidden;
            }
            if name.eq_ignore_ascii_case(b"max-age") {
                let seconds = parts.next().and_then(delta_seconds).unwrap_or(0);
                max_age = Some(max_age.map_or(seconds, |earlier| earlier.min(seconds)));
            }
        }
        let age = values(b"age").map(|value| delta_seconds(value).unwrap_or(0)).max().unwrap_or(0);
        match max_age.map(|max_age| max_age.saturating_sub(age)) {
            None => Self::Unstated,
            Some(0) => Self::Forbidden,
            Some(seconds) => Self::For(Duration::from_secs(seconds)),
        }
    }
}

impl TimeToLive {
    /// The time to live of an answer, or none if it is not to be kept.
    pub(crate) fn of(
        self,
        freshness: Freshness,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Duration> {
        let allowed = match freshness {
            Freshness::Unstated => self.max,
            Freshness::For(duration) => duration.min(self.max),
            Freshness::Forbidden => self.despite_no_store?.min(self.max),
        };
        let ttl = expires.map_or(allowed, |expires| allowed.min(expires.since(now)));
        (!ttl.is_zero()).then_some(ttl)
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
