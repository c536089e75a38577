//! Dates in header fields (RFC 9110 §5.6.7), in each of the three forms that servers send: those of RFC 1123, RFC 850 and `asctime`.

use std::time::SystemTime;

use httpdate::parse_http_date;

use crate::time::Timestamp;

/// Parses a date. Returns `None` if it is malformed, or before the Unix epoch.
pub(super) fn parse(value: &[u8]) -> Option<Timestamp> {
    let date = parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(since_epoch))
}
