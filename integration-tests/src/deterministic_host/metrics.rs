//! Counters, gauges and histograms, which all VMs share by name.

use std::collections::BTreeMap;

use super::status::Status;

#[derive(Default)]
pub(super) struct Metrics {
    numbers: BTreeMap<String, u32>,
    metrics: Vec<Metric>,
}

struct Metric {
    kind: Kind,
    value: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metrics {
    pub(super) fn define(&mut self, kind: u32, name: String) -> Result<u32, Status> {
        let kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Histogram,
            _ => return Err(Status::BadArgument),
        };
        let next = u32::try_from(self.metrics.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.metrics.push(Metric { kind, value: 0 });
        }
        if self.metrics[number as usize].kind == kind { Ok(number) } else { Err(Status::BadArgument) }
    }

    /// Adds to a gauge, or to a counter, which can only grow.
    pub(super) fn increment(&mut self, number: u32, offset: i64) -> Result<(), Status> {
        let metric = self.metrics.get_mut(number as usize).ok_or(Status::NotFound)?;
        match metric.kind {
            Kind::Counter if offset > 0 => {}
            Kind::Gauge => {}
            Kind::Counter | Kind::Histogram => return Err(Status::BadArgument),
        }
        metric.value = metric.value.saturating_add_signed(offset);
        Ok(())
    }

    pub(super) fn is_gauge(&self, number: u32) -> bool {
        self.metrics.get(number as usize).is_some_and(|metric| metric.kind == Kind::Gauge)
    }

    /// Sets a gauge, or adds a value to a histogram, of which only the last value is kept.
    pub(super) fn record(&mut self, number: u32, value: u64) -> Result<(), Status> {
        let metric = self.metrics.get_mut(number as usize).ok_or(Status::NotFound)?;
        if metric.kind == Kind::Counter {
            return Err(Status::BadArgument);
        }
        metric.value = value;
        Ok(())
    }

    pub(super) fn get(&self, number: u32) -> Result<u64, Status> {
        self.metrics.get(number as usize).map(|metric| metric.value).ok_or(Status::NotFound)
    }

    pub(super) fn named(&self, name: &str) -> Option<u64> {
        self.get(*self.numbers.get(name)?).ok()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.numbers.keys().map(String::as_str)
    }
}
