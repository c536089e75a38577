//! Output of `check`: for people, for programs, and as GitHub annotations.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::check::{Finding, Report, Severity};
use crate::reference::Reference;

/// Formats reports for people: a line for each finding, one for each file, and one with links to the reference.
pub fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let Report { file, configurations, findings } = report;
        let file = plain(file);
        for Finding { at, path, message, severity } in findings {
            let separator = if path.is_empty() { "" } else { ": " };
            let (line, column) = (at.line, at.column);
            let (path, message) = (plain(path), plain(message));
            let (style, label) = match severity {
                Severity::Warning => (BOLD, "warning"),
                Severity::Error => (BAD, "error"),
            };
            let _ = writeln!(
                text,
                "{BOLD}{file}:{line}:{column}:{BOLD:#} {style}{label}:{style:#} {BOLD}{path}{BOLD:#}{separator}{message}"
            );
        }
        let (errors, warnings) = report.counts();
        let errors = match errors {
            0 => format!("{GOOD}no errors{GOOD:#}"),
            1 => "1 error".to_owned(),
            _ => format!("{errors} errors"),
        };
        let warnings = match warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            _ => format!(", {warnings} warnings"),
        };
        let _ = match configurations.len() {
            0 => Ok(()),
            1 => writeln!(text, "{file}: {errors}{warnings}"),
            count => writeln!(text, "{file}: {errors}{warnings} in {count} configurations"),
        };
    }
    let findings = reports.iter().flat_map(|report| &report.findings);
    if let Some(links) = Reference::new().of_blocks(findings) {
        let _ = writeln!(text, "see {links}");
    }
    text
}

/// Formats reports for programs, as one JSON object.
pub fn json(reports: &[Report]) -> String {
    let page = Reference::new();
    let finding = |finding: &Finding| {
        let Finding { at, path, message, .. } = finding;
        let reference = page.of_field(path);
        json!({"line": at.line, "column": at.column, "path": path, "message": message, "reference": reference})
    };
    let file = |report: &Report| {
        let configurations: Vec<Value> =
            report.configurations.iter().map(|at| json!({"line": at.line, "column": at.column})).collect();
        let of = |severity| report.findings.iter().filter(move |finding| finding.severity == severity);
        let [errors, warnings] = [Severity::Error, Severity::Warning]
            .map(|severity| of(severity).map(finding).collect::<Vec<Value>>());
        json!({
            "file": report.file,
            "configurations": configurations,
            "errors": errors,
            "warnings": warnings,
        })
    };
    let files: Vec<Value> = reports.iter().map(file).collect();
    format!("{:#}\n", json!({"files": files}))
}

/// Formats reports as annotations for GitHub's workflows.
pub fn github(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        for Finding { at, path, message, severity } in &report.findings {
            let separator = if path.is_empty() { "" } else { ": " };
            let _ = writeln!(
                text,
                "::{} file={},line={},col={}::{}{separator}{}",
                match severity {
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                },
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

/// Makes an external text safe for a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Emphasis.
pub const BOLD: Style = Style::new().bold();
/// Errors and refusals.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Success.
pub const GOOD: Style = AnsiColor::Green.on_default();
