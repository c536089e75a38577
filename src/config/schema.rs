//! What the definitions of the fields say of themselves: as JSON Schema, for editors, command lines and hosts, and as rows of a
//! table. It says less than [`Settings::parse`](super::Settings::parse) checks: nothing of what fields have to do with each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::profile;
use super::raw::{Absence, Algorithms, Confidential, Configuration, Field, Names, Number, Span, Word};
use crate::jwt::Algorithm;

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Draft 4, as Kong reads it.
    Draft4,
    /// 2020-12, as editors do.
    Draft202012,
}

/// A field of the configuration, as people read about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentedField {
    /// Where it stands: `rules[].path`.
    pub path: String,
    /// What its absence means: `required`, a value, or nothing more than the meaning says.
    pub default: Option<String>,
    /// What it is for, in Markdown, and which values it takes.
    pub meaning: String,
}

/// The JSON Schema of the configuration.
#[must_use]
pub fn configuration_schema(dialect: Dialect) -> Value {
    let version = match dialect {
        Dialect::Draft4 => "http://json-schema.org/draft-04/schema#",
        Dialect::Draft202012 => "https://json-schema.org/draft/2020-12/schema",
    };
    let mut schema = configuration().schema();
    schema
        .extend(keywords([("$schema", json!(version)), ("title", json!("Configuration of phantom-token"))]));
    Value::Object(schema)
}

/// All fields of the configuration, in the order in which they are best read.
#[must_use]
pub fn configuration_fields() -> Vec<DocumentedField> {
    let mut fields = Vec::new();
    configuration().document("", &mut fields);
    fields
}

type Keywords = Map<String, Value>;

fn keywords<const N: usize>(keywords: [(&str, Value); N]) -> Keywords {
    keywords.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A type that can tell what it is.
pub(super) trait Described {
    fn description() -> Description;
}

/// A type, as it tells.
pub(super) enum Description {
    Object(Vec<Member>),
    List {
        element: Box<Description>,
        at_least: u32,
    },
    MapOf(Box<Description>),
    Words(Vec<&'static str>),
    Whole {
        least: u64,
        most: u64,
    },
    Duration {
        least: Duration,
        most: Duration,
    },
    /// By the words of JSON Schema alone.
    Other(Keywords),
}

/// A field of an object.
pub(super) struct Member {
    name: &'static str,
    /// Its doc comment, line by line.
    meaning: &'static [&'static str],
    description: Description,
    absence: Absence,
}

/// The members of an object, as their definition has them.
pub(super) fn object(
    members: Vec<(&'static str, &'static [&'static str], Description, Absence)>,
) -> Description {
    let member = |(name, meaning, description, absence)| Member { name, meaning, description, absence };
    Description::Object(members.into_iter().map(member).collect())
}

/// The words of a closed list.
pub(super) fn words<T: Word>() -> Description {
    Description::Words(T::WORDS.iter().map(|(word, _)| *word).collect())
}

/// With the profile, which is gone before fields are read.
fn configuration() -> Description {
    let mut configuration = Configuration::description();
    if let Description::Object(members) = &mut configuration {
        let servers = members.iter_mut().find(|member| member.name == "authorization_servers");
        if let Some(Description::List { element, .. }) = servers.map(|member| &mut member.description)
            && let Description::Object(members) = &mut **element
        {
            members.insert(1, profile_of(&[" As at the top."]));
        }
        members.insert(0, profile_of(PROFILE));
    }
    configuration
}

fn profile_of(meaning: &'static [&'static str]) -> Member {
    let description = Description::Words(profile::names().collect());
    Member { name: "profile", meaning, description, absence: Absence::Allowed }
}

const PROFILE: &[&str] = &[
    " What is known of a server, as defaults for the fields below. Whatever is written goes before it;",
    " `phantom-token show` tells the result.",
];

impl Description {
    fn schema(&self) -> Keywords {
        match self {
            Self::Object(members) => {
                let required = members.iter().filter(|member| member.is_required());
                let required: Vec<&str> = required.map(|member| member.name).collect();
                let properties: Map<String, Value> =
                    members.iter().map(|member| (member.name.to_owned(), member.schema().into())).collect();
                let mut schema = keywords([
                    ("type", json!("object")),
                    ("properties", properties.into()),
                    ("additionalProperties", json!(false)),
                ]);
                // Draft 4 has no empty list here.
                if !required.is_empty() {
                    schema.extend(keywords([("required", json!(required))]));
                }
                schema
            }
            Self::List { element, at_least } => keywords([
                ("type", json!("array")),
                ("items", element.schema().into()),
                ("minItems", json!(at_least)),
            ]),
            Self::MapOf(value) => {
                keywords([("type", json!("object")), ("additionalProperties", value.schema().into())])
            }
            Self::Words(words) => keywords([("type", json!("string")), ("enum", json!(words))]),
            Self::Whole { least, most } => {
                keywords([("type", json!("integer")), ("minimum", json!(least)), ("maximum", json!(most))])
            }
            Self::Duration { .. } => {
                keywords([("type", json!("string")), ("pattern", json!(DURATION)), ("maxLength", json!(16))])
            }
            Self::Other(schema) => schema.clone(),
        }
    }

    fn document(&self, path: &str, fields: &mut Vec<DocumentedField>) {
        match self {
            Self::List { element, .. } => element.document(&format!("{path}[]"), fields),
            Self::Object(members) => {
                for member in members {
                    let path = if path.is_empty() {
                        member.name.to_owned()
                    } else {
                        format!("{path}.{}", member.name)
                    };
                    fields.push(member.documented(path.clone()));
                    // The sections of one of several servers are those at the top.
                    if member.meaning() != AS_AT_THE_TOP {
                        member.description.document(&path, fields);
                    }
                }
            }
            _ => {}
        }
    }

    /// The values that it takes, where its words and numbers say that.
    fn range(&self) -> Option<String> {
        match self {
            Self::List { element, .. } => element.range(),
            Self::Words(words) => {
                Some(words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
            Self::Whole { least, most } => Some(format!("{least} to {most}")),
            Self::Duration { least, most } => {
                let [least, most] = [least, most].map(|bound| humantime::format_duration(*bound));
                Some(format!("{least} to {most}"))
            }
            _ => None,
        }
    }
}

impl Member {
    fn meaning(&self) -> String {
        self.meaning.concat().trim().to_owned()
    }

    /// With the values that it takes, if the meaning does not name them.
    fn meaning_and_range(&self) -> String {
        let meaning = self.meaning();
        let names_all = |words: &[&str]| words.iter().all(|word| meaning.contains(&format!("`{word}`")));
        match (&self.description, self.description.range()) {
            (Description::Words(words), _) if names_all(words) => meaning,
            (_, Some(range)) => format!("{} ({range}).", meaning.trim_end_matches('.')),
            (_, None) => meaning,
        }
    }

    fn is_required(&self) -> bool {
        matches!(self.absence, Absence::Refused)
    }

    fn schema(&self) -> Keywords {
        // Of durations, the schema has nothing else to say the range with.
        let meaning = match self.description {
            Description::Duration { .. } => self.meaning_and_range(),
            _ => self.meaning(),
        };
        let mut schema = self.description.schema();
        schema.extend(keywords([("description", json!(meaning))]));
        if let Absence::Means(default) = &self.absence {
            schema.extend(keywords([("default", default.clone())]));
        }
        schema
    }

    fn documented(&self, path: String) -> DocumentedField {
        let default = match &self.absence {
            Absence::Allowed => None,
            Absence::Refused => Some("required".to_owned()),
            Absence::Means(Value::String(text)) => Some(format!("`{text}`")),
            Absence::Means(value) => Some(format!("`{value}`")),
        };
        DocumentedField { path, default, meaning: self.meaning_and_range() }
    }
}

impl Described for String {
    fn description() -> Description {
        Description::Other(keywords([("type", json!("string"))]))
    }
}

impl Described for bool {
    fn description() -> Description {
        Description::Other(keywords([("type", json!("boolean"))]))
    }
}

impl Described for Value {
    fn description() -> Description {
        Description::Other(keywords([("not", json!({"type": "null"}))]))
    }
}

impl<const MIN: u64, const MAX: u64> Described for Number<MIN, MAX> {
    fn description() -> Description {
        Description::Whole { least: MIN, most: MAX }
    }
}

impl<const MIN: u64, const MAX: u64> Described for Span<MIN, MAX> {
    fn description() -> Description {
        Description::Duration { least: Duration::from_millis(MIN), most: Duration::from_millis(MAX) }
    }
}

impl<T: Described> Described for Field<T> {
    fn description() -> Description {
        T::description()
    }
}

impl<T: Described> Described for Vec<T> {
    fn description() -> Description {
        Description::List { element: Box::new(T::description()), at_least: 0 }
    }
}

impl Described for Names {
    fn description() -> Description {
        let name = Description::Other(keywords([("type", json!("string")), ("minLength", json!(1))]));
        Description::List { element: Box::new(name), at_least: 1 }
    }
}

impl Described for Algorithms {
    fn description() -> Description {
        let names = Algorithm::ASYMMETRIC.iter().map(|algorithm| algorithm.name()).collect();
        Description::List { element: Box::new(Description::Words(names)), at_least: 1 }
    }
}

impl<T: Described> Described for BTreeMap<String, T> {
    fn description() -> Description {
        Description::MapOf(Box::new(T::description()))
    }
}

impl Described for Confidential {
    fn description() -> Description {
        let elsewhere = json!({
            "type": "object",
            "properties": {"env": {"type": "string", "description": "The name of a variable of the proxy's environment."}},
            "required": ["env"],
            "additionalProperties": false,
        });
        Description::Other(keywords([("anyOf", json!([{"type": "string", "minLength": 1}, elsewhere]))]))
    }
}

const AS_AT_THE_TOP: &str = "As at the top.";

/// Numbers with their units, like `1h 30m`.
const DURATION: &str = r"^(0|(\s*[0-9][0-9\s]*(\.[0-9_\s]*)?[A-Za-zµ]+\s*)+)$";
