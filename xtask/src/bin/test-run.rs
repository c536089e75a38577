//! `test-run NAME COMMAND…`: runs tests with cargo, passes its output on, and keeps the results in
//! `target/test-results/NAME.txt`. After failures, it lists which tests failed and why, with the tail of their processes' logs
//! and cargo's last output.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, program, arguments @ ..] = arguments.as_slice() else {
        anyhow::bail!("test-run NAME COMMAND…");
    };
    let (output, both) = std::io::pipe()?;
    let mut child = {
        let mut command = Command::new(program);
        command.args(arguments).stdout(both.try_clone()?).stderr(both);
        command.spawn().with_context(|| format!("cannot start {program}"))?
    };
    let mut run = Run::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        run.read(line);
    }
    let status = child.wait()?;
    fs::create_dir_all(RESULTS)?;
    fs::write(Path::new(RESULTS).join(format!("{name}.txt")), run.results.join("\n") + "\n")?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    if !run.failures.is_empty() {
        run.tell();
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// What cargo has printed so far.
#[derive(Default)]
struct Run {
    /// The lines that name each test binary and its result.
    results: Vec<String>,
    /// What cargo prints after all binaries, if some failed.
    errors: Vec<String>,
    failures: Vec<Failure>,
    binary: String,
    /// The length of each log when a test of this binary failed, by test.
    lengths: BTreeMap<String, BTreeMap<PathBuf, u64>>,
    is_telling: bool,
}

/// A test that failed.
struct Failure {
    binary: String,
    test: String,
    message: Vec<String>,
    lengths: Option<BTreeMap<PathBuf, u64>>,
}

impl Run {
    fn read(&mut self, line: String) {
        let words = line.trim_start();
        if ["Running ", "Doc-tests "].iter().any(|word| words.starts_with(word)) {
            self.binary = binary(words);
            self.is_telling = false;
            self.results.push(line);
        } else if line.starts_with("test result: ") {
            self.results.push(line);
        } else if let Some(test) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.lengths.insert(test.to_owned(), lengths());
        } else if let Some(test) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            let (binary, lengths) = (self.binary.clone(), self.lengths.remove(test));
            self.failures.push(Failure { binary, test: test.to_owned(), message: Vec::new(), lengths });
            self.is_telling = true;
        } else if line == "failures:" {
            self.is_telling = false;
        } else if line.starts_with("error: ") || !self.errors.is_empty() {
            self.errors.push(line);
        } else if let (true, Some(failure)) = (self.is_telling, self.failures.last_mut()) {
            failure.message.push(line);
        }
    }

    fn tell(&self) {
        println!("\n{HEADING}");
        for failure in &self.failures {
            println!("\n{}: {}", failure.binary, failure.test);
            failure.cause().iter().for_each(|line| println!("  {line}"));
            for (log, length) in failure.logs() {
                println!("  the end of {} when it failed:", log.display());
                tail(&log, length).unwrap_or_default().iter().for_each(|line| println!("    {line}"));
            }
        }
        println!("\nIn short:");
        for failure in &self.failures {
            let cause: Vec<String> =
                failure.cause().iter().take(3).map(|line| line.trim().to_owned()).collect();
            println!("  {}: {}: {}", failure.binary, failure.test, cause.join("; "));
        }
        self.results.iter().filter(|line| line.contains("FAILED")).for_each(|line| println!("{line}"));
        self.errors.iter().for_each(|line| println!("{line}"));
    }
}

impl Failure {
    /// Returns what the test printed, without backtraces.
    fn cause(&self) -> Vec<String> {
        let is_backtrace = |line: &str| line.to_lowercase().starts_with("stack backtrace:");
        let said = self.message.iter().take_while(|line| !is_backtrace(line));
        let said = said.filter(|line| !line.trim().is_empty() && !line.starts_with("note: "));
        // A panic prints the line with its location before its message: here, the location comes last.
        let (places, mut causes): (Vec<String>, Vec<String>) =
            said.cloned().partition(|line| line.starts_with("thread '") && line.ends_with(':'));
        causes.extend(places);
        causes.truncate(MESSAGE_LINES);
        causes
    }

    /// Returns the logs of the test's processes, with their lengths when the test failed: of those that it started, or else of those that
    /// tests in the same module started.
    fn logs(&self) -> Vec<(PathBuf, u64)> {
        let Some(lengths) = &self.lengths else { return Vec::new() };
        let owners = fs::read_to_string(Path::new(LOGS).join("owners.txt")).unwrap_or_default();
        let owned = |is_owner: &dyn Fn(&str) -> bool| {
            let logs = owners.lines().filter_map(|line| line.split_once('\t'));
            let logs = logs.filter(|(owner, _)| is_owner(owner)).map(|(_, log)| Path::new(LOGS).join(log));
            let known = logs.filter_map(|log| Some((log.clone(), lengths.get(&log).copied()?)));
            known.collect::<BTreeMap<_, _>>()
        };
        let own = format!("{}::{}", self.binary, self.test);
        let module = own.rsplit_once("::").map_or("", |(module, _)| module);
        let mut logs = owned(&|owner| owner == own);
        if logs.is_empty() {
            logs = owned(&|owner| owner.rsplit_once("::").is_some_and(|(its, _)| its == module));
        }
        logs.into_iter().take(LOGS_OF_ONE).collect()
    }
}

/// The name of the binary in cargo's `Running tests/envoy/main.rs (target/debug/deps/envoy-0123456789abcdef)`.
fn binary(running: &str) -> String {
    let path = running.rsplit_once('(').map_or(running, |(_, path)| path).trim_end_matches(')');
    let file = path.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned()
}

fn lengths() -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(LOGS).into_iter().flatten().flatten();
    files.filter_map(|file| Some((file.path(), file.metadata().ok()?.len()))).collect()
}

/// Returns the last lines of a log up to this length.
fn tail(log: &Path, length: u64) -> Result<Vec<String>> {
    let mut file = fs::File::open(log)?;
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().skip(usize::from(start > 0)).collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    let cut = |line: &&str| line.chars().take(LINE_CHARACTERS).collect();
    Ok(lines.iter().skip(skipped).map(cut).collect())
}

const RESULTS: &str = "target/test-results";
/// Where the tests' processes log; `owners.txt` says which test started each.
const LOGS: &str = "target/logs";
/// The heading that `just repeat` looks for.
const HEADING: &str = "What failed, and why:";
const MESSAGE_LINES: usize = 20;
const LOGS_OF_ONE: usize = 4;
const TAIL_LINES: usize = 30;
const TAIL_BYTES: u64 = 64 * 1024;
const LINE_CHARACTERS: usize = 300;
