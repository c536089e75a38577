//! What a rule can ask of a request beside its place: fields, and the call in it of an MCP client. Conditions select among rules that
//! need a token; they open nothing. A client writes its fields as it likes, so a value counts only if every reader reads the same, and a
//! call only from where it is true.

use crate::http::request_head::{NamedField, Presented, RequestHead};
use crate::refusal::Reason;

/// All of this has to be so for a rule to decide about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Each of these fields.
    pub fields: Vec<FieldCondition>,
    /// And the call.
    pub call: Option<CallCondition>,
}

/// What a field has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCondition {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub test: FieldTest,
}

/// What the value of a field has to be, letter by letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// One of these.
    OneOf(Vec<String>),
    /// Something that begins so.
    Prefix(String),
}

/// Which call of an MCP client a request has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCondition {
    /// What tells which it is.
    pub source: CallSource,
    /// One of these methods,
    pub methods: Vec<String>,
    /// or `tools/call` of one of these.
    pub tools: Vec<String>,
}

/// What tells which call a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSource {
    /// Envoy's filter `envoy.filters.http.mcp`, which reads the body.
    EnvoyFilter,
    /// `Mcp-Method` and `Mcp-Name`, in a revision that has servers compare them with the body.
    HeaderFields,
}

impl Selection {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.call.is_none()
    }

    /// The names of the fields that it looks at.
    pub(super) fn field_names(&self) -> impl Iterator<Item = &str> {
        let of_call = self.call.iter().filter(|call| call.source == CallSource::HeaderFields);
        self.fields.iter().map(|field| field.name.as_str()).chain(of_call.flat_map(|_| FIELDS_OF_CALLS))
    }

    /// Whether it needs what Envoy's filter has read.
    pub(super) fn asks_envoy_filter(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.source == CallSource::EnvoyFilter)
    }

    /// Whether a request is what it asks for.
    ///
    /// # Errors
    /// [`Reason::AmbiguousField`] if a field that it looks at can be read in different ways.
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
    /// Whether a value may be several fields, which some hosts join by a comma (RFC 9110 §5.3), of which only the first would be looked at.
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
    /// Calls are POST in every revision; what comes with another method is not looked at by servers.
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

/// The value of a field, if it is there.
///
/// # Errors
/// That servers may read it in different ways: there are several, or one by a name that some take for this one; it is not of visible
/// ASCII, or begins or ends with a space.
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

/// The revisions of MCP whose servers have to refuse a request where fields and body differ (2026-07-28, SEP-2243). Of one that is not
/// known yet, nothing is believed.
pub const CHECKED_REVISIONS: &[&str] = &["2026-07-28"];

/// Revision, method, and the name of what is called.
const FIELDS_OF_CALLS: [&str; 3] = ["mcp-protocol-version", "mcp-method", "mcp-name"];

#[cfg(test)]
mod tests;
