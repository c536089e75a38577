//! What is wrong with a configuration, as sentences for the operator.

use std::fmt;

use super::raw::{Field, Shape};

/// One mistake: `rules[2].path: must start with "/"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    path: String,
    message: String,
}

/// All mistakes of a configuration, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistake {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The path of the field, empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether there is no such field: then what it holds may be anything, a secret for instance.
    pub fn is_of_unknown_field(&self) -> bool {
        self.message == UNKNOWN_FIELD
    }
}

impl Mistakes {
    /// The mistakes, section by section.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// The value, if there are no mistakes.
    pub(super) fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    pub(super) fn note(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake::new(path, message));
    }

    /// The value of a field; it may be left out if it is not defined as required.
    pub(super) fn optional<T: Shape>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Missing => {
                self.note(path, "is required");
                None
            }
            Field::Written(value) => Some(value),
            Field::Mistyped => {
                self.note(path, format!("must be {}", T::WHAT));
                None
            }
        }
    }

    /// The value of a field that may not be left out here.
    pub(super) fn required<T: Shape>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        if matches!(field, Field::Absent) {
            self.note(path, "is required");
        }
        self.optional(path, field)
    }

    /// The value of a result; its error becomes a mistake.
    pub(super) fn check<T, E: fmt::Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.note(path, error.to_string())).ok()
    }

    pub(super) fn refuse_unknown(&mut self, parent: &str, unknown: &[String]) {
        for name in unknown {
            let separator = if parent.is_empty() { "" } else { "." };
            self.note(format!("{parent}{separator}{name}"), UNKNOWN_FIELD);
        }
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Mistake::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

const UNKNOWN_FIELD: &str = "is not a field";
