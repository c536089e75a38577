//! The input files of commands.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::configuration::{self, Configuration};
use crate::document::{self, Position, Unreadable};
use crate::foreign::{self, Foreign};

/// An input file and its text.
pub struct Source {
    /// The name by which the file was given.
    pub name: String,
    text: String,
}

impl Source {
    /// Reads a file, or standard input where the name is `-`.
    ///
    /// # Errors
    /// The reason why it cannot be read, as a sentence for the operator.
    pub fn read(path: &Path) -> Result<Self, String> {
        let is_standard_input = path.as_os_str() == "-";
        let name = if is_standard_input { STANDARD_INPUT.to_owned() } else { path.display().to_string() };
        let bytes = if is_standard_input {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(path)
        };
        let bytes = bytes.map_err(|error| format!("cannot read {name}: {error}"))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| format!("cannot read {name}: {}", foreign::of_bytes(error.as_bytes())))?;
        Ok(Self::new(name, text))
    }

    /// Creates a file with this name and this text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the configurations of the filter in the file, in order: at least one.
    ///
    /// # Errors
    /// The position at which the file is neither YAML nor JSON, or that it contains no configuration.
    pub fn configurations(&self) -> Result<Vec<Configuration>, Unreadable> {
        let documents = document::read(&self.text).map_err(|Unreadable { at, message }| {
            let message = foreign::of_name(&self.name).unwrap_or(message);
            Unreadable { at, message }
        })?;
        let is_json = [".json", ".jsonc"].iter().any(|end| self.name.ends_with(end))
            || (self.name == STANDARD_INPUT && foreign::is_meant_as_json(&self.text));
        let found = configuration::find(&documents, &self.text, is_json);
        if found.is_empty() {
            let nothing = Foreign { at: Position::START, message: NOTHING };
            let by_name = foreign::of_name(&self.name).map(|message| Foreign { message, ..nothing });
            let by_text = || foreign::of_nothing(&self.text, &documents);
            let Foreign { at, message } = by_name.or_else(by_text).unwrap_or(nothing);
            return Err(Unreadable { at, message });
        }
        Ok(found)
    }

    /// Returns the only configuration in the file, or the one of this number, counted from 1.
    ///
    /// # Errors
    /// There is no configuration, no number although there are several, or no configuration of this number.
    pub fn configuration(&self, number: Option<usize>) -> Result<Configuration, String> {
        let name = &self.name;
        let mut all = self
            .configurations()
            .map_err(|Unreadable { at, message }| format!("{name}:{}:{}: {message}", at.line, at.column))?;
        match (number, all.len()) {
            (None, 1) => Ok(all.remove(0)),
            (None, count) => {
                let lines: Vec<String> = all.iter().map(|one| one.at().line.to_string()).collect();
                let lines = lines.join(", ");
                Err(format!(
                    "{name} has {count} configurations, at the lines {lines}: choose by --configuration 1 to {count}"
                ))
            }
            (Some(number), count) => match number.checked_sub(1).filter(|index| *index < count) {
                Some(index) => Ok(all.remove(index)),
                None => {
                    Err(format!("{name} has {count} configurations: choose by --configuration 1 to {count}"))
                }
            },
        }
    }
}

/// The message about a file that contains no configuration, if nothing else is known about it.
const NOTHING: &str = "this file contains no configuration of the filter";

/// The name of standard input.
const STANDARD_INPUT: &str = "stdin";
