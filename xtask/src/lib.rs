//! Common code of the page generators.

use std::fs;

use anyhow::{Result, bail, ensure};

pub mod reference;

/// Writes pages, given as paths and texts. With `--check` as the program's only argument, checks that they are current instead.
///
/// # Errors
/// A page is not current or cannot be written, or the arguments are invalid.
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
