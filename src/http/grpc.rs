//! gRPC, native and gRPC-Web: recognizes calls, and writes refusals in the form that gRPC clients understand, a `grpc-status` in a response
//! without a body ("Trailers-Only" of gRPC over HTTP/2).

use std::num::NonZeroU64;

/// A gRPC call, by the protocol of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    protocol: Protocol,
    /// Whether a host that knows gRPC recognizes the call, and converts a reply to gRPC itself.
    pub(crate) is_plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Native,
    Web,
    WebText,
}

impl GrpcCall {
    /// The gRPC call of a request with these header fields; `None` if it is not one.
    pub(crate) fn of<'f>(mut fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Option<Self> {
        let (_, written) = fields.find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"))?;
        let protocol = Protocol::of(written)?;
        let behind = written.strip_prefix(Protocol::Native.media_type().as_bytes());
        let is_plain = behind.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')));
        Some(Self { protocol, is_plain })
    }

    /// The media type of the response.
    pub fn media_type(self) -> &'static str {
        self.protocol.media_type()
    }
}

impl Protocol {
    /// Matches the media type in any letter case and with any parameters (RFC 9110 §8.3.1), whatever message format follows the plus.
    fn of(content_type: &[u8]) -> Option<Self> {
        let base = content_type.split(|byte| b";+".contains(byte)).next()?.trim_ascii();
        let all = [Self::Native, Self::Web, Self::WebText];
        all.into_iter().find(|protocol| base.eq_ignore_ascii_case(protocol.media_type().as_bytes()))
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Native => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

/// Reads a `grpc-timeout`, at most eight digits and a unit, as milliseconds, rounded up. Returns `None` if it is malformed, which counts as
/// absent, or zero, which ends a call before it is processed.
pub(crate) fn timeout(value: &[u8]) -> Option<NonZeroU64> {
    let (unit, digits) = value.split_last()?;
    let is_number = matches!(digits.len(), 1..=8) && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    NonZeroU64::new(match unit {
        b'H' => number.saturating_mul(3_600_000),
        b'M' => number.saturating_mul(60_000),
        b'S' => number.saturating_mul(1000),
        b'm' => number,
        b'u' => number.div_ceil(1000),
        b'n' => number.div_ceil(1_000_000),
        _ => return None,
    })
}

/// Writes milliseconds as a `grpc-timeout`, one at least.
pub(crate) fn timeout_value(millis: u64) -> String {
    match millis {
        ..=MAX_TIMEOUT => format!("{}m", millis.max(1)),
        _ => format!("{}S", (millis / 1000).min(MAX_TIMEOUT)),
    }
}

/// The largest number of eight digits.
const MAX_TIMEOUT: u64 = 99_999_999;

/// The header field with the time limit of a call.
pub(crate) const TIMEOUT: &str = "grpc-timeout";

/// Percent-encodes everything except visible ASCII and space, and the percent sign itself (`grpc-message`).
pub(crate) fn message(text: &str) -> String {
    let mut message = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => message.push_str("%25"),
            b' '..=b'~' => message.push(byte.into()),
            _ => message.push_str(&format!("%{byte:02X}")),
        }
    }
    message
}

#[cfg(test)]
mod tests;
