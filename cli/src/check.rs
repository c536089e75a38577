//! `check`: all mistakes of all configurations in files, each with its place.

use phantom_token_core::Settings;

use crate::configuration::Configuration;
use crate::document::{Position, Unreadable};
use crate::environment::Environment;
use crate::source::{NOTHING, Source};

/// What was found in one file.
pub struct Report {
    /// The file.
    pub file: String,
    /// Where its configurations begin.
    pub configurations: Vec<Position>,
    /// What is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is in the file.
    pub at: Position,
    /// The path of the field, empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Checks a file. The variables of the environment have to be there if they are `required`.
pub fn check(source: &Source, requires_environment: bool) -> Report {
    let file = source.name.clone();
    let (configurations, mut findings) = match source.configurations() {
        Err(Unreadable { at, message }) => (Vec::new(), vec![Finding::of_file(at, message)]),
        Ok(none) if none.is_empty() => (Vec::new(), vec![Finding::of_file(Position::START, NOTHING)]),
        Ok(found) => {
            let findings = found.iter().flat_map(|one| findings(one, requires_environment)).collect();
            (found.iter().map(Configuration::at).collect(), findings)
        }
    };
    findings.sort_by_key(|finding| finding.at);
    Report { file, configurations, findings }
}

/// The mistakes of one configuration.
pub fn findings(configuration: &Configuration, requires_environment: bool) -> Vec<Finding> {
    let environment = match requires_environment {
        true => Environment::required(),
        false => Environment::made_up(configuration.node()),
    };
    let text = match configuration.text() {
        Ok(text) => text,
        Err(refusal) => return vec![Finding::of_file(configuration.at(), refusal)],
    };
    let Err(mistakes) = Settings::parse(text.as_bytes(), &|name| environment.get(name)) else {
        return Vec::new();
    };
    let finding = |mistake: &phantom_token_core::Mistake| Finding {
        at: configuration.locate(mistake.path()),
        path: mistake.path().to_owned(),
        message: mistake.message().to_owned(),
    };
    mistakes.iter().map(finding).collect()
}

impl Finding {
    fn of_file(at: Position, message: &str) -> Self {
        Self { at, path: String::new(), message: message.to_owned() }
    }
}
