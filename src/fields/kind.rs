//! The types of fields as data, so that code can walk them: to show a configuration, to document it, and to sort errors.

use serde_json::{Map, Value, json};

use super::SdsSecret;
use super::secret_sources::variable;

/// The type of a field.
pub enum Kind {
    Text,
    /// A URL, whose user information and query may be secret.
    Url,
    /// Text that may be a secret.
    HiddenText,
    /// A secret, or a reference to one: a variable of the environment, or a secret that Envoy delivers.
    Secret,
    /// A JWK Set, which may contain private keys by mistake.
    KeySet,
    Boolean,
    /// Any value but null.
    Any,
    Number {
        least: u64,
        most: u64,
    },
    /// In milliseconds.
    Duration {
        least: u64,
        most: u64,
    },
    Words(&'static [&'static str]),
    List {
        element: &'static Kind,
        at_least: u32,
    },
    /// A single element, or a list of several.
    OneOrMore(&'static Kind),
    /// An object whose names the operator chooses.
    Map(&'static Kind),
    Section(&'static [Field]),
}

/// A field of a section.
#[derive(Clone, Copy)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static Kind,
    pub(crate) absence: Absence,
    /// The documentation, line by line.
    #[cfg(feature = "schema")]
    pub(crate) meaning: &'static [&'static str],
}

/// The meaning of the absence of a field.
#[derive(Clone, Copy)]
pub enum Absence {
    /// There is no value.
    Optional,
    /// Absence is this error.
    Required(&'static str),
    /// Absence means this value.
    Means(fn() -> Value),
    /// Absence means a section without any field, or an empty list or map.
    Defaults,
}

impl Kind {
    /// Returns the parts of a value that may be shown: no secrets, and nothing of an unknown field or of the wrong type, which may be a
    /// secret. Defaults are filled in.
    pub(crate) fn shown(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Section(fields), Value::Object(members)) => {
                let field = |name: &str| fields.iter().find(|field| field.name == name);
                let written = members.iter().map(|(name, value)| {
                    (name.clone(), field(name).map_or_else(hidden, |field| field.kind.shown(value)))
                });
                let absent = fields.iter().filter(|field| !members.contains_key(field.name));
                let defaults = absent.filter_map(|field| Some((field.name.to_owned(), field.default()?)));
                written.chain(defaults).collect::<Map<_, _>>().into()
            }
            (Self::List { element, .. } | Self::OneOrMore(element), Value::Array(elements)) => {
                elements.iter().map(|value| element.shown(value)).collect()
            }
            (Self::OneOrMore(element), value) => element.shown(value),
            (Self::Map(kind), Value::Object(members)) => {
                let shown = members.iter().map(|(name, value)| (name.clone(), kind.shown(value)));
                shown.collect::<Map<_, _>>().into()
            }
            (Self::Secret, Value::Object(reference)) => shown_reference(reference).unwrap_or_else(hidden),
            (Self::Url, Value::String(url)) => without_query(url).into(),
            (Self::KeySet, Value::Object(set)) => public_keys(set),
            (Self::Words(words), Value::String(word)) if words.contains(&word.as_str()) => value.clone(),
            (Self::Text | Self::Duration { .. }, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number { .. }, Value::Number(_))
            | (Self::Any, _) => value.clone(),
            _ => hidden(),
        }
    }

    /// Returns the position of the field with this path among all fields, level by level; unknown fields come last.
    pub(super) fn position(&self, path: &str) -> Vec<usize> {
        let mut position = Vec::new();
        let (mut kind, mut rest) = (self, path);
        loop {
            let (place, next) = match kind {
                Self::Section(fields) => {
                    rest = rest.strip_prefix('.').unwrap_or(rest);
                    let (name, behind) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                    rest = behind;
                    let place = fields.iter().position(|field| field.name == name);
                    (place, place.and_then(|place| fields.get(place)).map(|field| field.kind))
                }
                // A single element has the positions of its own fields.
                Self::OneOrMore(element) if !rest.starts_with('[') => {
                    kind = element;
                    continue;
                }
                Self::List { element, .. } | Self::OneOrMore(element) => {
                    let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                    rest = index.map_or("", |(_, behind)| behind);
                    (index.and_then(|(index, _)| index.parse().ok()), Some(*element))
                }
                _ => return position,
            };
            position.push(place.unwrap_or(usize::MAX));
            match next {
                Some(next) if !rest.is_empty() => kind = next,
                _ => return position,
            }
        }
    }
}

impl Field {
    /// Returns the value that the field has if it is absent, if any.
    fn default(&self) -> Option<Value> {
        match &self.absence {
            Absence::Means(value) => Some(value()),
            Absence::Defaults if matches!(self.kind, Kind::Section(_)) => {
                Some(self.kind.shown(&Map::new().into()))
            }
            Absence::Optional | Absence::Required(_) | Absence::Defaults => None,
        }
    }
}

/// Returns the reference to a secret, which may be shown. Its `sds_config` may not: it may contain credentials.
fn shown_reference(reference: &Map<String, Value>) -> Option<Value> {
    if let Some(name) = variable(reference) {
        return Some(json!({"env": name}));
    }
    let SdsSecret { name, sds_config } = SdsSecret::of(reference)?;
    Some(match sds_config {
        None => json!({"sds": {"name": name}}),
        Some(_) => json!({"sds": {"name": name, "sds_config": hidden()}}),
    })
}

fn without_query(url: &str) -> String {
    let (url, _) = url.split_once(['?', '#']).unwrap_or((url, ""));
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("[hidden]@{rest}"),
        None => url.to_owned(),
    }
}

/// Returns the members of public keys (RFC 7518 §6), and nothing else.
fn public_keys(set: &Map<String, Value>) -> Value {
    let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let is_public = |name: &str| {
        matches!(name, "kty" | "kid" | "alg" | "use" | "key_ops" | "crv" | "x" | "y" | "n" | "e")
    };
    let public = keys.map(|key| {
        let members = key.iter().filter(|(name, _)| is_public(name));
        members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
    });
    Map::from_iter([("keys".to_owned(), public.collect())]).into()
}

fn hidden() -> Value {
    Value::String("[hidden]".to_owned())
}
