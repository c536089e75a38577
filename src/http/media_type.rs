//! The media type of a message (RFC 9110 §8.3): parameters and letter case do not count.

/// Type and subtype, in lower case; `None` unless there is exactly one field.
pub(crate) fn of(headers: &[(&[u8], &[u8])]) -> Option<String> {
    let mut fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let (Some((_, value)), None) = (fields.next(), fields.next()) else { return None };
    let essence = value.split(|&byte| byte == b';').next()?.trim_ascii().to_ascii_lowercase();
    String::from_utf8(essence).ok()
}

/// Whether the media type is JSON, or another type with JSON syntax (RFC 6839 §3.1), like `application/problem+json`.
pub(crate) fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The media type if it is safe to log, or else a fixed text: a server may send any content in its place.
pub(super) fn shown(media_type: Option<&str>) -> &str {
    let Some(media_type) = media_type else { return "no media type" };
    let is_known = ["application/", "text/"].iter().any(|tree| media_type.starts_with(tree));
    let is_plain = media_type.bytes().all(|byte| byte.is_ascii_lowercase() || b"/.+-".contains(&byte));
    if is_known && is_plain && media_type.len() <= MAX_SHOWN { media_type } else { "another media type" }
}

/// The longest media type that is logged; `application/token-introspection+jwt` has 35 characters.
const MAX_SHOWN: usize = 50;
