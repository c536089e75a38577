//! Samples of a process's memory, and whether it stays within bounds.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::envoy::Envoy;
use crate::plot::{Axis, Line, Plot};

/// Samples of resident memory, each with the progress at which it was taken.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    samples: Vec<(f64, u64)>,
}

impl Memory {
    /// Records Envoy's current memory at this progress.
    pub fn sample(&mut self, after: f64, envoy: &Envoy) -> Result<()> {
        self.samples.push((after, envoy.resident_bytes()?));
        Ok(())
    }

    /// Returns the growth after this share of all samples, in bytes: the maximum from there on, minus the maximum in a window there, so
    /// that neither a trough nor a peak counts as growth.
    pub fn growth_since(&self, share: f64) -> Result<u64> {
        let last = self.samples.len().checked_sub(1).context("no samples")?;
        let mark = (last as f64 * share) as usize;
        let around = mark..=(mark + last / 10);
        let most = |range: &[(f64, u64)]| range.iter().map(|(_, bytes)| *bytes).max();
        let before = most(self.samples.get(around).context("too few samples")?).context("too few samples")?;
        let after = most(self.samples.get(mark..).context("too few samples")?).context("too few samples")?;
        Ok(after - before)
    }

    /// Checks that memory grew by no more than this.
    ///
    /// # Errors
    /// If it grew by more. The error contains the samples.
    pub fn stays_flat(&self, share: f64, allowance: u64) -> Result<()> {
        let growth = self.growth_since(share)?;
        let mebibytes: Vec<u64> = self.samples.iter().map(|(_, bytes)| bytes >> 20).collect();
        ensure!(
            growth <= allowance,
            "resident memory grew by {} MiB after {:.0} % of it all, more than {} MiB: {mebibytes:?}",
            growth >> 20,
            share * 100.0,
            allowance >> 20,
        );
        Ok(())
    }

    pub fn json(&self) -> Value {
        self.samples.iter().map(|(after, bytes)| json!([after, bytes])).collect()
    }

    /// Reads samples that were written as JSON.
    pub fn from_json(samples: &Value) -> Result<Self> {
        let samples = samples.as_array().context("no samples")?.iter();
        let read = |sample: &Value| Some((sample[0].as_f64()?, sample[1].as_u64()?));
        Ok(Self { samples: samples.map(|sample| read(sample).context("no sample")).collect::<Result<_>>()? })
    }

    /// Plots the samples over their progress.
    pub fn plot(&self, title: &str, x: Axis<'_>, file: &Path) -> Result<()> {
        let points: Vec<(f64, f64)> =
            self.samples.iter().map(|(after, bytes)| (*after, *bytes as f64 / f64::from(1 << 20))).collect();
        let y = Axis { name: "resident memory, MiB", number: |mebibytes| format!("{mebibytes:.0}") };
        let lines = [Line { name: String::new(), points }];
        Plot { title, x, y, lines: &lines }.write(file)
    }
}
