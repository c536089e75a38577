//! The types that fields have.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Absence, Field, Shape};

/// A whole number between the two.
pub(in crate::config) struct Number<const MIN: u64, const MAX: u64>(pub(in crate::config) u64);

/// A duration between so many milliseconds, as text.
pub(in crate::config) struct Span<const MIN: u64, const MAX: u64>(pub(in crate::config) String);

/// Texts, of which there is one at least, and none is empty.
pub(in crate::config) struct Names(pub(in crate::config) Vec<String>);

/// Names of algorithms that verify by a public key.
pub(in crate::config) struct Algorithms(pub(in crate::config) Vec<String>);

/// A secret: the value itself, or an object that names an environment variable of the proxy.
pub(in crate::config) enum Confidential {
    Literal(String),
    Elsewhere(BTreeMap<String, String>),
}

impl Shape for String {
    const WHAT: &'static str = "a string";

    fn read(value: Value) -> Option<Self> {
        if let Value::String(text) = value { Some(text) } else { None }
    }
}

impl Shape for bool {
    const WHAT: &'static str = "true or false";

    fn read(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

impl<const MIN: u64, const MAX: u64> Shape for Number<MIN, MAX> {
    const WHAT: &'static str = "a whole number";

    fn read(value: Value) -> Option<Self> {
        value.as_u64().map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> Shape for Span<MIN, MAX> {
    const WHAT: &'static str = String::WHAT;

    fn read(value: Value) -> Option<Self> {
        String::read(value).map(Self)
    }
}

impl Shape for Value {
    const WHAT: &'static str = "a value other than null";

    fn read(value: Value) -> Option<Self> {
        Some(value).filter(|value| !value.is_null())
    }
}

impl<T: Shape> Shape for Field<T> {
    const WHAT: &'static str = T::WHAT;

    fn read(value: Value) -> Option<Self> {
        Some(Self::read(Some(value), Absence::Allowed))
    }
}

impl<T: Shape> Shape for Vec<T> {
    const WHAT: &'static str = "a list, each element of its type";

    fn read(value: Value) -> Option<Self> {
        if let Value::Array(elements) = value { elements.into_iter().map(T::read).collect() } else { None }
    }
}

impl Shape for Names {
    const WHAT: &'static str = Vec::<String>::WHAT;

    fn read(value: Value) -> Option<Self> {
        Vec::read(value).map(Self)
    }
}

impl Shape for Algorithms {
    const WHAT: &'static str = Names::WHAT;

    fn read(value: Value) -> Option<Self> {
        Vec::read(value).map(Self)
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    const WHAT: &'static str = "an object, each member of its type";

    fn read(value: Value) -> Option<Self> {
        let Value::Object(members) = value else { return None };
        members.into_iter().map(|(name, value)| Some((name, T::read(value)?))).collect()
    }
}

impl Shape for Confidential {
    const WHAT: &'static str = r#"a string or {"env": NAME}"#;

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Literal(text)),
            value => BTreeMap::read(value).map(Self::Elsewhere),
        }
    }
}

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const YEAR: u64 = 365 * DAY + 6 * HOUR;
