//! `application/x-www-form-urlencoded`, as RFC 6749 Appendix B uses it: for the body of the introspection request and, before Base64, for
//! the client's credentials (RFC 6749 §2.3.1). In credentials a space is `%20`: form decoders read that as well as `+`, and servers that
//! only percent-decode credentials (Authlib) read nothing else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes a client's id or secret: the unreserved characters of RFC 3986 stay, all else becomes `%XX`.
pub fn encode_credential(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Encodes the pairs of a form body, in their order.
pub fn encode_pairs(pairs: &[(&str, &str)]) -> String {
    let length = |(name, value): &(&str, &str)| name.len().saturating_add(value.len()).saturating_add(2);
    let mut body = String::with_capacity(pairs.iter().map(length).sum());
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push('&');
        }
        encode(&mut body, name);
        body.push('=');
        encode(&mut body, value);
    }
    body
}

/// Appends a name or a value to a body: encoded as a credential is, but a space becomes `+`.
fn encode(body: &mut String, value: &str) {
    let pieces = utf8_percent_encode(value, RESERVED);
    body.extend(pieces.map(|piece| if piece == "%20" { "+" } else { piece }));
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
