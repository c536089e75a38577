//! Names of header fields, as services may read them: some do not distinguish `_` and `.` from `-` (R75).

use super::byte_class::ByteClass;

/// Whether a service could take a field of this name for `own`.
pub(crate) fn resembles(name: &[u8], own: &str) -> bool {
    let canonical = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == own.len() && name.iter().map(canonical).eq(own.as_bytes().iter().map(canonical))
}

/// Whether this is a field name (RFC 9110 §5.1) in lower case, as in HTTP/2.
pub(crate) fn is_in_lower_case(name: &str) -> bool {
    !name.is_empty() && IN_LOWER_CASE.has_all(name.as_bytes())
}

/// The characters of a token (RFC 9110 §5.6.2) except capitals.
const IN_LOWER_CASE: &ByteClass =
    &ByteClass::alphanumeric_and(b"!#$%&'*+-.^_`|~").without(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");

/// The field of credentials (RFC 9110 §11.6.2): the client's, and the gateway's JWT unless another field is configured for it.
pub const AUTHORIZATION: &str = "authorization";
