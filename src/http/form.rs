//! `application/x-www-form-urlencoded`, as RFC 6749 Appendix B uses it: for the body of the introspection request and,
//! before Base64, for the client's credentials (RFC 6749 §2.3.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes one value: the unreserved characters of RFC 3986 stay, space becomes `+`, all else `%XX`.
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string().replace("%20", "+")
}

/// Encodes the pairs of a form body, in their order.
pub fn encode_pairs(pairs: &[(&str, &str)]) -> String {
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    encoded.join("&")
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
