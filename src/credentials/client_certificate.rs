//! The client's certificate, identified by its SHA-256 (RFC 8705 §3): from the connection itself, or from the field in which a trusted
//! proxy in front forwards it (Envoy's `x-forwarded-client-cert`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::request_head::{Presented, RequestHead};

/// Where the gateway finds the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// The TLS connection that ends here.
    Connection,
    /// `x-forwarded-client-cert` with one element, which the proxy in front overwrites (R97).
    Forwarded,
}

/// Returns the digest of the client's certificate in base64url, as in `x5t#S256`.
pub(crate) fn digest(source: Option<CertificateSource>, head: &RequestHead<'_>) -> Option<String> {
    let hexadecimal = match source? {
        CertificateSource::Connection => std::str::from_utf8(head.certificate?).ok()?.to_owned(),
        CertificateSource::Forwarded => match head.forwarded_client_cert {
            Presented::Once(value) => hash_of_one(std::str::from_utf8(value).ok()?)?,
            Presented::Absent | Presented::Repeated => return None,
        },
    };
    let digits = hexadecimal.as_bytes().as_chunks::<2>();
    let (pairs, []) = digits else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_digest = pairs.len() == 32 && hexadecimal.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| is_digest).map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the `Hash` of the only element. Unquoted semicolons separate pairs. An unquoted comma starts another element, or is part of the
/// URI of a certificate, which Envoy does not escape: then the `Hash` is ambiguous.
fn hash_of_one(field: &str) -> Option<String> {
    let mut pairs: Vec<String> = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for character in field.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return None,
            ';' if !is_quoted => {
                pairs.push(String::new());
                continue;
            }
            _ => {}
        }
        pairs.last_mut()?.push(character);
    }
    let mut hashes = pairs.iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("hash").then(|| value.trim().to_owned())
    });
    match (hashes.next(), hashes.next()) {
        (Some(hash), None) if !is_quoted => Some(hash),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
