//! gRPC, native and gRPC-Web: which requests are calls, and refusals in the form that their clients understand: a `grpc-status`
//! in a response without a body ("Trailers-Only" of gRPC over HTTP/2).

use std::num::NonZeroU64;

/// How a gRPC client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// What it speaks.
    protocol: Protocol,
    /// Whether a host that knows gRPC sees that it is a call, and gives a reply its form itself.
    pub(crate) is_plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Native,
    Web,
    WebText,
}

impl GrpcCall {
    /// How the client of a request with these fields speaks, if it speaks gRPC.
    pub(crate) fn of<'f>(mut fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Option<Self> {
        let (_, written) = fields.find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"))?;
        let protocol = Protocol::of(written)?;
        let behind = written.strip_prefix(Protocol::Native.media_type().as_bytes());
        let is_plain = behind.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')));
        Some(Self { protocol, is_plain })
    }

    /// The media type of its response.
    pub fn media_type(self) -> &'static str {
        self.protocol.media_type()
    }
}

impl Protocol {
    /// The media type counts, in any letter case and with any parameters (RFC 9110 §8.3.1), and not what it says of messages behind a
    /// plus.
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

/// A `grpc-timeout` in milliseconds, rounded up: eight digits at most, and a unit. None, if it is malformed, which counts as absent, or
/// zero, which ends a call before it is looked at.
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

/// So many milliseconds as such a text, and one at least.
pub(crate) fn timeout_value(millis: u64) -> String {
    match millis {
        ..=MAX_TIMEOUT => format!("{}m", millis.max(1)),
        _ => format!("{}S", (millis / 1000).min(MAX_TIMEOUT)),
    }
}

/// What eight digits say.
const MAX_TIMEOUT: u64 = 99_999_999;

/// The field that says how long a call may take.
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
