//! `conformance [--check]`: writes `docs/conformance.md`, which lists for each requirement of `docs/requirements.md` the tests
//! that show it; with `--check`, only checks that the page is current.
//!
//! A test shows the requirements whose numbers its name begins with: `r023_r053_coalesced_requests_are_decided_separately`; a
//! scenario of `integration-tests/scenarios.yaml`, those that it lists.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

fn main() -> Result<()> {
    let mut tests = tests(&["src", "cli/tests", "integration-tests/tests"])?;
    note_scenarios(&fs::read_to_string("integration-tests/scenarios.yaml")?, &mut tests)?;
    let page = page(&fs::read_to_string("docs/requirements.md")?, tests)?;
    xtask::publish(&[("docs/conformance.md", page)])
}

/// The names of the tests that show each requirement, by its number.
type Tests = BTreeMap<u32, Vec<String>>;

fn tests(folders: &[&str]) -> Result<Tests> {
    let mut tests = Tests::new();
    for file in
        folders.iter().map(|folder| rust_files(Path::new(folder))).collect::<Result<Vec<_>>>()?.concat()
    {
        let text = fs::read_to_string(&file)?;
        let functions = text
            .lines()
            .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
        for name in functions.filter_map(|rest| rest.split('(').next()) {
            for number in name.split('_').map_while(|part| part.strip_prefix('r')?.parse().ok()) {
                tests.entry(number).or_default().push(name.to_owned());
            }
        }
    }
    Ok(tests)
}

fn note_scenarios(text: &str, tests: &mut Tests) -> Result<()> {
    let mut name = "";
    for line in text.lines() {
        if let Some(own) = line.strip_prefix("- name: ") {
            name = own;
        }
        let numbers = line.strip_prefix("  requirements: [").and_then(|rest| rest.strip_suffix(']'));
        for number in numbers.into_iter().flat_map(|numbers| numbers.split(", ")) {
            tests.entry(number.parse()?).or_default().push(name.to_owned());
        }
    }
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            files.extend(rust_files(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    Ok(files)
}

fn page(requirements: &str, mut tests: Tests) -> Result<String> {
    let mut page = String::from(HEAD);
    let (mut shown, mut all) = (0, 0);
    for line in requirements.lines() {
        if let Some(section) = line.strip_prefix("## ") {
            write!(page, "\n## {section}\n\n| requirement | shown by |\n|---|---|\n")?;
        }
        let Some((number, _)) = line.strip_prefix("- **R").and_then(|rest| rest.split_once("**")) else {
            continue;
        };
        let names = tests.remove(&number.parse()?).unwrap_or_default();
        all += 1;
        shown += u32::from(!names.is_empty());
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "not yet".to_owned() } else { names.join("<br>") };
        writeln!(page, "| R{number} | {names} |")?;
    }
    ensure!(tests.is_empty(), "tests of requirements that there are not: {tests:?}");
    write!(page, "\n{shown} of {all} requirements have a test.\n")?;
    Ok(page)
}

const HEAD: &str = "# Conformance\n\nWhich tests and scenarios show which [requirements](requirements.md), or a part of one. `./justw \
    conformance` writes this page from the tests.\n";
