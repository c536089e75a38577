//! Names of header fields, as services may read them: some do not tell `_` and `.` from `-` (R75).

/// Whether a field of this name could be taken for `own`.
pub(crate) fn resembles(name: &[u8], own: &str) -> bool {
    let canonical = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == own.len() && name.iter().map(canonical).eq(own.as_bytes().iter().map(canonical))
}

/// The field of credentials (RFC 9110 §11.6.2): the client's, and ours if no other is configured.
pub const AUTHORIZATION: &str = "authorization";
