//! The host services of the engine: time, data shared by all workers, metrics, randomness and a log.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;
use phantom_token_core::{
    Counter, Gauge, Histogram, LogSink, Metrics, Randomness, Reason, SharedData, Timestamp, denied,
    shadow_denied,
};

use crate::abi::MetricId;
use crate::config::Config;
use crate::host::{ConfigHandle, MetricKind, StreamHandle};

#[allow(clippy::disallowed_methods, reason = "here the time comes in")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Data that all workers and configurations of the process share. The core bounds the number of keys.
pub(crate) struct ProcessData;

type Shard = RwLock<HashMap<String, (Vec<u8>, u32)>>;

static SHARDS: LazyLock<(RandomState, Vec<Shard>)> =
    LazyLock::new(|| (RandomState::new(), (0..SHARD_COUNT).map(|_| Shard::default()).collect()));

impl ProcessData {
    fn shard(key: &str) -> Option<&'static Shard> {
        let (state, shards) = &*SHARDS;
        shards.get(usize::try_from(state.hash_one(key)).unwrap_or_default() % SHARD_COUNT)
    }
}

impl SharedData for ProcessData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        Self::shard(key)?.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let Some(shard) = Self::shard(key) else { return false };
        let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
        match entries.get_mut(key) {
            None if cas == 0 => {
                entries.insert(key.to_owned(), (value.to_vec(), 1));
                true
            }
            Some((current, number)) if *number == cas => {
                value.clone_into(current);
                // 0 stands for an absent key, so the number skips it.
                *number = number.checked_add(1).unwrap_or(1);
                true
            }
            _ => false,
        }
    }
}

/// The metrics of a configuration, by Envoy's numbers. A metric that Envoy refuses is `None`, and is not counted.
pub(crate) struct MetricIds {
    counters: Vec<Option<MetricId>>,
    denied: Vec<Option<MetricId>>,
    shadow_denied: Vec<Option<MetricId>>,
    gauges: Vec<Option<MetricId>>,
    histograms: Vec<Option<MetricId>>,
    defects: Option<MetricId>,
}

impl MetricIds {
    /// Defines all metrics.
    pub(crate) fn define(handle: &ConfigHandle<'_>) -> Self {
        let counter = |name: &str| handle.define(MetricKind::Counter, name);
        Self {
            counters: Counter::ALL.iter().map(|one| counter(one.name())).collect(),
            denied: Reason::ALL.iter().map(|reason| counter(&denied(*reason))).collect(),
            shadow_denied: Reason::ALL.iter().map(|reason| counter(&shadow_denied(*reason))).collect(),
            gauges: Gauge::ALL.iter().map(|one| handle.define(MetricKind::Gauge, one.name())).collect(),
            histograms: Histogram::ALL
                .iter()
                .map(|one| handle.define(MetricKind::Histogram, one.name()))
                .collect(),
            defects: counter(DEFECTS),
        }
    }

    /// Counts a request that met a defect of the filter and is denied.
    pub(crate) fn count_defect(&self, stream: &StreamHandle) {
        let denied = self.denied.get(Reason::Internal as usize).copied().flatten();
        for counter in [self.defects, denied].into_iter().flatten() {
            stream.add(counter, 1);
        }
    }
}

/// What one worker has added to the gauges of the process, or what all workers of a configuration have added together.
#[derive(Default)]
pub(crate) struct GaugeParts([AtomicI64; GAUGES]);

/// The gauges of the process, summed over all workers and configurations.
struct Gauges {
    values: Mutex<[i64; GAUGES]>,
    /// Whether Envoy does not know all values yet.
    is_stale: AtomicBool,
}

static GAUGE_TOTALS: Gauges = Gauges { values: Mutex::new([0; GAUGES]), is_stale: AtomicBool::new(false) };

/// The metrics during one hook, reported for its stream, as Envoy requires.
pub(crate) struct Statistics<'h> {
    pub(crate) config: &'h Config,
    pub(crate) parts: &'h GaugeParts,
    pub(crate) stream: &'h StreamHandle,
    /// Whether another worker counts the result of the call.
    pub(crate) shares_answer: bool,
}

impl Statistics<'_> {
    fn add_to(&self, ids: &[Option<MetricId>], index: usize, count: u64) {
        if let (Some(id), 1..) = (ids.get(index).copied().flatten(), count) {
            self.stream.add(id, count);
        }
    }
}

impl Metrics for Statistics<'_> {
    fn add(&self, counter: Counter, count: u64) {
        if !(self.shares_answer && is_of_answer(counter)) {
            self.add_to(&self.config.metrics.counters, counter as usize, count);
        }
    }

    fn deny(&self, reason: Reason) {
        self.add_to(&self.config.metrics.denied, reason as usize, 1);
    }

    fn shadow_deny(&self, reason: Reason) {
        self.add_to(&self.config.metrics.shadow_denied, reason as usize, 1);
    }

    fn set(&self, gauge: Gauge, value: usize) {
        let parts = match gauge {
            // Workers share circuit breakers, so each would count all of them again.
            Gauge::CircuitBreakerOpen => &self.config.gauges,
            Gauge::CacheEntries | Gauge::RequestsPending => self.parts,
        };
        let id = self.config.metrics.gauges.get(gauge as usize).copied().flatten();
        let (Some(part), Some(id)) = (parts.0.get(gauge as usize), id) else { return };
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if part.load(Ordering::Relaxed) != value || GAUGE_TOTALS.is_stale.load(Ordering::Relaxed) {
            let change = value.saturating_sub(part.swap(value, Ordering::Relaxed));
            // Envoy's gauge is set under the lock, so that no older value follows a newer one.
            GAUGE_TOTALS.change(gauge as usize, change, |total| self.stream.set_gauge(id, total));
        }
    }

    fn record(&self, histogram: Histogram, value: u64) {
        if let (Some(id), false) =
            (self.config.metrics.histograms.get(histogram as usize).copied().flatten(), self.shares_answer)
        {
            self.stream.record(id, value);
        }
    }
}

impl Gauges {
    fn change(&self, gauge: usize, change: i64, tell: impl FnOnce(u64)) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get_mut(gauge) {
            *value = value.saturating_add(change);
            tell(u64::try_from(*value).unwrap_or_default());
        }
        if gauge == GAUGES - 1 {
            // A worker sets all gauges, one after another: this is the last.
            self.is_stale.store(false, Ordering::Relaxed);
        }
    }
}

/// Removes this part from the gauges. Another worker reports the change to Envoy.
impl Drop for GaugeParts {
    fn drop(&mut self) {
        for (gauge, part) in self.0.iter().enumerate() {
            GAUGE_TOTALS.change(gauge, part.load(Ordering::Relaxed).saturating_neg(), |_| {});
        }
        GAUGE_TOTALS.is_stale.store(true, Ordering::Relaxed);
    }
}

/// Counts of events that belong to no stream. The next stream that ends reports them, since Envoy 1.38 counts only for streams.
#[derive(Default)]
pub(crate) struct Uncounted {
    counters: [AtomicU64; COUNTERS],
    has_any: AtomicBool,
}

impl Uncounted {
    /// Reports all counts, and resets them.
    pub(crate) fn report(&self, metrics: &dyn Metrics) {
        if !(self.has_any.load(Ordering::Relaxed) && self.has_any.swap(false, Ordering::Acquire)) {
            return;
        }
        for (counter, count) in Counter::ALL.iter().zip(&self.counters) {
            metrics.add(*counter, count.swap(0, Ordering::Relaxed));
        }
    }
}

impl Metrics for Uncounted {
    fn add(&self, counter: Counter, count: u64) {
        if let Some(counter) = self.counters.get(counter as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
            self.has_any.store(true, Ordering::Release);
        }
    }

    fn deny(&self, _reason: Reason) {}

    fn shadow_deny(&self, _reason: Reason) {}

    fn set(&self, _gauge: Gauge, _value: usize) {}

    fn record(&self, _histogram: Histogram, _value: u64) {}
}

/// Whether a counter counts results of calls to authorization servers.
fn is_of_answer(counter: Counter) -> bool {
    matches!(
        counter,
        Counter::IntrospectionActive
            | Counter::IntrospectionInactive
            | Counter::IntrospectionFailed
            | Counter::IntrospectionCredentialsRefused
            | Counter::JwksFetchSuccess
            | Counter::JwksFetchFailed
            | Counter::MetadataFetchSuccess
            | Counter::MetadataFetchFailed
    )
}

/// The randomness of the operating system.
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).ok().map(|()| bytes)
    }
}

/// Envoy's log, for one configuration.
pub(crate) struct EnvoyLog(pub(crate) Arc<Config>);

impl LogSink for EnvoyLog {
    fn write(&self, level: Level, line: &str) {
        self.0.log(level, line);
    }

    fn now(&self) -> Timestamp {
        now()
    }
}

const COUNTERS: usize = Counter::ALL.len();
const GAUGES: usize = Gauge::ALL.len();
/// Enough shards that workers hardly ever wait for each other.
const SHARD_COUNT: usize = 64;
/// The counter of requests that met a defect of the filter: a panic, which was caught.
const DEFECTS: &str = "phantom_token_defects";
