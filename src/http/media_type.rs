//! The media type of a message (RFC 9110 §8.3): parameters and letter case do not count.

/// Type and subtype, in lower case; none, if there is no field or more than one.
pub(crate) fn of(headers: &[(&[u8], &[u8])]) -> Option<String> {
    let mut fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let (Some((_, value)), None) = (fields.next(), fields.next()) else { return None };
    let essence = value.split(|&byte| byte == b';').next()?.trim_ascii().to_ascii_lowercase();
    String::from_utf8(essence).ok()
}

/// Whether it is JSON, be it of a kind of its own (RFC 6839 §3.1), like `application/problem+json`.
pub(crate) fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// A media type that is safe to log: other content that a server may send in its place is not.
pub(super) fn shown(media_type: Option<&str>) -> &str {
    let Some(media_type) = media_type else { return "no media type" };
    let is_known = ["application/", "text/"].iter().any(|tree| media_type.starts_with(tree));
    let is_plain = media_type.bytes().all(|byte| byte.is_ascii_lowercase() || b"/.+-".contains(&byte));
    if is_known && is_plain && media_type.len() <= MAX_SHOWN { media_type } else { "another media type" }
}

/// `application/token-introspection+jwt` has 35 characters.
const MAX_SHOWN: usize = 50;
