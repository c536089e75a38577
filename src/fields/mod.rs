//! Fields of the configuration: a field is one line, `name: Type = default`, under its documentation.
//!
//! The type determines range, unit, emptiness and secrecy. The line is all that is needed to read the field, with all errors at once
//! ([`Reader`]), to show its value ([`Kind::shown`]), and to generate documentation and JSON Schema (`schema`). Dependencies between fields
//! are not covered here.

mod errors;
mod keyword;
mod kind;
mod path;
mod reader;
#[cfg(feature = "schema")]
pub(crate) mod schema;
mod secret_sources;
mod section;
mod types;

use serde_json::Value;

pub use errors::{ConfigError, ConfigErrors};
pub(crate) use keyword::{Keyword, keywords};
pub(crate) use kind::{Absence, Field, Kind};
pub(crate) use path::FieldPath;
pub(crate) use reader::Reader;
pub(crate) use secret_sources::Environment;
pub use secret_sources::{SdsSecret, SecretDiscovery, SecretSources};
pub(crate) use section::{absence, joined, member, read_member, section, with_rest};
pub(crate) use types::*;

/// A type that a field can have.
pub trait FieldType {
    /// The type of the field's value.
    type Value;

    /// The type as data, for uses that need no value.
    const KIND: &'static Kind;

    /// Reads the value. Returns `None` if it reported an error.
    fn read(written: &Value, at: FieldPath<'_>, reader: &mut Reader<'_>) -> Option<Self::Value>;

    /// Returns a value in place of one that could not be read, so that rules across fields can be checked nevertheless. It never becomes
    /// part of [`Settings`](crate::Settings), since there is an error. For a section, this is the section with no fields written.
    fn placeholder() -> Self::Value;
}
