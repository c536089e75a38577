//! How what `check` found is written: for people, for programs, and as annotations of GitHub.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::check::{Finding, Report};

/// For people: a line for each mistake, and one for each file.
pub fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for Report { file, configurations, findings } in reports {
        let file = plain(file);
        for Finding { at, path, message } in findings {
            let separator = if path.is_empty() { "" } else { ": " };
            let (line, column) = (at.line, at.column);
            let (path, message) = (plain(path), plain(message));
            let _ = writeln!(
                text,
                "{BOLD}{file}:{line}:{column}:{BOLD:#} {BAD}error:{BAD:#} {BOLD}{path}{BOLD:#}{separator}{message}"
            );
        }
        let count = configurations.len();
        let _ = match (count, findings.len()) {
            (0, _) => Ok(()),
            (1, 0) => writeln!(text, "{file}: {GOOD}no mistakes{GOOD:#}"),
            (_, 0) => writeln!(text, "{file}: {GOOD}no mistakes{GOOD:#} in {count} configurations"),
            (1, 1) => writeln!(text, "{file}: 1 mistake"),
            (1, mistakes) => writeln!(text, "{file}: {mistakes} mistakes"),
            (_, 1) => writeln!(text, "{file}: 1 mistake in {count} configurations"),
            (_, mistakes) => writeln!(text, "{file}: {mistakes} mistakes in {count} configurations"),
        };
    }
    text
}

/// For programs: one JSON object.
pub fn json(reports: &[Report]) -> String {
    let finding = |finding: &Finding| {
        let Finding { at, path, message } = finding;
        json!({"line": at.line, "column": at.column, "path": path, "message": message})
    };
    let file = |report: &Report| {
        let configurations: Vec<Value> =
            report.configurations.iter().map(|at| json!({"line": at.line, "column": at.column})).collect();
        let mistakes: Vec<Value> = report.findings.iter().map(finding).collect();
        json!({"file": report.file, "configurations": configurations, "mistakes": mistakes})
    };
    let files: Vec<Value> = reports.iter().map(file).collect();
    format!("{:#}\n", json!({"files": files}))
}

/// Annotations of GitHub's workflows.
pub fn github(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        for Finding { at, path, message } in &report.findings {
            let separator = if path.is_empty() { "" } else { ": " };
            let _ = writeln!(
                text,
                "::error file={},line={},col={}::{}{separator}{}",
                escaped(&report.file).replace(':', "%3A").replace(',', "%2C"),
                at.line,
                at.column,
                escaped(path),
                escaped(message),
            );
        }
    }
    text
}

/// A text of somebody else as a terminal may have it.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What matters.
pub const BOLD: Style = Style::new().bold();
/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is right.
pub const GOOD: Style = AnsiColor::Green.on_default();
