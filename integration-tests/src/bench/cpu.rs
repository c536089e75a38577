//! CPU time of a process: the cost of requests, independent of whatever else runs on the machine.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The CPU clock of a process, from Linux's scheduler. It is exact while the process waits; for a running thread it lags by at most one
/// tick.
pub struct ProcessClock {
    threads: PathBuf,
}

impl ProcessClock {
    /// The clock of the process with this id.
    pub fn of(process: u32) -> Self {
        Self { threads: PathBuf::from(format!("/proc/{process}/task")) }
    }

    /// The CPU time that all threads of the process have used so far.
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

/// Reads the first number of `schedstat`, in nanoseconds.
fn on_processor(line: &str) -> Option<Duration> {
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
