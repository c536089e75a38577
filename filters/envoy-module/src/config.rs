//! One configuration of the filter, for all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::Level;
use phantom_token_core::{HostKind, Settings};

use crate::calls::{Answer, Calls};
use crate::host::{self, ConfigHandle};
use crate::services::MetricIds;

/// A configuration.
pub(crate) struct Config {
    /// Not that of any other, also not of one before.
    pub(crate) id: u64,
    /// What Envoy's configuration calls it: `filter_name`.
    name: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: MetricIds,
    pub(crate) calls: Calls,
    is_retired: AtomicBool,
}

impl Config {
    /// Reads a configuration. None, if it is of no use: Envoy then keeps the one that it has.
    pub(crate) fn new(handle: &ConfigHandle<'_>, name: &[u8], text: &[u8]) -> Option<Arc<Self>> {
        let name = String::from_utf8_lossy(name).into_owned();
        match Settings::parse_for(HostKind::EnvoyModule, text, &|name| std::env::var(name).ok()) {
            Ok(settings) => {
                log(&name, Level::Info, &format!("configured: {settings}"));
                Some(Arc::new(Self {
                    name,
                    id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                    metrics: MetricIds::define(handle),
                    calls: Calls::new(handle.scheduler(), settings.single_flight),
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
    pub(crate) fn on_scheduled(&self, handle: &ConfigHandle<'_>, event: u64) {
        self.calls.send(handle, event);
    }

    /// A callout came to its end.
    pub(crate) fn on_callout_done(&self, number: u64, read: impl FnOnce(usize) -> Answer) {
        self.calls.on_done(number, read);
    }

    /// Writes to Envoy's log.
    pub(crate) fn log(&self, level: Level, line: &str) {
        log(&self.name, level, line);
    }

    /// Envoy has no use for it any more.
    pub(crate) fn retire(&self) {
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
