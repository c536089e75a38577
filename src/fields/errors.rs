//! Errors of a configuration, as messages for the operator.

use std::fmt;

use super::{FieldPath, Kind};

/// One error: `rules[2].path: must start with "/"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

/// All errors of a configuration, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    all: Vec<ConfigError>,
    /// How many of them, at the start of the list, concern one field alone.
    of_fields: usize,
}

impl ConfigError {
    pub(crate) fn new(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { path: path.to_string(), message: message.into() }
    }

    /// Returns the path of the field, which is empty for the whole configuration.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the error is a secret that Envoy has not delivered yet.
    fn is_awaited(&self) -> bool {
        self.message == AWAITED
    }

    /// Whether the field is unknown: then its value may be anything, such as a secret.
    pub fn is_of_unknown_field(&self) -> bool {
        self.message == UNKNOWN_FIELD
    }
}

impl ConfigErrors {
    /// Returns the errors, section by section.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.all.iter()
    }

    /// Returns the errors that do not depend on secrets still to be delivered by Envoy. Returns `None` if there are no others.
    #[must_use]
    pub fn without_awaited(mut self) -> Option<Self> {
        self.all.retain(|error| !error.is_awaited());
        (!self.all.is_empty()).then_some(self)
    }

    /// Adds an error of one field, whatever the others are.
    pub(super) fn note_field(&mut self, at: FieldPath<'_>, message: impl Into<String>) {
        self.all.push(ConfigError::new(at, message));
        self.of_fields = self.all.len();
    }

    /// Adds an error that depends on several fields. It is dropped if one of these could not be read, since that error is enough.
    pub(crate) fn note(&mut self, at: impl fmt::Display, message: impl Into<String>) {
        let error = ConfigError::new(at, message);
        if !self.of_fields().any(|field| contains(&field.path, &error.path)) && !self.has_in(&error.path) {
            self.all.push(error);
        }
    }

    /// Whether the field at this path, or one below it, could not be read.
    pub(crate) fn has_in(&self, path: &str) -> bool {
        self.of_fields().any(|field| contains(path, &field.path))
    }

    /// Returns the value of a result, and adds its error.
    pub(crate) fn check<T, E: fmt::Display>(
        &mut self,
        at: impl fmt::Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.note(at, error.to_string())).ok()
    }

    /// Returns the value if there are no errors. Otherwise, returns the errors in the order of the documentation, each once.
    pub(crate) fn or<T>(mut self, value: Option<T>, kind: &Kind) -> Result<T, Self> {
        match value {
            Some(value) if self.all.is_empty() => Ok(value),
            _ => {
                self.all.sort_by_cached_key(|error| kind.position(&error.path));
                self.all.dedup();
                Err(self)
            }
        }
    }

    /// Moves the errors at one path to another, and renames that path in the messages of all errors.
    pub(crate) fn relocate(&mut self, from: &str, to: &str) {
        for error in &mut self.all {
            if contains(from, &error.path) {
                error.path = error.path.replacen(from, to, 1);
            }
            error.message = error.message.replace(from, to);
        }
    }

    fn of_fields(&self) -> impl Iterator<Item = &ConfigError> {
        self.all.iter().take(self.of_fields)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { all: vec![error], of_fields: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.all.iter().map(ConfigError::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Whether a path is `outer` or below it.
fn contains(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The error of a secret that Envoy has not delivered yet.
pub(super) const AWAITED: &str = "has not been delivered yet";
pub(super) const UNKNOWN_FIELD: &str = "is not a field";
