//! The configuration as the operator wrote it. Any field may be absent, of the wrong type, or none of ours: that is noted,
//! not an error, so that all mistakes can be told at once.

mod fields;
mod objects;
mod shapes;
mod words;

use serde_json::Value;

pub(super) use fields::*;
pub(super) use shapes::{Algorithms, Confidential, Names, Number, Span};
pub(super) use words::{Access, AuthMethod, Encoding, Jwts, PathMatch, ResponseType, RuleDpop, Word};

/// What was written for one field.
#[derive(Default)]
pub(super) enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Nothing, where something has to be.
    Missing,
    /// A value of its type.
    Written(T),
    /// Something else; what, is nobody's business: it may be a secret in the wrong place.
    Mistyped,
}

/// What it means that a field is not there.
pub(super) enum Absence {
    /// Nothing more.
    Allowed,
    /// That it is missing.
    Refused,
    /// The same as this value.
    Means(Value),
}

/// A type that a field can have.
pub(super) trait Shape: Sized {
    /// What the operator calls it.
    const WHAT: &'static str;

    /// The value, if it is of this type.
    fn read(value: Value) -> Option<Self>;
}

impl<T> Field<T> {
    /// Whether nothing was written.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The same of another type.
    pub(super) fn map<U>(self, other: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Missing => Field::Missing,
            Self::Written(value) => Field::Written(other(value)),
            Self::Mistyped => Field::Mistyped,
        }
    }
}

impl<T: Shape> Field<T> {
    // Once for each type is enough: in every field that has it, it would be a tenth of the module.
    #[inline(never)]
    fn read(value: Option<Value>, absence: Absence) -> Self {
        match (value, absence) {
            (Some(value), _) | (None, Absence::Means(value)) => {
                T::read(value).map_or(Self::Mistyped, Self::Written)
            }
            (None, Absence::Allowed) => Self::Absent,
            (None, Absence::Refused) => Self::Missing,
        }
    }
}
