//! What the tools that write pages have in common.

use std::fs;

use anyhow::{Result, bail, ensure};

/// Writes a page; or with `--check` as the only argument of the program, tells whether it is current.
///
/// # Errors
/// It is not current, it cannot be written, or the arguments are others.
pub fn publish(path: &str, text: &str) -> Result<()> {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => fs::write(path, text)?,
        (Some("--check"), None) => {
            let is_current = fs::read_to_string(path).unwrap_or_default() == text;
            ensure!(is_current, "{path} is not current; `./justw {name}` writes it");
        }
        _ => bail!("usage: {name} [--check]"),
    }
    Ok(())
}
