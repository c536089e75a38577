//! The header of a token that any decoder, however lenient, could read as a JWT.
//!
//! [`Jws`](super::Jws) is strict, since what it accepts is verified. Here the opposite is needed: a JWT that is refused must
//! not pass as an opaque token in another encoding, which a lenient authorization server would still read as that JWT.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::jws::{is_type_of_other_jwt, media_type};

/// The header of a JWS or JWE, as the most lenient decoder would read it.
#[derive(Debug, Default)]
pub(crate) struct JoseHeader {
    has_algorithm: bool,
    is_encrypted: bool,
    types: Vec<String>,
}

impl JoseHeader {
    /// The header of a token, if the part before its first dot decodes to a JSON object with `alg`. The number of dots does not matter: a
    /// JWS has three parts, a JWE five, and formats that build on them more.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        let bytes = decode(header)?;
        let json = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Self>();
        values.next()?.ok().filter(|header| header.has_algorithm)
    }

    /// Whether the header is that of a JWE (RFC 7516 §4.1.2), which only its issuer can read.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Whether the header says that the token is a JWT of another kind than an access token (R45).
    pub(crate) fn is_of_other_kind(&self) -> bool {
        self.types.iter().any(|name| is_type_of_other_jwt(&media_type(name)))
    }
}

impl<'de> Deserialize<'de> for JoseHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Reads all members that may count: some decoders accept names in any letter case, some use the first of equal members, some the last.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = JoseHeader;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<JoseHeader, A::Error> {
        let mut header = JoseHeader::default();
        while let Some(name) = access.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "typ" => header.types.extend(access.next_value::<Value>()?.as_str().map(str::to_owned)),
                "alg" => {
                    header.has_algorithm = true;
                    access.next_value::<IgnoredAny>()?;
                }
                "enc" => {
                    header.is_encrypted = true;
                    access.next_value::<IgnoredAny>()?;
                }
                _ => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(header)
    }
}

/// Decodes base64 in either alphabet, padded or not, with any trailing bits. Characters outside both alphabets are skipped, as by some
/// decoders.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|byte| match byte {
            b'+' => Some(b'-'),
            b'/' => Some(b'_'),
            _ => Some(byte).filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')),
        })
        .collect();
    // A single digit left over is less than a byte.
    let whole = digits.len().saturating_sub(usize::from(digits.len() % 4 == 1));
    LENIENT.decode(digits.get(..whole)?).ok()
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests;
