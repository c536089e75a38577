//! The metrics of one configuration on one worker, in the host's statistics, where those of all workers add up.

use std::cell::Cell;

use phantom_token_core::{Counter, Gauge, Histogram, Metrics, Reason, denied, shadow_denied};
use proxy_wasm::types::MetricType;

use crate::capabilities::capabilities;
use crate::host::{self, MetricId};

/// All metrics. One that the host refuses is not kept.
pub(crate) struct Statistics {
    counters: Vec<Option<MetricId>>,
    denied: Vec<Option<MetricId>>,
    shadow_denied: Vec<Option<MetricId>>,
    gauges: Vec<Level>,
    histograms: Vec<Option<MetricId>>,
}

/// What this worker's part of a gauge is, as the host knows it.
struct Level {
    metric: Option<MetricId>,
    reported: Cell<i64>,
}

impl Statistics {
    pub(crate) fn define() -> Self {
        let counter = |name: &str| host::define_metric(MetricType::Counter, name).ok();
        let gauge = |gauge: &Gauge| Level {
            metric: host::define_metric(MetricType::Gauge, gauge.name()).ok(),
            // Where gauges are set, the first value is always reported.
            reported: Cell::new(if capabilities().adds_to_gauges { 0 } else { i64::MIN }),
        };
        let histogram = |one: &Histogram| host::define_metric(MetricType::Histogram, one.name()).ok();
        Self {
            counters: Counter::ALL.iter().map(|one| counter(one.name())).collect(),
            denied: Reason::ALL.iter().map(|reason| counter(&denied(*reason))).collect(),
            shadow_denied: Reason::ALL.iter().map(|reason| counter(&shadow_denied(*reason))).collect(),
            gauges: Gauge::ALL.iter().map(gauge).collect(),
            histograms: Histogram::ALL.iter().map(histogram).collect(),
        }
    }
}

impl Metrics for Statistics {
    fn add(&self, counter: Counter, count: u64) {
        if let (Some(metric), 1..) = (self.counters.get(counter as usize).copied().flatten(), count) {
            let _ = host::add(metric, i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn deny(&self, reason: Reason) {
        increment(&self.denied, reason);
    }

    fn shadow_deny(&self, reason: Reason) {
        increment(&self.shadow_denied, reason);
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

fn increment(counters: &[Option<MetricId>], reason: Reason) {
    if let Some(metric) = counters.get(reason as usize).copied().flatten() {
        let _ = host::add(metric, 1);
    }
}

/// Removes this worker's part of the gauges.
impl Drop for Statistics {
    fn drop(&mut self) {
        if capabilities().adds_to_gauges {
            self.gauges.iter().for_each(|level| level.set(0));
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
