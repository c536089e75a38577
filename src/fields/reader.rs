//! Reads field values from JSON, and collects all errors. No error repeats a value, which may be a secret in the wrong place.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::errors::UNKNOWN_FIELD;
use super::{Absence, ConfigErrors, Field, FieldPath, FieldType, SecretSources};

/// The sources of secrets, and the errors found so far.
pub struct Reader<'a> {
    pub(super) sources: SecretSources<'a>,
    errors: ConfigErrors,
}

impl<'a> Reader<'a> {
    /// Reads the whole configuration.
    pub(crate) fn read<T: FieldType>(
        written: &Value,
        sources: SecretSources<'a>,
    ) -> (T::Value, ConfigErrors) {
        let mut reader = Self { sources, errors: ConfigErrors::default() };
        let value = T::read(written, FieldPath::Root, &mut reader).unwrap_or_else(T::placeholder);
        (value, reader.errors)
    }

    pub(crate) fn note(&mut self, at: FieldPath<'_>, message: impl Into<String>) {
        self.errors.note_field(at, message);
    }

    /// Returns the value. If there is none, reports `message`.
    pub(crate) fn check<T>(&mut self, at: FieldPath<'_>, value: Option<T>, message: &str) -> Option<T> {
        if value.is_none() {
            self.note(at, message);
        }
        value
    }

    /// Returns the members of a section. Reports unknown fields.
    pub(crate) fn members<'v>(
        &mut self,
        written: &'v Value,
        at: FieldPath<'_>,
        fields: &[Field],
    ) -> Option<&'v Map<String, Value>> {
        let members = self.check(at, written.as_object(), "must be an object")?;
        for name in members.keys().filter(|name| fields.iter().all(|field| field.name != **name)) {
            self.note(at.field(name), UNKNOWN_FIELD);
        }
        Some(members)
    }

    /// Reads a field that may be absent.
    #[inline(never)]
    pub(crate) fn optional<T: FieldType>(
        &mut self,
        members: &Map<String, Value>,
        name: &str,
        at: FieldPath<'_>,
    ) -> Option<T::Value> {
        T::read(members.get(name)?, at.field(name), self)
    }

    /// Reads a field that always has a value.
    #[inline(never)]
    pub(crate) fn value<T: FieldType>(
        &mut self,
        members: &Map<String, Value>,
        name: &str,
        absence: &Absence,
        at: FieldPath<'_>,
    ) -> T::Value {
        let at = at.field(name);
        let written = self.written(members, name, absence, at);
        written.and_then(|written| T::read(&written, at, self)).unwrap_or_else(T::placeholder)
    }

    /// Returns the value as written, or the one that its absence means.
    fn written<'v>(
        &mut self,
        members: &'v Map<String, Value>,
        name: &str,
        absence: &Absence,
        at: FieldPath<'_>,
    ) -> Option<Cow<'v, Value>> {
        match (members.get(name), absence) {
            (Some(written), _) => Some(Cow::Borrowed(written)),
            (None, Absence::Means(default)) => Some(Cow::Owned(default())),
            (None, Absence::Required(message)) => {
                self.note(at, *message);
                None
            }
            (None, Absence::Optional | Absence::Defaults) => None,
        }
    }
}

impl Default for Reader<'_> {
    /// Creates a reader for a section of which nothing is written.
    fn default() -> Self {
        Self { sources: SecretSources::environment(&|_| None), errors: ConfigErrors::default() }
    }
}
