//! Writes the results of the tests with real authorization servers from target/servers into docs/servers.md. The rows of servers that were
//! not run remain.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use integration_tests::paths;
use serde_json::Value;

fn main() -> Result<()> {
    let path = paths::root().join("docs/servers.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).context("the page has no place for the table")?;
    let (old, after) = rest.split_once(END).context("the place for the table has no end")?;
    let mut rows: BTreeMap<String, String> =
        old.lines().skip_while(|line| !line.starts_with("|---")).skip(1).filter_map(kept).collect();
    for file in std::fs::read_dir(paths::servers()?)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let result: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
            let name = path.file_stem().and_then(|name| name.to_str()).context("a file without a name")?;
            let chapter = result["chapter"].as_str().context("a result without a chapter")?;
            rows.insert(chapter.to_owned(), row(chapter, &result, &beside(name)?));
        }
    }
    let names = COLUMNS.map(|(name, _)| name).join(" | ");
    let mut table =
        format!("| server | version | {names} | also |\n|---|---|{}---|\n", "---|".repeat(COLUMNS.len()));
    for row in rows.values() {
        writeln!(table, "{row}")?;
    }
    std::fs::write(path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?;
    print!("{table}");
    Ok(())
}

/// Splits a row of the existing table into its server and itself.
fn kept(line: &str) -> Option<(String, String)> {
    let chapter = line.strip_prefix("| [")?.split_once(']')?.0;
    Some((chapter.to_owned(), line.to_owned()))
}

fn row(chapter: &str, result: &Value, beside: &str) -> String {
    let text = |name: &str| result["noted"][name].as_str().unwrap_or("–").to_owned();
    let version = result["version"].as_str().unwrap_or_default();
    let cells = COLUMNS.map(|(_, name)| text(name)).join(" | ");
    format!("| [{chapter}](#{}) | {version} | {cells} | {beside} |", anchor(chapter))
}

/// Returns what works with this server in addition to what works with all.
fn beside(name: &str) -> Result<String> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(paths::servers()?)? {
        let file = file?.file_name().to_string_lossy().into_owned();
        let what = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".beside"));
        all.extend(what.map(str::to_owned));
    }
    all.sort();
    Ok(if all.is_empty() { "–".to_owned() } else { all.join(", ") })
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.to_lowercase().replace(' ', "-");
    words.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

/// The columns, each with the result that it shows.
const COLUMNS: [(&str, &str); 6] = [
    ("the response has", "an answer"),
    ("cached", "kept"),
    ("revoked token", "a revoked token"),
    ("refresh token", "a refresh token"),
    ("token for another API", "a foreign token"),
    ("wrong client secret", "a wrong secret"),
];

const BEGIN: &str = "<!-- servers, by ./justw servers -->";
const END: &str = "<!-- end of servers -->";
