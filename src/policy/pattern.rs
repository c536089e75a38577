//! Path patterns: `/orders` with everything below it, `/orders` alone, `/orders/{id}`.

use crate::http::path;

/// A pattern for normalized paths, split into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    is_exact: bool,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text.
    Literal(Box<str>),
    /// Any text; the name of the placeholder does not matter.
    Placeholder,
}

impl PathPattern {
    /// Parses a path in which whole segments may be placeholders in braces, as OpenAPI and Envoy's URI templates write them. A pattern
    /// without placeholders also matches all that lies below it, one with them does not, unless `is_exact` says otherwise.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str, is_exact: Option<bool>) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err(r#"must start with "/""#);
        }
        if text.len() > 1 && text.ends_with('/') {
            return Err(r#"must not end with "/": it is for that anyway"#);
        }
        if !path::normalize(text.as_bytes()).is_ok_and(|normalized| normalized == text) {
            return Err("must be a plain path: no query, no dot segments, no escapes");
        }
        if segments(text).any(is_of_another_notation) {
            return Err(
                "must not have *, :id, [id] and the like: what lies below is included anyway, and a placeholder is {id}",
            );
        }
        let segments: Option<Vec<_>> = segments(text).map(Segment::parse).collect();
        let segments =
            segments.ok_or("must have braces only around a whole segment with a name, like /orders/{id}")?;
        let has_placeholders = segments.contains(&Segment::Placeholder);
        Ok(Self { segments, is_exact: is_exact.unwrap_or(has_placeholders) })
    }

    /// Whether the other pattern is the same except for letter case.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let is_alike = |(ours, theirs): (&Segment, &Segment)| match (ours, theirs) {
            (Segment::Literal(ours), Segment::Literal(theirs)) => ours.eq_ignore_ascii_case(theirs),
            (ours, theirs) => ours == theirs,
        };
        self.is_exact == other.is_exact
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(is_alike)
    }

    /// Whether the pattern matches every path.
    pub(super) fn is_everything(&self) -> bool {
        self.segments.is_empty() && !self.is_exact
    }

    /// Whether the pattern matches paths of one depth alone.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether these segments of a path, as far as the pattern covers them, are spelled as in the pattern, including letter case.
    pub(super) fn is_spelled(&self, path: &[&str]) -> bool {
        self.segments.iter().zip(path).all(|(segment, text)| match segment {
            Segment::Literal(literal) => **literal == **text,
            Segment::Placeholder => true,
        })
    }

    pub(super) fn has_upper_case(&self) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Literal(literal) => literal.bytes().any(|byte| byte.is_ascii_uppercase()),
            Segment::Placeholder => false,
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if is_name(name) => Some(Self::Placeholder),
            None if !text.contains(['{', '}']) => Some(Self::Literal(text.into())),
            _ => None,
        }
    }
}

/// Whether a segment looks like a pattern of another router: globs, regular expressions, `:id`, `[id]`, `<id>`. Taken literally, it would
/// match no request, and a wider rule would decide.
fn is_of_another_notation(segment: &str) -> bool {
    segment.starts_with(':') || segment.contains(['*', '[', ']', '<', '>', '^'])
}

/// A normalized path without its leading slash, and without a trailing one, which makes no difference to many servers.
pub(super) fn inner(path: &str) -> &str {
    let inner = path.strip_prefix('/').unwrap_or(path);
    inner.strip_suffix('/').unwrap_or(inner)
}

/// The first segment of a path without slashes at its ends, and the rest behind it.
pub(super) fn split_first(inner: &str) -> Option<(&str, &str)> {
    if inner.is_empty() {
        return None;
    }
    // Segments are short, so looking at each byte is quicker than any search.
    let end = inner.bytes().position(|byte| byte == b'/').unwrap_or(inner.len());
    let (segment, rest) = inner.split_at_checked(end)?;
    Some((segment, rest.get(1..).unwrap_or_default()))
}

/// The segments of a normalized path.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = inner(path);
    std::iter::from_fn(move || {
        let (segment, behind) = split_first(rest)?;
        rest = behind;
        Some(segment)
    })
}
