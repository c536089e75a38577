//! How long a response may be reused: by its header fields (RFC 9111 §4.2, §5), the token's expiry and the operator's limits (R49 to R51).
//!
//! The gateway serves many clients from its cache, so directives for shared caches count, too. The shortest of several limits applies, and
//! whatever looks like a limit counts as one, even in a quoted string.

use std::time::Duration;

use super::date;
use crate::time::Timestamp;

/// The freshness that the response's header fields state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The freshness lifetime: `max-age`, or the time from `Date` to `Expires`, minus `Age`, if stated.
    lifetime: Option<Duration>,
    /// Whether the response must not be reused: `no-store`, `no-cache`, `Vary: *` (§4.1), or no time left.
    forbidden: bool,
    /// Whether the response must not be used when it is stale, even if the server is down (§5.2.2.2, §5.2.2.8, RFC 5861 §4).
    must_revalidate: bool,
}

/// The operator's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeToLive {
    /// The longest time to live.
    pub(crate) max: Duration,
    /// The time to live of responses that must not be reused, if the operator overrides that.
    pub(crate) despite_no_store: Option<Duration>,
}

impl Freshness {
    /// Reads the header fields of a response that arrived now. A malformed lifetime counts as none left, as §4.2.1 and §5.3 say of
    /// `max-age` and `Expires`.
    pub(crate) fn of(headers: &[(&[u8], &[u8])], now: Timestamp) -> Self {
        let fields = |name: &'static [u8]| {
            let matches = move |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name);
            headers.iter().filter(matches).map(|field| field.1)
        };
        let members = |name| fields(name).flat_map(|value| value.split(|&byte| byte == b','));
        let age = members(b"age").filter_map(delta_seconds).max().map_or(Duration::ZERO, Duration::from_secs);
        let mut freshness = Self::default();
        for directive in members(b"cache-control") {
            let mut parts = directive.splitn(2, |&byte| byte == b'=');
            match parts.next().unwrap_or_default().trim_ascii().to_ascii_lowercase().as_slice() {
                b"no-store" | b"no-cache" => freshness.forbidden = true,
                b"must-revalidate" | b"proxy-revalidate" => freshness.must_revalidate = true,
                b"max-age" | b"s-maxage" => {
                    freshness.shorten(parts.next().and_then(delta_seconds).unwrap_or(0), age);
                }
                _ => {}
            }
        }
        // Without `Cache-Control`, `Pragma` of HTTP/1.0 counts (§5.4). It is defined for requests, but servers send it in responses with
        // the same meaning.
        let is_old = fields(b"cache-control").next().is_none();
        let is_no_cache = |member: &[u8]| member.trim_ascii().eq_ignore_ascii_case(b"no-cache");
        freshness.forbidden |= is_old && members(b"pragma").any(is_no_cache);
        freshness.forbidden |= members(b"vary").any(|member| member.trim_ascii() == b"*");
        if freshness.lifetime.is_none() && !freshness.forbidden {
            // `Expires` is by the server's clock, which may differ.
            let sent_at = fields(b"date").find_map(date::parse).unwrap_or(now);
            for expires in fields(b"expires") {
                let left = date::parse(expires).map_or(Duration::ZERO, |expires| expires.since(sent_at));
                freshness.shorten(left.as_secs(), age);
            }
        }
        freshness
    }

    /// The remaining freshness lifetime, if stated and positive.
    pub(crate) fn lifetime(self) -> Option<Duration> {
        self.lifetime.filter(|_| !self.forbidden)
    }

    /// Whether the response may be used when it is stale.
    pub(crate) fn allows_stale(self) -> bool {
        !self.forbidden && !self.must_revalidate
    }

    fn shorten(&mut self, seconds: u64, age: Duration) {
        let lifetime = Duration::from_secs(seconds).saturating_sub(age);
        if lifetime.is_zero() {
            self.forbidden = true;
        } else {
            self.lifetime = Some(self.lifetime.map_or(lifetime, |earlier| earlier.min(lifetime)));
        }
    }
}

impl TimeToLive {
    /// The time to live of a response: the shortest of all limits. `None` if the response must not be kept.
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

/// Reads `delta-seconds` (RFC 9111 §1.2.2), which a sender may quote as an argument (§5.2). A number beyond `u64` counts as the largest
/// one.
fn delta_seconds(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let digits = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
