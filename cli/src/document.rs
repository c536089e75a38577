//! YAML and JSON as values with their position in the text.

use std::fmt;

use heck::ToLowerCamelCase;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

use crate::foreign::{self, Foreign};

/// A position in a file. Both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it begins.
    pub at: Position,
}

/// The content of a value.
#[derive(Clone, Debug)]
pub enum Content {
    /// Null, a Boolean or a number.
    Plain(Value),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where the name begins.
    pub at: Position,
    /// Its value.
    pub value: Node,
}

/// The reason why a text cannot be read. It quotes nothing from the text, which may contain secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The position of the problem.
    pub at: Position,
    /// The reason, as a sentence for the operator.
    pub message: &'static str,
}

/// Reads all documents of a text.
///
/// # Errors
/// The position at which the text is neither YAML nor JSON.
pub fn read(text: &str) -> Result<Vec<Node>, Unreadable> {
    // An operator's file may be as long as a dump of a cluster, but not nested more deeply than the filter's JSON may be.
    let budget = serde_saphyr::budget! {
        max_depth: MAX_DEPTH,
        max_reader_input_bytes: None,
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_documents: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        max_merge_keys: usize::MAX,
        max_aliases: usize::MAX,
        max_anchors: usize::MAX,
        enforce_alias_anchor_ratio: false,
    };
    let options = serde_saphyr::options! { budget: budget };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().map_or(Position::START, Position::of);
        let known = match error {
            serde_saphyr::Error::DuplicateMappingKey { .. } => Some("duplicate name"),
            serde_saphyr::Error::UnknownAnchor { .. } => {
                Some("an alias refers to an anchor that is not in this document")
            }
            serde_saphyr::Error::Budget { .. } => Some("values are nested too deeply here"),
            _ => None,
        };
        if let Some(message) = known {
            return Unreadable { at, message };
        }
        let unknown = Foreign { at, message: "this is neither YAML nor JSON, or something before it is not" };
        let Foreign { at, message } = foreign::of_unreadable(text, at.line).unwrap_or(unknown);
        Unreadable { at, message }
    })
}

impl Position {
    /// The beginning of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Converts a position in a text to one in the file, given that the text begins at `self` and all its lines start in that column.
    #[must_use]
    pub fn plus(self, inside: Self) -> Self {
        Self { line: self.line + inside.line - 1, column: self.column + inside.column - 1 }
    }

    fn of(location: serde_saphyr::Location) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
        Self { line: number(location.line()), column: number(location.column()) }
    }
}

impl Member {
    /// Whether it is this field of Envoy's API. Envoy accepts the name in the API and the JSON name (`typed_config`, `typedConfig`).
    pub fn is_field(&self, name: &str) -> bool {
        self.name == name || self.name == name.to_lower_camel_case()
    }
}

impl Node {
    /// A node without a value.
    pub const NOTHING: Self = Self { content: Content::Plain(Value::Null), at: Position::START };

    /// Returns the member of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.name == name).map(|member| &member.value)
    }

    /// Returns the value at a path of member names.
    pub fn find(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// Returns the members, if the value is an object.
    pub fn members(&self) -> &[Member] {
        if let Content::Object(members) = &self.content { members } else { &[] }
    }

    /// Returns the elements, if the value is a list.
    pub fn elements(&self) -> &[Self] {
        if let Content::List(elements) = &self.content { elements } else { &[] }
    }

    /// Returns the text, if the value is one.
    pub fn text(&self) -> Option<&str> {
        if let Content::Text(text) = &self.content { Some(text) } else { None }
    }

    /// Returns the value of a field of Envoy's API.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.is_field(name)).map(|member| &member.value)
    }

    /// Whether Envoy reads the value as true, which it also does for some words in quotes, in any letter case.
    pub fn is_true(&self) -> bool {
        match &self.content {
            Content::Plain(value) => value == true,
            Content::Text(text) => TRUE.iter().any(|word| text.eq_ignore_ascii_case(word)),
            Content::List(_) | Content::Object(_) => false,
        }
    }

    /// Returns the text of a member.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// Returns the values directly inside this one.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.elements().iter().chain(self.members().iter().map(|member| &member.value))
    }

    /// Returns the value as JSON.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Plain(value) => value.clone(),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(elements) => elements.iter().map(Self::to_value).collect(),
            Content::Object(members) => {
                let member = |member: &Member| (member.name.clone(), member.value.to_value());
                Value::Object(members.iter().map(member).collect())
            }
        }
    }

    /// Returns the position of a field, given a path like `rules[2].path`: that of its value, or of its name if the value is an object or a
    /// list. A missing field has the position of the innermost object or list around it.
    pub fn locate(&self, path: &str) -> Position {
        self.locate_within(path, self.at)
    }

    fn locate_within(&self, path: &str, own: Position) -> Position {
        match &self.content {
            Content::Object(members) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let rest = |member: &Member| {
                    let rest = path.strip_prefix(member.name.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then(|| rest.to_owned())
                };
                let matching = members.iter().filter_map(|member| Some((member, rest(member)?)));
                match matching.max_by_key(|(member, _)| member.name.len()) {
                    Some((member, rest)) => member.value.locate_within(&rest, member.at),
                    None => own,
                }
            }
            Content::List(elements) => {
                let index = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let found =
                    index.and_then(|(index, rest)| Some((elements.get(index.parse::<usize>().ok()?)?, rest)));
                found.map_or(own, |(element, rest)| element.locate_within(rest, element.at))
            }
            Content::Plain(_) | Content::Text(_) => self.at,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { content: value, at: Position::of(referenced) })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContent)
    }
}

struct AnyContent;

impl<'de> Visitor<'de> for AnyContent {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON has")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Plain(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Content, A::Error> {
        let mut object = Vec::new();
        while let Some(Spanned { value: name, referenced, .. }) = members.next_key::<Spanned<String>>()? {
            let value = members.next_value()?;
            object.push(Member { name, at: Position::of(referenced), value });
        }
        Ok(Content::Object(object))
    }
}

/// What Envoy's parser for JSON takes for true in a text.
const TRUE: &[&str] = &["true", "t", "yes", "y", "1"];

/// The maximum nesting depth of lists and objects, as in serde_json.
const MAX_DEPTH: usize = 128;
