//! The findings of a probe, for people and for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::draft::Change;
use crate::report::{BAD, BOLD, GOOD, plain};

/// The findings so far, and the changes to the configuration that they suggest.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    changes: Vec<Change>,
    server: Option<String>,
}

struct Line {
    /// Whether the filter works like this; `None` for a note.
    is_fine: Option<bool>,
    what: String,
    text: String,
}

impl Report {
    /// Creates the report on a server, which is named if there are several.
    pub fn of_server(server: Option<&str>) -> Self {
        Self { server: server.map(str::to_owned), ..Self::default() }
    }

    /// Adds a note, which does not affect the verdict.
    pub fn note(&mut self, what: impl Into<String>, text: impl AsRef<str>) {
        self.push(None, what.into(), text.as_ref());
    }

    /// Adds a finding, with which the filter works or does not.
    pub fn judge(&mut self, is_fine: bool, what: impl Into<String>, text: impl AsRef<str>) {
        self.push(Some(is_fine), what.into(), text.as_ref());
    }

    fn push(&mut self, is_fine: Option<bool>, what: String, text: &str) {
        self.lines.push(Line { is_fine, what, text: plain(text) });
    }

    /// Adds suggested changes to the configuration.
    pub fn follow(&mut self, changes: &[Change]) {
        let new = changes.iter().filter(|change| !self.changes.contains(change)).cloned().collect::<Vec<_>>();
        self.changes.extend(new);
    }

    /// Whether there are suggested changes.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether the filter works like this, apart from single rules.
    pub fn is_fine(&self) -> bool {
        self.lines.iter().all(|line| line.is_fine != Some(false) || line.what.starts_with("rules["))
    }

    /// Formats the report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Line { is_fine, what, text: line } in &self.lines {
            let _ = match is_fine {
                None => writeln!(text, "{BOLD}{what:<12}{BOLD:#} {line}"),
                Some(true) => writeln!(text, "{BOLD}{what:<12}{BOLD:#} {GOOD}{line}{GOOD:#}"),
                Some(false) => writeln!(text, "{BOLD}{what:<12}{BOLD:#} {BAD}{line}{BAD:#}"),
            };
        }
        if !self.changes.is_empty() {
            let place = match &self.server {
                None => String::new(),
                Some(name) => format!(" of {}", plain(name)),
            };
            let _ = writeln!(text, "\n{BOLD}Suggested changes to the configuration{place}:{BOLD:#}");
            let _ = write!(text, "{}", plain_lines(&self.yaml()));
        }
        text
    }

    /// Returns the report for programs.
    pub fn json(&self) -> Value {
        let finding =
            |Line { is_fine, what, text }: &Line| json!({"what": what, "is_fine": is_fine, "text": text});
        let change =
            |Change { path, value, why }: &Change| json!({"path": path, "value": value, "why": plain(why)});
        json!({
            "is_fine": self.is_fine(),
            "findings": self.lines.iter().map(finding).collect::<Vec<_>>(),
            "server": self.server,
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "configuration": self.configuration(),
        })
    }

    fn configuration(&self) -> Value {
        let mut root = Value::Object(Map::new());
        for change in &self.changes {
            if let Some(value) = &change.value {
                super::draft::put(&mut root, &change.path, value.clone());
            }
        }
        root
    }

    /// Formats the suggested changes as YAML, each with its reason. A field to leave out becomes a comment.
    fn yaml(&self) -> String {
        let mut text = String::new();
        for change in self.changes.iter().filter(|change| change.value.is_none()) {
            let _ = writeln!(text, "# without {}: {}", change.path, change.why);
        }
        if let Value::Object(members) = self.configuration() {
            self.write_members(&members, "", &mut text);
        }
        text
    }

    fn write_members(&self, members: &Map<String, Value>, path: &str, text: &mut String) {
        let indentation = "  ".repeat(path.split('.').filter(|name| !name.is_empty()).count());
        for (name, value) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let change = self.changes.iter().find(|change| change.path == path);
            let why = change.map(|change| format!(" # {}", change.why)).unwrap_or_default();
            match value {
                Value::Object(inner) => {
                    let _ = writeln!(text, "{indentation}{name}:{why}");
                    self.write_members(inner, &path, text);
                }
                value => {
                    let _ = writeln!(text, "{indentation}{name}: {}{why}", flow(value));
                }
            }
        }
    }
}

/// Formats a value as YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", word(name), flow(value));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => word(text),
        value => value.to_string(),
    }
}

/// Quotes a text if YAML would otherwise read something else.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.+".contains(&byte);
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    if is_word
        && text.bytes().all(is_plain)
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off")
    {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

fn plain_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", plain(line))).collect()
}
