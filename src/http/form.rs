//! `application/x-www-form-urlencoded`, as RFC 6749 Appendix B uses it: for the body of the introspection request and,
//! before Base64, for the client's credentials (RFC 6749 §2.3.1). In these a space is `%20`: decoders of forms read that as well as `+`, and
//! servers that only percent-decode them (Authlib) read nothing else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes a client's id or secret: the unreserved characters of RFC 3986 stay, all else becomes `%XX`.
pub fn encode_credential(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Encodes one value of a body: the same, but space becomes `+`.
fn encode(value: &str) -> String {
    encode_credential(value).replace("%20", "+")
}

/// Encodes the pairs of a form body, in their order.
pub fn encode_pairs(pairs: &[(&str, &str)]) -> String {
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    encoded.join("&")
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
