//! A claim with its own name: a header field for services, or filter state for the host.

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
    /// How the claim is written.
    pub encoding: Encoding,
}

/// How a claim is written as one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// A text as it is, a list or an object as base64url of its JSON.
    #[default]
    Plain,
    /// Everything as base64url, which can carry every text.
    Base64Url,
    /// A list as its elements with commas between them, a single value as it is.
    CommaSeparated,
    /// A list as its elements with spaces between them, a single value as it is.
    SpaceSeparated,
}

impl NamedClaim {
    /// The value for these claims; `None` if the claim is absent, or a header field cannot carry it unencoded (R76).
    pub(crate) fn value(&self, claims: &Claims) -> Option<String> {
        let claim = claims.asked(&self.pointer)?;
        match self.encoding {
            Encoding::Plain => match claim {
                Value::Array(_) | Value::Object(_) => Some(encode(&claim.to_string())),
                _ => scalar(claim).filter(|text| is_field_value(text)),
            },
            Encoding::Base64Url => Some(encode(&scalar(claim).unwrap_or_else(|| claim.to_string()))),
            Encoding::CommaSeparated => separated(claim, ","),
            Encoding::SpaceSeparated => separated(claim, " "),
        }
    }
}

fn scalar(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(claim.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Joins the elements of a list; a single value is a list of one. `None` if any element cannot be written: a list that can be read in
/// another way could give its user the permissions of another, and a list that lacks an element would be wrong as well.
fn separated(claim: &Value, separator: &str) -> Option<String> {
    let elements = claim.as_array().map_or(std::slice::from_ref(claim), Vec::as_slice);
    let is_one = |text: &String| {
        // Within quotes, parsers of lists take commas for part of an element (RFC 9110 §5.6.4).
        is_field_value(text) && !text.contains(separator) && !text.contains(['"', '\\'])
    };
    let elements: Option<Vec<String>> =
        elements.iter().map(|element| scalar(element).filter(is_one)).collect();
    elements.filter(|elements| !elements.is_empty()).map(|elements| elements.join(separator))
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
