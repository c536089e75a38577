//! Claims that services receive as header fields of their own.
//!
//! A service that trusts such a field must never see the client's: whatever the client sends under that name is taken off,
//! also where the name is written with `_` or `.` for `-`, which some servers do not tell apart (R75).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::claims::Claims;

/// A header field that is made of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimHeader {
    /// The name of the field, in lower case.
    pub name: String,
    /// Where the claim is: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Whether a text is encoded as base64url, which can carry every text.
    pub is_base64url: bool,
}

impl ClaimHeader {
    /// The value of the field for these claims; none if the claim is absent, or cannot stand in a field as it is (R76).
    pub(crate) fn value(&self, claims: &Claims) -> Option<String> {
        let text = match claims.asked(&self.pointer)? {
            Value::Null => return None,
            Value::Array(_) | Value::Object(_) => {
                return claims.asked(&self.pointer).map(|value| encode(&value.to_string()));
            }
            Value::String(text) => text.clone(),
            scalar @ (Value::Bool(_) | Value::Number(_)) => scalar.to_string(),
        };
        if self.is_base64url { Some(encode(&text)) } else { Some(text).filter(|text| is_field_value(text)) }
    }

    /// Whether a client's field of this name could be taken for this one.
    pub(crate) fn is_imitated_by(&self, name: &[u8]) -> bool {
        let canonical =
            |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        name.len() == self.name.len()
            && name.iter().map(canonical).eq(self.name.as_bytes().iter().map(canonical))
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// RFC 9110 §5.5, without the obsolete bytes: visible ASCII and inner spaces.
fn is_field_value(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests;
