//! Normalizes the path of a request to the one form that rules are matched on (RFC 3986 §6.2.2).
//!
//! A gateway and the service behind it must read a path alike, or `/public/..;/admin` is public here and admin there. Servers decode
//! escapes, whether RFC 3986 calls the character reserved or not, so the normalized form is the decoded one. A path that servers are known
//! to read differently has no normalized form: it is [`Ambiguous`], and the rules decide whether that matters (R84). `opaque_path` reads
//! those ambiguous paths that rules can allow.

use std::borrow::Cow;

use super::byte_class::ByteClass;

/// Servers read this path in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// Normalizes a path: removes the query and decodes the escapes.
///
/// # Errors
/// [`Ambiguous`] for a path that does not start with a slash; for an empty segment other than the last, a dot segment, or one with a space
/// at an end; for `;` (the Greek question mark included), `\`, `#` and control characters, written or escaped; for an escaped `/`, `%` or
/// `?`; for an invalid escape; and for a path that is not ASCII as written, or not UTF-8 when decoded.
pub fn normalize(path_and_query: &[u8]) -> Result<Cow<'_, str>, Ambiguous> {
    let end = path_and_query.iter().position(|&byte| byte == b'?');
    let path = end.and_then(|end| path_and_query.get(..end)).unwrap_or(path_and_query);
    if is_plain(path)
        && let Ok(path) = std::str::from_utf8(path)
    {
        return Ok(Cow::Borrowed(path));
    }
    normalize_odd(path)
}

/// Folds a normalized path as case-insensitive services read it. Patterns are ASCII, so only characters that become ASCII matter: capitals,
/// the few letters whose other case is ASCII (Unicode's full case folding, and its simple one for U+0130), and characters that are
/// canonically equivalent to an ASCII one. Folding keeps the segments.
pub(crate) fn fold(path: &str) -> Cow<'_, str> {
    if FOLDED.has_all(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let mut folded = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '\u{df}' | '\u{1e9e}' => folded.push_str("ss"),
            '\u{130}' | '\u{131}' => folded.push('i'),
            '\u{17f}' => folded.push('s'),
            '\u{1fef}' => folded.push('`'),
            '\u{212a}' => folded.push('k'),
            '\u{fb00}' => folded.push_str("ff"),
            '\u{fb01}' => folded.push_str("fi"),
            '\u{fb02}' => folded.push_str("fl"),
            '\u{fb03}' => folded.push_str("ffi"),
            '\u{fb04}' => folded.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => folded.push_str("st"),
            other => folded.push(other.to_ascii_lowercase()),
        }
    }
    Cow::Owned(folded)
}

/// Whether a quick check finds nothing in a path that servers could read in different ways, as in nearly all paths.
fn is_plain(path: &[u8]) -> bool {
    let Some((b'/', rest)) = path.split_first() else { return false };
    let mut before = b'/';
    rest.iter().all(|&byte| {
        let is_border = matches!(byte, b'/' | b'.') && before != b'/';
        before = byte;
        is_border || PLAIN.has(byte)
    })
}

fn normalize_odd(path: &[u8]) -> Result<Cow<'_, str>, Ambiguous> {
    if path.iter().any(|&byte| !byte.is_ascii_graphic() || cuts_short(byte)) {
        return Err(Ambiguous);
    }
    let path = std::str::from_utf8(path).map_err(|_| Ambiguous)?;
    let decoded = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let segments = decoded.strip_prefix('/').ok_or(Ambiguous)?;
    if has_ambiguous_segment(segments) { Err(Ambiguous) } else { Ok(decoded) }
}

fn decode(path: &str) -> Result<String, Ambiguous> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut pieces = path.split('%');
    decoded.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(Ambiguous)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Ambiguous);
        }
        match u8::from_str_radix(digits, 16).map_err(|_| Ambiguous)? {
            b'/' | b'%' | b'?' => return Err(Ambiguous),
            byte if cuts_short(byte) => return Err(Ambiguous),
            byte => decoded.push(byte),
        }
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).map_err(|_| Ambiguous)
}

/// Whether some servers end a segment or the path at this byte, or take it for a slash.
fn cuts_short(byte: u8) -> bool {
    matches!(byte, b';' | b'\\' | b'#')
}

/// Whether servers read a segment in different ways: some merge empty segments, resolve `.` and `..`, or cut off spaces and control
/// characters. The last segment may be empty.
pub(super) fn has_ambiguous_segment(segments: &str) -> bool {
    let is_ambiguous = |segment: &str| {
        matches!(segment, "." | "..")
            || segment.trim() != segment
            || segment.contains(|character: char| character.is_control() || character == GREEK_QUESTION_MARK)
    };
    let (directories, last) =
        segments.rsplit_once('/').map_or((None, segments), |(all, last)| (Some(all), last));
    let mut directories = directories.into_iter().flat_map(|all| all.split('/'));
    is_ambiguous(last) || directories.any(|segment| segment.is_empty() || is_ambiguous(segment))
}

/// The characters that may be anywhere in a plain segment.
const PLAIN: &ByteClass = &ByteClass::alphanumeric_and(b"-_~");

/// The common characters of paths that case folding does not change.
const FOLDED: &ByteClass = &ByteClass::alphanumeric_and(b"-_~/.").without(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");

/// NFC turns this character into a semicolon.
const GREEK_QUESTION_MARK: char = '\u{37e}';

#[cfg(test)]
mod tests;
