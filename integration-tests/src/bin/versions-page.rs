//! Prints the versions of Envoy in which the tests passed, from the results in target/matrix, and writes them into docs/hosts/envoy.md.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use integration_tests::paths;

fn main() -> Result<()> {
    let mut runs = runs()?;
    runs.sort_by_key(|run| {
        let numbers = run.version.split('.').map(|number| number.parse::<u32>().ok());
        (numbers.collect::<Vec<_>>(), run.artefact == MODULE)
    });
    ensure!(!runs.is_empty(), "no version was tried; `./justw matrix` does");
    let path = paths::root().join("docs/hosts/envoy.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).context("the page has no place for the table")?;
    let (_, after) = rest.split_once(END).context("the place for the table has no end")?;
    let table = table(&runs)?;
    std::fs::write(path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?;
    print!("{table}");
    for run in runs {
        ensure!(
            run.failed.is_empty(),
            "failed in Envoy {}, {}: {}",
            run.version,
            run.artefact,
            run.failed.join(", ")
        );
        ensure!(run.is_clean, "the logs of Envoy {} were not found clean", run.version);
    }
    Ok(())
}

/// A run of the tests with one artefact in one version of Envoy.
struct Run {
    version: String,
    artefact: &'static str,
    passed: usize,
    failed: Vec<String>,
    /// Whether the logs contain neither a secret nor a stopped VM.
    is_clean: bool,
}

fn runs() -> Result<Vec<Run>> {
    std::fs::read_dir(paths::root().join("target/matrix"))?.map(|file| run(&file?.path())).collect()
}

fn run(log: &Path) -> Result<Run> {
    let name = log.file_stem().and_then(|name| name.to_str()).context("a file without a name")?;
    let (version, artefact) = name.strip_suffix("-module").map_or((name, WASM), |version| (version, MODULE));
    let text = std::fs::read_to_string(log)?;
    let ended = |ending: &str| {
        let names = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(ending));
        names.map(|name| name.trim_end_matches(" ...").to_owned()).collect::<Vec<_>>()
    };
    let (passed, failed) = (ended(" ok").len(), ended(" FAILED"));
    ensure!(passed + failed.len() > 100, "Envoy {version}: hardly a test was run, see {}", log.display());
    Ok(Run {
        version: version.to_owned(),
        artefact,
        passed,
        failed,
        is_clean: text.lines().any(|line| line.contains(CLEAN)),
    })
}

fn table(runs: &[Run]) -> Result<String> {
    let mut table =
        "| Envoy | artefact | tests passed | failed | secrets or stopped VMs in the logs |\n|---|---|---|---|---|\n"
            .to_owned();
    for run in runs {
        let failed = if run.failed.is_empty() { "none".to_owned() } else { run.failed.join(", ") };
        let found = if run.is_clean { "none" } else { "see the logs" };
        writeln!(table, "| {} | {} | {} | {failed} | {found} |", run.version, run.artefact, run.passed)?;
    }
    Ok(table)
}

const WASM: &str = "wasm";
const MODULE: &str = "native module";

const BEGIN: &str = "<!-- versions, by ./justw matrix -->";
const END: &str = "<!-- end of versions -->";
/// What the recipe `search-logs` prints on success.
const CLEAN: &str = "secrets, none in";
