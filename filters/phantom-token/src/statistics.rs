//! The metrics of one configuration on one worker, in the host's statistics, which sum over all workers.
//!
//! Counters add up in this VM until the next tick, so a request makes no host call for them. Without ticks, or on hosts whose VMs do not
//! survive a trap, each count is reported at once.

use std::cell::Cell;

use phantom_token_core::{Counter, Gauge, Histogram, Metrics, Reason, denied, shadow_denied};
use proxy_wasm::types::MetricType;

use crate::capabilities::capabilities;
use crate::host::{self, MetricId};

/// All metrics. A metric that the host refuses is `None`, and is not counted.
pub(crate) struct Statistics {
    counters: Vec<Count>,
    denied: Vec<Count>,
    shadow_denied: Vec<Count>,
    gauges: Vec<Level>,
    histograms: Vec<Option<MetricId>>,
    /// Whether counters wait for [`Self::flush`].
    collects: bool,
}

/// A counter, with the part that has not been reported to the host.
struct Count {
    metric: Option<MetricId>,
    unreported: Cell<u64>,
}

/// This worker's part of a gauge, as last reported to the host.
struct Level {
    metric: Option<MetricId>,
    reported: Cell<i64>,
}

impl Statistics {
    /// Defines all metrics. If `has_ticks` and the VM survives traps, counters wait for [`Self::flush`].
    pub(crate) fn define(has_ticks: bool) -> Self {
        let count = |name: &str| Count {
            metric: host::define_metric(MetricType::Counter, name).ok(),
            unreported: Cell::default(),
        };
        let gauge = |gauge: &Gauge| Level {
            metric: host::define_metric(MetricType::Gauge, gauge.name()).ok(),
            // Where gauges are set, the first value is always reported.
            reported: Cell::new(if capabilities().adds_to_gauges { 0 } else { i64::MIN }),
        };
        let histogram = |one: &Histogram| host::define_metric(MetricType::Histogram, one.name()).ok();
        Self {
            counters: Counter::ALL.iter().map(|one| count(one.name())).collect(),
            denied: Reason::ALL.iter().map(|reason| count(&denied(*reason))).collect(),
            shadow_denied: Reason::ALL.iter().map(|reason| count(&shadow_denied(*reason))).collect(),
            gauges: Gauge::ALL.iter().map(gauge).collect(),
            histograms: Histogram::ALL.iter().map(histogram).collect(),
            collects: has_ticks && capabilities().keeps_vm,
        }
    }

    /// Reports what was counted since the last flush.
    pub(crate) fn flush(&self) {
        let Self { counters, denied, shadow_denied, .. } = self;
        counters.iter().chain(denied).chain(shadow_denied).for_each(Count::report);
    }

    fn count(&self, counts: &[Count], index: usize, number: u64) {
        let Some(count) = counts.get(index) else { return };
        count.unreported.set(count.unreported.get().saturating_add(number));
        if !self.collects {
            count.report();
        }
    }
}

impl Metrics for Statistics {
    fn add(&self, counter: Counter, count: u64) {
        self.count(&self.counters, counter as usize, count);
    }

    fn deny(&self, reason: Reason) {
        self.count(&self.denied, reason as usize, 1);
    }

    fn shadow_deny(&self, reason: Reason) {
        self.count(&self.shadow_denied, reason as usize, 1);
    }

    fn set(&self, gauge: Gauge, value: usize) {
        if let Some(level) = self.gauges.get(gauge as usize) {
            level.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    fn record(&self, histogram: Histogram, value: u64) {
        if let Some(metric) = self.histograms.get(histogram as usize).copied().flatten() {
            let _ = host::record(metric, value);
        }
    }
}

/// Reports the remaining counts, and removes this worker's part of the gauges.
impl Drop for Statistics {
    fn drop(&mut self) {
        self.flush();
        if capabilities().adds_to_gauges {
            self.gauges.iter().for_each(|level| level.set(0));
        }
    }
}

impl Count {
    fn report(&self) {
        let (Some(metric), count @ 1..) = (self.metric, self.unreported.get()) else { return };
        if host::add(metric, i64::try_from(count).unwrap_or(i64::MAX)).is_ok() {
            self.unreported.set(0);
        }
    }
}

impl Level {
    fn set(&self, value: i64) {
        let change = value.saturating_sub(self.reported.get());
        let Some(metric) = self.metric.filter(|_| change != 0) else { return };
        let result = match capabilities().adds_to_gauges {
            true => host::add(metric, change),
            // Then the gauge has the value of the worker that reported last.
            false => host::record(metric, u64::try_from(value).unwrap_or_default()),
        };
        if result.is_ok() {
            self.reported.set(value);
        }
    }
}
