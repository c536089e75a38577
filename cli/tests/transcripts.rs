//! The command as it is used: what is written in the transcripts, and in its page, is what it does. `TRYCMD=overwrite` writes what
//! it does now into them.

use std::path::Path;

/// If this failed, the command would say or do something else than its page and its transcripts do.
#[test]
fn the_transcripts_are_what_happens() -> std::io::Result<()> {
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let cases = trycmd::TestCases::new();
    cases
        .env("NO_COLOR", "1")
        .env("GATEWAY_KEY", "")
        .case("docs/command-line.md")
        .case("cli/tests/transcripts/*.md");
    Ok(())
}
