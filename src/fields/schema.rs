//! Documentation generated from the field definitions: a JSON Schema for editors, command lines and hosts, and rows of a table. It does not
//! cover dependencies between fields.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Absence, Field, Kind};

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Draft 4, for Kong.
    Draft4,
    /// 2020-12, for editors.
    Draft202012,
}

/// A field of the configuration, as documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentedField {
    /// The path: `rules[].path`.
    pub path: String,
    /// The permitted values, in Markdown: `duration, 1ms to 1m`. `None` for a section, whose fields follow.
    pub value: Option<String>,
    /// The meaning of its absence: `required`, or a default value. `None` if `meaning` covers it.
    pub default: Option<String>,
    /// The purpose of the field, in Markdown.
    pub meaning: String,
}

impl DocumentedField {
    /// Returns the anchor of a field in docs/reference.md, by its path with or without indexes: `rules[2].path` and `rules[].path` are at
    /// `rules-path`.
    #[must_use]
    pub fn anchor(path: &str) -> String {
        let names = path.split('.').map(|name| name.split_once('[').map_or(name, |(name, _)| name));
        names.collect::<Vec<_>>().join("-")
    }
}

type Keywords = Map<String, Value>;

fn keywords<const N: usize>(keywords: [(&str, Value); N]) -> Keywords {
    keywords.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the schema of an object with only these members, one of which is required.
fn object(properties: Value, required: &str) -> Value {
    json!({
        "type": "object", "properties": properties, "required": [required], "additionalProperties": false,
    })
}

impl Kind {
    /// Returns the JSON Schema of the whole configuration.
    pub(crate) fn whole_schema(&self, dialect: Dialect) -> Value {
        let version = match dialect {
            Dialect::Draft4 => "http://json-schema.org/draft-04/schema#",
            Dialect::Draft202012 => "https://json-schema.org/draft/2020-12/schema",
        };
        let about = [("$schema", json!(version)), ("title", json!("Configuration of phantom-token"))];
        let mut schema = self.schema();
        schema.extend(keywords(about));
        Value::Object(schema)
    }

    /// Collects all fields, in reading order.
    pub(crate) fn document(&self, path: &str, fields: &mut Vec<DocumentedField>) {
        match self {
            Self::List { element, .. } => element.document(&format!("{path}[]"), fields),
            Self::OneOrMore(element) => element.document(path, fields),
            Self::Section(section) => {
                for field in *section {
                    let separator = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{separator}{}", field.name);
                    fields.push(field.documented(path.clone()));
                    // The sections of each of several servers are documented once, at the top level.
                    if field.meaning() != AS_AT_THE_TOP {
                        field.kind.document(&path, fields);
                    }
                }
            }
            _ => {}
        }
    }

    fn schema(&self) -> Keywords {
        match self {
            Self::Section(fields) => {
                let required = fields.iter().filter(|field| matches!(field.absence, Absence::Required(_)));
                let required: Vec<&str> = required.map(|field| field.name).collect();
                let properties: Map<String, Value> =
                    fields.iter().map(|field| (field.name.to_owned(), field.schema().into())).collect();
                let mut schema = keywords([
                    ("type", json!("object")),
                    ("properties", properties.into()),
                    ("additionalProperties", json!(false)),
                ]);
                // Draft 4 does not allow an empty list here.
                if !required.is_empty() {
                    schema.extend(keywords([("required", json!(required))]));
                }
                schema
            }
            Self::List { element, at_least } => {
                let mut items = element.schema();
                if *at_least > 0 && matches!(element, Self::Text) {
                    items.extend(keywords([("minLength", json!(1))]));
                }
                keywords([("type", json!("array")), ("items", items.into()), ("minItems", json!(at_least))])
            }
            Self::OneOrMore(element) => {
                let list = Self::List { element, at_least: 1 };
                keywords([("anyOf", json!([element.schema(), list.schema()]))])
            }
            Self::Map(value) => {
                keywords([("type", json!("object")), ("additionalProperties", value.schema().into())])
            }
            Self::Words(words) => keywords([("type", json!("string")), ("enum", json!(words))]),
            Self::Number { least, most } => {
                keywords([("type", json!("integer")), ("minimum", json!(least)), ("maximum", json!(most))])
            }
            Self::Duration { .. } => {
                keywords([("type", json!("string")), ("pattern", json!(DURATION)), ("maxLength", json!(16))])
            }
            Self::Text | Self::Url | Self::HiddenText => keywords([("type", json!("string"))]),
            Self::Boolean => keywords([("type", json!("boolean"))]),
            Self::Any | Self::KeySet => keywords([("not", json!({"type": "null"}))]),
            Self::Secret => {
                let variable = json!({"type": "string", "description": "The name of a variable of the proxy's environment."});
                let source =
                    "A `ConfigSource` of Envoy. Without it, the secret is one of `static_resources.secrets`.";
                let delivered = object(
                    json!({
                        "name": {"type": "string", "minLength": 1, "description": "Its name."},
                        "sds_config": {"type": "object", "minProperties": 1, "description": source},
                    }),
                    "name",
                );
                let elsewhere = [
                    json!({"type": "string", "minLength": 1}),
                    object(json!({"env": variable}), "env"),
                    object(json!({"sds": delivered}), "sds"),
                ];
                keywords([("anyOf", json!(elsewhere))])
            }
        }
    }

    /// Returns the permitted values, in Markdown. Returns `None` for a section.
    fn values(&self) -> Option<String> {
        let name = match self {
            Self::Section(_) => return None,
            Self::List { element, .. } => {
                return Some(element.values().map_or("list".to_owned(), |value| format!("list of {value}")));
            }
            Self::Map(value) => {
                return Some(
                    value.values().map_or("map".to_owned(), |value| format!("map of names to {value}")),
                );
            }
            Self::OneOrMore(element) => {
                let one = element.values().unwrap_or_else(|| "section".to_owned());
                return Some(format!("{one}, or a list of several"));
            }
            Self::Words(_) => return self.range(),
            Self::Text | Self::HiddenText => "text",
            Self::Url => "URL",
            Self::Secret => "secret",
            Self::KeySet => "JWK Set",
            Self::Boolean => "`true`, `false`",
            Self::Any => "any value but null",
            Self::Number { .. } => "integer",
            Self::Duration { .. } => "duration",
        };
        Some(self.range().map_or(name.to_owned(), |range| format!("{name}, {range}")))
    }

    /// Returns the permitted words, or the range of numbers and durations.
    fn range(&self) -> Option<String> {
        match self {
            Self::List { element, .. } | Self::OneOrMore(element) => element.range(),
            Self::Words(words) => {
                Some(words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
            Self::Number { least, most } => Some(format!("{least} to {most}")),
            Self::Duration { least, most } => {
                let [least, most] =
                    [least, most].map(|bound| humantime::format_duration(Duration::from_millis(*bound)));
                Some(format!("{least} to {most}"))
            }
            _ => None,
        }
    }
}

impl Field {
    fn meaning(&self) -> String {
        self.meaning.concat().trim().to_owned()
    }

    fn schema(&self) -> Keywords {
        // For durations, the schema has no other way to express the range.
        let meaning = match (self.kind, self.kind.range()) {
            (Kind::Duration { .. }, Some(range)) => {
                format!("{} ({range}).", self.meaning().trim_end_matches('.'))
            }
            _ => self.meaning(),
        };
        let mut schema = self.kind.schema();
        schema.extend(keywords([("description", json!(meaning))]));
        if let Absence::Means(default) = &self.absence {
            schema.extend(keywords([("default", default())]));
        }
        schema
    }

    fn documented(&self, path: String) -> DocumentedField {
        let default = match &self.absence {
            Absence::Optional | Absence::Defaults => None,
            Absence::Required(_) => Some("required".to_owned()),
            Absence::Means(default) => match default() {
                Value::String(text) => Some(format!("`{text}`")),
                value => Some(format!("`{value}`")),
            },
        };
        DocumentedField { path, value: self.kind.values(), default, meaning: self.meaning() }
    }
}

const AS_AT_THE_TOP: &str = "As at the top level.";

/// Numbers with units, like `1h 30m`.
const DURATION: &str = r"^(0|(\s*[0-9][0-9\s]*(\.[0-9_\s]*)?[A-Za-zµ]+\s*)+)$";
