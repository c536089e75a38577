//! `check`: reports all errors of all configurations in files, with line and field.

use phantom_token_core::HostKind;

use crate::configuration::Configuration;
use crate::document::{Position, Unreadable};
use crate::environment::Environment;
use crate::foreign::{self, Foreign};
use crate::http_filters::{self, Risk};
use crate::source::Source;

/// The findings in one file.
pub struct Report {
    /// The file.
    pub file: String,
    /// Where the configurations in the file begin.
    pub configurations: Vec<Position>,
    /// The findings, in the order of the file.
    pub findings: Vec<Finding>,
}

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is in the file.
    pub at: Position,
    /// The path of the field; empty if the finding concerns the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// Whether it is an error, or may be one.
    pub severity: Severity,
}

/// How certain an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Whether it is wrong depends on more than the file.
    Warning,
    /// It is certainly wrong.
    Error,
}

/// Checks a file for `host`, or else for the host that each configuration is for. If `requires_environment`, the environment variables have
/// to be set.
pub fn check(source: &Source, host: Option<HostKind>, requires_environment: bool) -> Report {
    let file = source.name.clone();
    let (configurations, mut findings) = match source.configurations() {
        Err(Unreadable { at, message }) => (Vec::new(), vec![Finding::of_file(at, message)]),
        Ok(found) => {
            let all = |one: &Configuration| {
                let mut all = findings(one, host, requires_environment);
                let about_filters = [http_filters::stale_route(one), http_filters::unread_call(one)];
                let about_filters = about_filters.into_iter().flatten().map(|about| of_filters(one, about));
                all.extend(about_filters.filter(|_| host.unwrap_or(one.host()) == HostKind::Envoy));
                all.extend(one.fail_open().map(|(setting, at)| Finding {
                    at,
                    path: setting.path.clone(),
                    message: setting.message.to_owned(),
                    severity: setting.risk.into(),
                }));
                all
            };
            let findings = found.iter().flat_map(all).collect();
            (found.iter().map(Configuration::at).collect(), findings)
        }
    };
    findings.extend(placeholders(&findings, source.text()));
    findings.sort_by_key(|finding| finding.at);
    Report { file, configurations, findings }
}

/// The errors of one configuration.
pub fn findings(
    configuration: &Configuration,
    host: Option<HostKind>,
    requires_environment: bool,
) -> Vec<Finding> {
    let environment = match requires_environment {
        true => Environment::required(),
        false => Environment::placeholders(configuration.node()),
    };
    let text = match configuration.text() {
        Ok(text) => text,
        Err(refusal) => return vec![Finding::of_file(configuration.at(), refusal)],
    };
    let host = host.unwrap_or(configuration.host());
    let Err(errors) = environment.read(&text, host) else {
        return Vec::new();
    };
    let finding = |error: &phantom_token_core::ConfigError| Finding {
        at: configuration.locate(error.path()),
        path: error.path().to_owned(),
        message: match error.path() {
            "" => foreign::of_json(&text).unwrap_or(error.message()).to_owned(),
            _ => error.message().to_owned(),
        },
        severity: Severity::Error,
    };
    errors.iter().map(finding).collect()
}

/// Warns of comments, placeholders and damaged characters in a file that has errors, once per kind, since they may be the only mistake.
fn placeholders(findings: &[Finding], text: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let is_news = |comment: &Foreign| {
        !findings.is_empty() && findings.iter().all(|finding| finding.message != comment.message)
    };
    if let Some(Foreign { at, message }) = foreign::has_comments(text).filter(is_news) {
        found.push(Finding { severity: Severity::Warning, ..Finding::of_file(at, message) });
    }
    for finding in
        findings.iter().filter(|finding| finding.severity == Severity::Error && !finding.path.is_empty())
    {
        let Some(Foreign { at, message }) = foreign::of_line(text, finding.at.line) else { continue };
        if !found.iter().any(|known| known.message == message) {
            found.push(Finding { severity: Severity::Warning, ..Finding::of_file(at, message) });
        }
    }
    found
}

/// Returns a finding about the filters around a configuration, which may make some of its rules ineffective.
fn of_filters(configuration: &Configuration, (risk, path, message): (Risk, String, String)) -> Finding {
    Finding { at: configuration.locate(&path), path, message, severity: risk.into() }
}

impl From<Risk> for Severity {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Possible => Self::Warning,
            Risk::Certain => Self::Error,
        }
    }
}

impl Report {
    /// Returns the numbers of errors and of warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        (errors, self.findings.len() - errors)
    }
}

impl Finding {
    fn of_file(at: Position, message: &str) -> Self {
        Self { at, path: String::new(), message: message.to_owned(), severity: Severity::Error }
    }
}
