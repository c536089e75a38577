//! One configuration of the filter, for all workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use log::Level;
use phantom_token_core::{HostKind, Protections, Settings};

use crate::background::{Background, Clock};
use crate::calls::{Answer, Calls};
use crate::host::{self, ConfigHandle};
use crate::services::{GaugeParts, MetricIds, Uncounted};

/// A configuration.
pub(crate) struct Config {
    /// Not that of any other, also not of one before.
    pub(crate) id: u64,
    /// What Envoy's configuration calls it: `filter_name`.
    name: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: MetricIds,
    pub(crate) calls: Calls,
    /// What it adds to the gauges that are not a worker's own.
    pub(crate) gauges: GaugeParts,
    /// What no request has caused.
    pub(crate) uncounted: Uncounted,
    /// For work without requests, where there is any.
    clock: Mutex<Option<Clock>>,
    is_retired: AtomicBool,
}

impl Config {
    /// Reads a configuration. None, if it is of no use: Envoy then keeps the one that it has.
    pub(crate) fn new(handle: &ConfigHandle<'_>, name: &[u8], text: &[u8]) -> Option<Arc<Self>> {
        let name = String::from_utf8_lossy(name).into_owned();
        match Settings::parse_for(HostKind::EnvoyModule, text, &|name| std::env::var(name).ok()) {
            Ok(settings) => {
                log(&name, Level::Info, &format!("configured: {settings}"));
                let clock = settings.shares_published_keys().then(|| Clock::start(handle.scheduler()));
                if let Some(Err(error)) = &clock {
                    log(&name, Level::Warn, &format!("keys are fetched by requests alone: {error}"));
                }
                Some(Arc::new(Self {
                    name,
                    id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                    metrics: MetricIds::define(handle),
                    calls: Calls::new(
                        handle.scheduler(),
                        settings.single_flight,
                        Protections::new(&settings),
                    ),
                    gauges: GaugeParts::default(),
                    uncounted: Uncounted::default(),
                    clock: Mutex::new(clock.and_then(Result::ok)),
                    settings: Arc::new(settings),
                    is_retired: AtomicBool::new(false),
                }))
            }
            Err(errors) => {
                for error in errors.iter() {
                    log(&name, Level::Error, &format!("configuration: {error}"));
                }
                None
            }
        }
    }

    /// An event has come to the main thread.
    pub(crate) fn on_scheduled(self: &Arc<Self>, handle: &ConfigHandle<'_>, event: u64) {
        if event == Clock::EVENT {
            Background::of(self).on_tick();
        } else {
            self.calls.send(handle, event);
            Background::of(self).on_mail();
        }
    }

    /// A callout came to its end.
    pub(crate) fn on_callout_done(self: &Arc<Self>, number: u64, read: impl FnOnce(usize) -> Answer) {
        self.calls.on_done(number, read);
        Background::of(self).on_mail();
    }

    /// Writes to Envoy's log.
    pub(crate) fn log(&self, level: Level, line: &str) {
        log(&self.name, level, line);
    }

    /// Envoy has no use for it any more.
    pub(crate) fn retire(&self) {
        drop(self.clock.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.is_retired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }
}

/// Several configurations share a process, so each line has the name of its own.
fn log(name: &str, level: Level, line: &str) {
    host::log(level, &format!("{name} phantom-token: {line}"));
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);
