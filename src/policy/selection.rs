//! Conditions of a rule on a request besides its place: on header fields, and on the call of an MCP client. They select among rules that
//! need a token; they open nothing. A client controls its fields, so a value counts only if every reader reads the same, and a call only if
//! its source is reliable.

use crate::http::request_head::{NamedField, Presented, RequestHead};
use crate::refusal::Reason;

/// The conditions under which a rule decides about a request. All of them must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Conditions on header fields.
    pub fields: Vec<FieldCondition>,
    /// The condition on the call.
    pub call: Option<CallCondition>,
}

/// A condition on a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCondition {
    /// Its name, in lower case.
    pub name: String,
    /// The test of its value.
    pub test: FieldTest,
}

/// A test of the value of a field, letter by letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// One of these.
    OneOf(Vec<String>),
    /// A value with this prefix.
    Prefix(String),
}

/// A condition on the call of an MCP client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCondition {
    /// The source that tells which call a request is.
    pub source: CallSource,
    /// Methods that meet the condition.
    pub methods: Vec<String>,
    /// Tools for which `tools/call` meets it as well.
    pub tools: Vec<String>,
}

/// The source that tells which call a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSource {
    /// Envoy's filter `envoy.filters.http.mcp`, which reads the body.
    EnvoyFilter,
    /// `Mcp-Method` and `Mcp-Name`, in a revision that requires servers to compare them with the body.
    HeaderFields,
}

impl Selection {
    /// Whether there are no conditions.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.call.is_none()
    }

    /// The names of the fields that the conditions look at.
    pub(super) fn field_names(&self) -> impl Iterator<Item = &str> {
        let of_call = self.call.iter().filter(|call| call.source == CallSource::HeaderFields);
        self.fields.iter().map(|field| field.name.as_str()).chain(of_call.flat_map(|_| FIELDS_OF_CALLS))
    }

    /// Whether a condition needs the result of Envoy's MCP filter.
    pub(super) fn asks_envoy_filter(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.source == CallSource::EnvoyFilter)
    }

    /// Whether a request meets the conditions.
    ///
    /// # Errors
    /// [`Reason::AmbiguousField`] if a field of a condition can be read in different ways.
    pub(super) fn is_met(&self, head: &RequestHead<'_>) -> Result<bool, Reason> {
        for field in &self.fields {
            let value = value(head, &field.name)?;
            if field.test.reads_the_first_alone(value) {
                return Err(Reason::AmbiguousField);
            }
            if !value.is_some_and(|value| field.test.holds(value)) {
                return Ok(false);
            }
        }
        self.call.as_ref().map_or(Ok(true), |call| call.is_met(head))
    }
}

impl FieldTest {
    /// Whether a value may be several fields, which some hosts join by a comma (RFC 9110 §5.3), of which the test would look at the first
    /// alone.
    fn reads_the_first_alone(&self, value: Option<&str>) -> bool {
        matches!(self, Self::Prefix(_)) && value.is_some_and(|value| value.contains(','))
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|own| own == value),
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
        }
    }
}

impl CallCondition {
    /// Whether a request meets the condition. Calls are POST in every revision; servers ignore calls in requests with another method.
    fn is_met(&self, head: &RequestHead<'_>) -> Result<bool, Reason> {
        if head.method != b"POST" {
            return Ok(false);
        }
        match self.source {
            CallSource::EnvoyFilter => {
                let Some(call) = head.mcp_call else { return Ok(false) };
                Ok(self.includes(as_text(call.method), call.name.and_then(as_text)))
            }
            CallSource::HeaderFields => {
                let [revision, method, name] = FIELDS_OF_CALLS.map(|name| value(head, name));
                let (revision, method, name) = (revision?, method?, name?);
                let is_checked = revision.is_some_and(|revision| CHECKED_REVISIONS.contains(&revision));
                Ok(is_checked && self.includes(method, name))
            }
        }
    }

    fn includes(&self, method: Option<&str>, name: Option<&str>) -> bool {
        let is_in =
            |list: &[String], word: Option<&str>| word.is_some_and(|word| list.iter().any(|own| own == word));
        is_in(&self.methods, method) || (method == Some(TOOLS_CALL) && is_in(&self.tools, name))
    }
}

/// The value of a field, if present.
///
/// # Errors
/// [`Reason::AmbiguousField`] if servers may read the field in different ways: it is repeated, there is one by a name that some take for
/// this one, or its value is not visible ASCII, or begins or ends with a space.
fn value<'a>(head: &RequestHead<'a>, name: &str) -> Result<Option<&'a str>, Reason> {
    let field = head.named.iter().find(|field| field.name == name);
    match field.map(|NamedField { value, .. }| *value) {
        None | Some(Presented::Absent) => Ok(None),
        Some(Presented::Once(bytes)) => as_text(bytes).map(Some).ok_or(Reason::AmbiguousField),
        Some(Presented::Repeated) => Err(Reason::AmbiguousField),
    }
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) && bytes.trim_ascii() == bytes;
    str::from_utf8(bytes).ok().filter(|_| is_plain)
}

/// The method of calls that name a tool.
pub const TOOLS_CALL: &str = "tools/call";

/// The revisions of MCP whose servers have to refuse a request where fields and body differ (2026-07-28, SEP-2243). Calls in unknown
/// revisions are not believed.
pub const CHECKED_REVISIONS: &[&str] = &["2026-07-28"];

/// The fields with the revision, the method, and the name of what is called.
const FIELDS_OF_CALLS: [&str; 3] = ["mcp-protocol-version", "mcp-method", "mcp-name"];

#[cfg(test)]
mod tests;
