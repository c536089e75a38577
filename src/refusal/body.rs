//! The body of a refusal: JSON with the members of RFC 6749 §5.2, or the operator's template, such as problem details (RFC
//! 9457). It never contains text from a token or from the authorization server.

use std::borrow::Cow;

/// A JSON text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    media_type: String,
    /// The text, in parts, each with the placeholder that follows it.
    template: Vec<(String, Option<Placeholder>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Status,
    Error,
    ErrorDescription,
    Reason,
}

/// The values of the placeholders. All are plain words that JSON need not escape.
pub(crate) struct Particulars<'a> {
    pub(crate) status: u16,
    pub(crate) error: &'a str,
    pub(crate) error_description: &'a str,
    pub(crate) reason: &'a str,
}

impl Default for ErrorBody {
    fn default() -> Self {
        let template = r#"{"error":"{error}","error_description":"{error_description}"}"#;
        Self { media_type: "application/json".to_owned(), template: parts(template) }
    }
}

impl ErrorBody {
    /// A body of this media type, with `{status}`, `{error}`, `{error_description}` and `{reason}` in its text.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(media_type: String, template: &str) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-.".contains(&byte);
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        if !is_json || !media_type.bytes().all(is_plain) {
            return Err("must be application/json, or another type of JSON like application/problem+json");
        }
        let body = Self { media_type, template: parts(template) };
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
        let length = |(text, placeholder): &(String, Option<Placeholder>)| {
            text.len().saturating_add(placeholder.map_or(0, |one| particulars.value(one).len()))
        };
        let mut body = String::with_capacity(self.template.iter().map(length).sum());
        for (text, placeholder) in &self.template {
            body.push_str(text);
            if let Some(placeholder) = placeholder {
                body.push_str(&particulars.value(*placeholder));
            }
        }
        body
    }
}

impl<'a> Particulars<'a> {
    fn value(&self, placeholder: Placeholder) -> Cow<'a, str> {
        match placeholder {
            Placeholder::Status => self.status.to_string().into(),
            Placeholder::Error => self.error.into(),
            Placeholder::ErrorDescription => self.error_description.into(),
            Placeholder::Reason => self.reason.into(),
        }
    }
}

impl Placeholder {
    fn named(name: &str) -> Option<Self> {
        match name {
            "status" => Some(Self::Status),
            "error" => Some(Self::Error),
            "error_description" => Some(Self::ErrorDescription),
            "reason" => Some(Self::Reason),
            _ => None,
        }
    }
}

/// Splits a template into its parts. A brace that opens no placeholder is text.
fn parts(template: &str) -> Vec<(String, Option<Placeholder>)> {
    let mut pieces = template.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut parts = Vec::new();
    for piece in pieces {
        let found = piece.split_once('}').and_then(|(name, rest)| Some((Placeholder::named(name)?, rest)));
        match found {
            Some((placeholder, rest)) => {
                parts.push((std::mem::replace(&mut text, rest.to_owned()), Some(placeholder)));
            }
            None => text.extend(["{", piece]),
        }
    }
    parts.push((text, None));
    parts
}

fn has_placeholder(text: &str) -> bool {
    text.split('{').skip(1).any(|rest| {
        let word = rest.split('}').next().unwrap_or_default();
        word.len() < rest.len()
            && !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
