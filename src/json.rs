//! JSON with only one meaning (RFC 8259): no duplicate members at any depth, nothing after the value.
//!
//! If two parsers disagree about which of two equal members counts, a check can be bypassed: the gateway would read `"active": false`, the
//! service behind it `"active": true`. So such texts are malformed here.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// A JSON object in which every name is unique, at every depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// Parses the whole of `text` as one object.
    ///
    /// # Errors
    /// The kind and the position of the error, without any part of the text: invalid UTF-8, not an object, a duplicate member, trailing
    /// bytes, nested more than 128 deep.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(text).map_err(|error| Malformed {
            category: match error.classify() {
                serde_json::error::Category::Data => "not an object of unique members",
                serde_json::error::Category::Eof => "ends too early",
                serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
            },
            line: error.line(),
            column: error.column(),
        })
    }

    /// Returns the value as an object if it is one. It comes from a parsed object, so its members are unique already.
    pub fn of(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self)
    }

    /// The object without some of its members.
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| !is_left_out(name));
        self
    }

    /// The value of the member `name`. Null counts as absent, since some servers write absent members so.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The value at a non-empty JSON Pointer (RFC 6901). Null counts as absent.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        let (name, rest) = match pointer.strip_prefix('/')?.split_once('/') {
            Some((name, _)) => (name, pointer.get(name.len().saturating_add(1)..)?),
            None => (pointer.strip_prefix('/')?, ""),
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        self.get(&name)?.pointer(rest).filter(|value| !value.is_null())
    }

    /// Whether there is a member of this name, null included.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The string in the member `name`.
    ///
    /// # Errors
    /// The member is not a string.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, WrongType> {
        self.get(name).map(|value| value.as_str().ok_or(WrongType(name))).transpose()
    }

    /// The NumericDate in the member `name` (RFC 7519 §2): a number of any size, which may have a fraction (R31).
    ///
    /// # Errors
    /// The member is not a number.
    pub fn date(&self, name: &'static str) -> Result<Option<Timestamp>, WrongType> {
        let date = |value: &Value| value.as_f64().map(Timestamp::from_numeric_date).ok_or(WrongType(name));
        self.get(name).map(date).transpose()
    }

    /// The members that are not null.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.as_str(), value))
    }

    /// The members.
    pub fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// The object as a value of serde_json.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// Builds the members of an object by inserting them one by one: `collect` would compile a sort for each kind of iterator.
pub fn members<N: Into<String>>(members: impl IntoIterator<Item = (N, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name.into(), value);
    }
    object
}

/// The member of this name does not have the type that its RFC requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType(pub &'static str);

/// Why a text is not an [`Object`]. It contains no part of the text, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    category: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (line {}, column {})", self.category, self.line, self.column)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(UniqueMembers)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

/// A value in which no object has duplicate members.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueMembers).map(Self)
    }
}

struct UniqueMembers;

impl<'de> Visitor<'de> for UniqueMembers {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = access.next_entry::<String, Unique>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Unique(element)) = access.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
