//! A claim under a name of its own: a header field for the services, or filter state for the host.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::token::claims::Claims;

/// A name, and the claim that gives the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedClaim {
    /// The name; that of a header field is in lower case.
    pub name: String,
    /// Where the claim is: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Whether a text is encoded as base64url, which can carry every text.
    pub is_base64url: bool,
}

impl NamedClaim {
    /// The value for these claims; none if the claim is absent, or cannot stand in a header field as it is (R76).
    pub(crate) fn value(&self, claims: &Claims) -> Option<String> {
        let text = match claims.asked(&self.pointer)? {
            Value::Null => return None,
            compound @ (Value::Array(_) | Value::Object(_)) => return Some(encode(&compound.to_string())),
            Value::String(text) => text.clone(),
            scalar @ (Value::Bool(_) | Value::Number(_)) => scalar.to_string(),
        };
        if self.is_base64url { Some(encode(&text)) } else { Some(text).filter(|text| is_field_value(text)) }
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
