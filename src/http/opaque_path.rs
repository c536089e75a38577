//! Paths with characters that some servers treat as delimiters and others as part of a name: an escaped slash, percent sign, `#` or `?`,
//! and `;`. The characters are kept as part of their segment, together with the readings of other servers (R184).

use super::path::{Ambiguous, has_ambiguous_segment, normalize};

/// A character that can be allowed in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// `%2F`.
    Slash,
    /// `%25`, which is decoded twice by some.
    Percent,
    /// `%23`.
    Hash,
    /// `%3F`.
    QuestionMark,
    /// `;` and `%3B`.
    Semicolon,
}

/// A path with delimiters, and how servers may read it.
pub(crate) struct OpaquePath {
    /// The normalized path, with each delimiter replaced by a character that no pattern has.
    pub(crate) as_written: String,
    /// The paths as read by servers that decode delimiters, once or several times, or that end a segment or the path at them.
    pub(crate) readings: Vec<String>,
    /// The delimiters that occur in any reading.
    pub(crate) delimiters: Vec<Delimiter>,
}

impl OpaquePath {
    /// Reads a path, without its query.
    ///
    /// # Errors
    /// [`Ambiguous`] if servers read the path in different ways for any other reason, if a reading has a dot segment, or if there are too
    /// many readings.
    pub(crate) fn read(path_and_query: &[u8]) -> Result<Self, Ambiguous> {
        let path = path_and_query.split(|&byte| byte == b'?').next().unwrap_or_default();
        let path = std::str::from_utf8(path).map_err(|_| Ambiguous)?;
        let written = pieces(path).map(|piece| Delimiter::of(piece).map_or(piece, |_| STAND_IN));
        let as_written = normalize(written.collect::<String>().as_bytes())?.into_owned();
        let mut readings = Vec::new();
        let mut delimiters: Vec<_> = pieces(path).filter_map(Delimiter::of).collect();
        // Each text with the number of its decodings. All combinations of decodings and removals are tried.
        let mut texts = vec![(decoded(path)?, 1_usize), (decoded(&without_parameters(path))?, 1)];
        let mut index = 0_usize;
        while let Some((text, decodings)) = texts.get(index).cloned() {
            index = index.saturating_add(1);
            delimiters.extend(pieces(&text).filter_map(Delimiter::of));
            readings.push(merged(&text)?);
            let more = [
                (decoded(&text)?, decodings.saturating_add(1)),
                (ended(&text), decodings),
                (without_parameters(&text), decodings),
            ];
            for (text, decodings) in more {
                if texts.iter().any(|(known, _)| *known == text) {
                    continue;
                }
                if decodings > MAX_DECODINGS || texts.len() == MAX_TEXTS {
                    return Err(Ambiguous);
                }
                texts.push((text, decodings));
            }
        }
        Ok(Self { as_written, readings, delimiters })
    }
}

impl Delimiter {
    fn of(piece: &str) -> Option<Self> {
        match piece {
            "%2F" | "%2f" => Some(Self::Slash),
            "%25" => Some(Self::Percent),
            "%23" => Some(Self::Hash),
            "%3F" | "%3f" => Some(Self::QuestionMark),
            ";" | "%3B" | "%3b" => Some(Self::Semicolon),
            _ => None,
        }
    }
}

/// The characters of a text, where an escape of three characters counts as one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digits = rest.strip_prefix('%').and_then(|behind| behind.get(..2));
        let length = match digits {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => 3,
            _ => rest.chars().next()?.len_utf8(),
        };
        let (piece, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(piece)
    })
}

/// Decodes all escapes once. Invalid escapes stay, as they do on servers that decode twice.
fn decoded(text: &str) -> Result<String, Ambiguous> {
    let mut decoded = Vec::with_capacity(text.len());
    for piece in pieces(text) {
        match piece.strip_prefix('%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => decoded.push(byte),
            None => decoded.extend_from_slice(piece.as_bytes()),
        }
    }
    String::from_utf8(decoded).map_err(|_| Ambiguous)
}

/// The path up to `#` or `?`, where some servers end it.
fn ended(text: &str) -> String {
    text.split(['#', '?']).next().unwrap_or_default().to_owned()
}

/// The path without the parameters after `;` in its segments.
fn without_parameters(text: &str) -> String {
    let segments = text.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/")
}

/// The path with adjacent slashes merged.
fn merged(text: &str) -> Result<String, Ambiguous> {
    let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    let path = segments.join("/");
    let is_ambiguous = has_ambiguous_segment(&path) || path.contains('\\');
    if is_ambiguous { Err(Ambiguous) } else { Ok(format!("/{path}")) }
}

/// The first private-use character, escaped: no pattern has it.
const STAND_IN: &str = "%EE%80%80";

/// After this many decodings there must be nothing left to decode.
const MAX_DECODINGS: usize = 3;

/// More readings than any legitimate path has.
const MAX_TEXTS: usize = 64;

#[cfg(test)]
mod tests;
