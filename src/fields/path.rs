//! The path of a field, `rules[2].path`: formatted only for an error.

use std::fmt;

/// The path of a field.
#[derive(Clone, Copy)]
pub enum FieldPath<'a> {
    /// The whole configuration.
    Root,
    /// A field of an object.
    Field(&'a FieldPath<'a>, &'a str),
    /// An element of a list.
    Element(&'a FieldPath<'a>, usize),
}

impl FieldPath<'_> {
    /// Returns the path of a field of this object.
    pub(crate) fn field<'b>(&'b self, name: &'b str) -> FieldPath<'b> {
        FieldPath::Field(self, name)
    }

    /// Returns the path of an element of this list.
    pub(crate) fn element(&self, index: usize) -> FieldPath<'_> {
        FieldPath::Element(self, index)
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => formatter.write_str(name),
            Self::Field(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Element(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}
