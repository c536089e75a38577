//! The path of a request in the one form that rules are matched on (RFC 3986 §6.2.2).
//!
//! A gateway and the service behind it must read a path alike, or `/public/..;/admin` is public here and admin there.
//! What servers are known to read differently is not normalised but called [`Ambiguous`]; whether that matters is the
//! rules' affair (R84).

use std::borrow::Cow;

/// Servers read this path in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The path without its query, escapes of unreserved characters decoded and the others in upper case.
///
/// # Errors
/// [`Ambiguous`] for a path that does not start with a slash, an empty or a dot segment, `;`, `\`, `#`, a control
/// or non-ASCII byte, all of these behind an escape, a bad escape, and an escape of an escape.
pub fn normalize(path_and_query: &[u8]) -> Result<Cow<'_, str>, Ambiguous> {
    let path = path_and_query.split(|&byte| byte == b'?').next().unwrap_or_default();
    let path = std::str::from_utf8(path).map_err(|_| Ambiguous)?;
    let normalized =
        if path.contains('%') { Cow::Owned(decode_unreserved(path)?) } else { Cow::Borrowed(path) };
    let segments = normalized.strip_prefix('/').ok_or(Ambiguous)?;
    if !segments.bytes().all(|byte| byte.is_ascii_graphic() && !cuts_short(byte))
        || has_ambiguous_segment(segments)
    {
        return Err(Ambiguous);
    }
    Ok(normalized)
}

/// Whether `path` lies at or below `prefix`. A prefix ends at a segment boundary: `/public` must not open `/publicity`.
pub fn is_below(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn decode_unreserved(path: &str) -> Result<String, Ambiguous> {
    let mut decoded = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    decoded.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(Ambiguous)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Ambiguous);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| Ambiguous)?;
        match byte {
            b'/' | b'%' => return Err(Ambiguous),
            _ if byte.is_ascii_control() || cuts_short(byte) => return Err(Ambiguous),
            b'-' | b'.' | b'_' | b'~' => decoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => decoded.push(char::from(byte)),
            _ => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
        }
        decoded.push_str(rest);
    }
    Ok(decoded)
}

/// Some servers end a segment or the path at one of these.
fn cuts_short(byte: u8) -> bool {
    matches!(byte, b';' | b'\\' | b'#')
}

/// `//` is one slash to some; `.` and `..` climb, for those who resolve them. The last segment may be empty.
fn has_ambiguous_segment(segments: &str) -> bool {
    let mut rest = segments;
    while let Some((segment, after)) = rest.split_once('/') {
        if matches!(segment, "" | "." | "..") {
            return true;
        }
        rest = after;
    }
    matches!(rest, "." | "..")
}

#[cfg(test)]
mod tests;
