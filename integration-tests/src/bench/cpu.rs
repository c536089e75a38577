//! CPU time of a process: the cost of requests, whatever else runs on the machine.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The clock of a process, that of Linux's scheduler. It is exact while the process waits; a thread that runs is behind
/// by a tick at most.
pub struct ProcessClock {
    threads: PathBuf,
}

impl ProcessClock {
    /// The clock of the process of this number.
    pub fn of(process: u32) -> Self {
        Self { threads: PathBuf::from(format!("/proc/{process}/task")) }
    }

    /// How long all its threads together had a processor so far.
    pub fn read(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for thread in std::fs::read_dir(&self.threads).context("the process has ended")? {
            match std::fs::read_to_string(thread?.path().join("schedstat")) {
                Ok(line) => total += on_processor(&line).context("no clock of a thread")?,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    bail!("a thread has ended, with its time")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(total)
    }
}

/// The first number of `schedstat`: nanoseconds.
fn on_processor(line: &str) -> Option<Duration> {
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
