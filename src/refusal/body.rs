//! The body of a refusal: JSON with the members of RFC 6749 §5.2, or the operator's template, such as problem details (RFC
//! 9457). It never contains text from a token or from the authorization server.

use std::borrow::Cow;

/// A JSON text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    media_type: String,
    template: String,
}

/// What takes the place of the placeholders. All values are plain words that JSON need not escape.
pub(crate) struct Particulars<'a> {
    pub(crate) status: u16,
    pub(crate) error: &'a str,
    pub(crate) error_description: &'a str,
    pub(crate) reason: &'a str,
}

impl Default for ErrorBody {
    fn default() -> Self {
        Self {
            media_type: "application/json".to_owned(),
            template: r#"{"error":"{error}","error_description":"{error_description}"}"#.to_owned(),
        }
    }
}

impl ErrorBody {
    /// A body of this media type, with `{status}`, `{error}`, `{error_description}` and `{reason}` in its text.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(media_type: String, template: String) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-.".contains(&byte);
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        if !is_json || !media_type.bytes().all(is_plain) {
            return Err("must be application/json, or another type of JSON like application/problem+json");
        }
        let body = Self { media_type, template };
        let sample = Particulars { status: 401, error: "e", error_description: "d", reason: "r" };
        match serde_json::from_str::<serde_json::Value>(&body.render(&sample)) {
            Ok(_) if !has_placeholder(&body.render(&sample)) => Ok(body),
            _ => Err(
                "must be JSON with no other placeholders than {status}, {error}, {error_description} and {reason}",
            ),
        }
    }

    pub(crate) fn media_type(&self) -> &str {
        &self.media_type
    }

    pub(crate) fn render(&self, particulars: &Particulars<'_>) -> String {
        let mut parts = self.template.split('{');
        let mut body = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let value = part.split_once('}').and_then(|(name, rest)| Some((particulars.named(name)?, rest)));
            match value {
                Some((value, rest)) => body.extend([&*value, rest]),
                None => body.extend(["{", part]),
            }
        }
        body
    }
}

impl<'a> Particulars<'a> {
    fn named(&self, name: &str) -> Option<Cow<'a, str>> {
        match name {
            "status" => Some(self.status.to_string().into()),
            "error" => Some(self.error.into()),
            "error_description" => Some(self.error_description.into()),
            "reason" => Some(self.reason.into()),
            _ => None,
        }
    }
}

fn has_placeholder(text: &str) -> bool {
    text.split('{').skip(1).any(|rest| {
        let word = rest.split('}').next().unwrap_or_default();
        word.len() < rest.len()
            && !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
