//! Inputs that a person can read and write: a few characters that select choices, followed by text.

use arbitrary::{Arbitrary, Result, Unstructured};

/// One of `N` choices, selected by one character: `0` is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<const N: u8>(pub u8);

impl<'a, const N: u8> Arbitrary<'a> for Choice<N> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(bytes.arbitrary::<u8>()?.wrapping_sub(b'0') % N))
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

/// Splits a text at lines of four hyphens. Missing parts are empty.
pub fn parts<const N: usize>(text: &[u8]) -> [&[u8]; N] {
    let mut rest = Some(text);
    std::array::from_fn(|_| {
        let text = rest.unwrap_or_default();
        match text.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
            Some(end) => {
                rest = text.get(end + SEPARATOR.len()..);
                text.get(..end).unwrap_or_default()
            }
            None => {
                rest = None;
                text
            }
        }
    })
}

/// Returns the lines of a text up to the first empty one, and the text after that.
pub fn lines(text: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        if line.is_empty() {
            return (lines, rest);
        }
        lines.push(line);
    }
}

const SEPARATOR: &[u8] = b"\n----\n";
