//! Common code of the page generators.

use std::fs;

use anyhow::{Result, bail, ensure};

pub mod reference;

/// Writes pages, paths and texts; or with `--check` as the only argument of the program, tells whether they are current.
///
/// # Errors
/// One is not current or cannot be written, or the arguments are others.
pub fn publish(pages: &[(&str, String)]) -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let program = arguments.first().map_or("", |path| path.rsplit('/').next().unwrap_or_default());
    let options: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    for (path, text) in pages {
        match options.as_slice() {
            [] => fs::write(path, text)?,
            ["--check"] => {
                let is_current = fs::read_to_string(path).unwrap_or_default() == *text;
                ensure!(is_current, "{path} is not current; `./justw {program}` writes it");
            }
            _ => bail!("usage: {program} [--check]"),
        }
    }
    Ok(())
}
