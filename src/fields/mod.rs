//! Fields of the configuration: a field is one line, `name: Type = default`, under its documentation.
//!
//! Its type carries range, unit, emptiness and secrecy. From that line come reading with all errors at once ([`Reader`]), what people
//! are shown of a value ([`Kind::shown`]), the documentation and the JSON Schema (`schema`). What fields have to do with each other
//! is not said here.

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
    /// The type of its value.
    type Value;

    /// The type as data, for what is said of fields without a value.
    const KIND: &'static Kind;

    /// The value; without one, an error was reported.
    fn read(written: &Value, at: FieldPath<'_>, reader: &mut Reader<'_>) -> Option<Self::Value>;

    /// What stands for a value that could not be read, so that the rules across fields can be checked all the same. It never becomes
    /// part of [`Settings`](crate::Settings): there is an error. Of a section, it is the section without any field written.
    fn placeholder() -> Self::Value;
}
