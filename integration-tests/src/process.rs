//! Child processes that do not outlive the process that started them, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::eventually::eventually;
use crate::paths;

/// A running program. Dropping it kills the program and everything that it started.
pub struct Process {
    shell: Child,
}

impl Process {
    /// Starts a program, with its standard error in the file `log`. A shell beside it waits for its standard input to close, which happens
    /// when this process ends, and then kills their process group. Only the program holds its standard output, so that reading from it ends
    /// when the program does.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        const GUARD: &str = r#""$@" & exec >&-; read -r _; kill -KILL 0"#;
        let log_file = fresh(log).with_context(|| format!("cannot write {}", log.display()))?;
        note_owner(log).with_context(|| format!("cannot note whose {} is", log.display()))?;
        let shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { shell })
    }

    /// Kills the program and everything that it started.
    pub fn stop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// Returns the port after this text in a log, once it is there.
    pub async fn logged_port(log: &Path, before: &str) -> Result<u16> {
        let mut port = None;
        eventually(&format!("{before} in {}", log.display()), async || {
            let text = std::fs::read_to_string(log)?;
            let digits =
                text.split_once(before).map(|(_, rest)| rest.split(|other: char| !other.is_ascii_digit()));
            port = digits.and_then(|mut digits| digits.next()?.parse().ok());
            Ok(port.is_some())
        })
        .await?;
        port.context("no port")
    }

    /// The resident memory of the program, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it has no memory")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// The process id of the program.
    pub fn id(&self) -> Result<u32> {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        children.split_whitespace().next().and_then(|id| id.parse().ok()).context("the program has ended")
    }

    pub fn first_line(&mut self) -> Result<String> {
        self.line_with("")
    }

    /// Returns the first line of the program's standard output that contains this text, empty if there is none. The rest is read and
    /// discarded, so that the program can continue writing.
    pub fn line_with(&mut self, text: &str) -> Result<String> {
        let mut output = BufReader::new(self.shell.stdout.take().context("its output was taken before")?);
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 && !line.contains(text) {
            line.clear();
        }
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(line.trim_end().to_owned())
    }
}

/// Opens a truncated file for appending, so that other programs that append to it overwrite nothing.
fn fresh(log: &Path) -> std::io::Result<File> {
    File::create(log)?;
    OpenOptions::new().append(true).open(log)
}

/// Records which test the log belongs to: the name of the binary and of its thread, which is the test's.
fn note_owner(log: &Path) -> Result<()> {
    let binary = std::env::current_exe()?;
    let binary = binary.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let binary = binary.rsplit_once('-').map_or(binary, |(name, _)| name);
    let thread = std::thread::current();
    let log = log.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let line = format!("{binary}::{}\t{log}\n", thread.name().unwrap_or_default());
    let owners = paths::logs()?.join("owners.txt");
    Ok(OpenOptions::new().create(true).append(true).open(owners)?.write_all(line.as_bytes())?)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
