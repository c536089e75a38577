//! Names of header fields, as services may read them: some do not tell `_` and `.` from `-` (R75).

use super::byte_class::ByteClass;

/// Whether a field of this name could be taken for `own`.
pub(crate) fn resembles(name: &[u8], own: &str) -> bool {
    let canonical = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == own.len() && name.iter().map(canonical).eq(own.as_bytes().iter().map(canonical))
}

/// Whether this is the name of a field (RFC 9110 §5.1), written as HTTP/2 writes it.
pub(crate) fn is_in_lower_case(name: &str) -> bool {
    !name.is_empty() && IN_LOWER_CASE.has_all(name.as_bytes())
}

/// The characters of a token (RFC 9110 §5.6.2) but for capitals.
const IN_LOWER_CASE: &ByteClass =
    &ByteClass::alphanumeric_and(b"!#$%&'*+-.^_`|~").without(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");

/// The field of credentials (RFC 9110 §11.6.2): the client's, and ours if no other is configured.
pub const AUTHORIZATION: &str = "authorization";
