//! One configuration of the filter, for all workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;
use phantom_token_core::{ConfigErrors, HostKind, Protections, SdsSecret, SecretSources, Settings};

use crate::background::{Background, Clock};
use crate::calls::{Answer, Calls};
use crate::host::{self, ConfigHandle};
use crate::secrets::{SecretView, Secrets};
use crate::services::{GaugeParts, MetricIds, Uncounted};

pub(crate) struct Config {
    /// The `filter_name` in Envoy's configuration.
    name: String,
    text: Vec<u8>,
    secrets: Secrets,
    /// The latest revision; `None` until Envoy has delivered all secrets.
    revision: Mutex<Option<Arc<Revision>>>,
    /// The number of the latest revision, or [`NO_REVISION`].
    revision_id: AtomicU64,
    pub(crate) metrics: MetricIds,
    pub(crate) calls: Calls,
    /// The configuration's part of the gauges that do not belong to single workers.
    pub(crate) gauges: GaugeParts,
    /// Counts of events that no request caused.
    pub(crate) uncounted: Uncounted,
    /// The clock for work without requests, if there is any such work.
    clock: Mutex<Option<Clock>>,
    is_retired: AtomicBool,
}

/// A configuration as read with the secrets that Envoy had delivered at the time.
pub(crate) struct Revision {
    /// Unique among all revisions of all configurations.
    pub(crate) id: u64,
    pub(crate) settings: Arc<Settings>,
    /// Kept from revision to revision: a rotated secret changes nothing about the load of the servers.
    pub(crate) protections: Protections,
}

impl Config {
    /// Reads a configuration. Returns `None` if it is invalid; Envoy then keeps the previous one.
    pub(crate) fn new(handle: &ConfigHandle<'_>, name: &[u8], text: &[u8]) -> Option<Arc<Self>> {
        let name = String::from_utf8_lossy(name).into_owned();
        let secrets = Secrets::default();
        let settings = match read(text, &|secret| secrets.subscribe(handle, secret)) {
            Ok(settings) => settings,
            Err(errors) => {
                log_errors(&name, &errors);
                return None;
            }
        };
        let has_work = !secrets.is_empty() || settings.iter().any(Settings::shares_published_keys);
        let clock = has_work.then(|| Clock::start(handle.scheduler()));
        if let Some(Err(error)) = &clock {
            let line = format!("keys are fetched by requests alone, and secrets do not rotate: {error}");
            log(&name, Level::Warn, &line);
        }
        let config = Arc::new(Self {
            name,
            text: text.to_vec(),
            secrets,
            revision: Mutex::default(),
            revision_id: AtomicU64::new(NO_REVISION),
            metrics: MetricIds::define(handle),
            calls: Calls::new(handle.scheduler()),
            gauges: GaugeParts::default(),
            uncounted: Uncounted::default(),
            clock: Mutex::new(clock.and_then(Result::ok)),
            is_retired: AtomicBool::new(false),
        });
        config.take(settings, &mut config.last_reading());
        Some(config)
    }

    /// Returns the latest revision.
    pub(crate) fn revision(&self) -> Option<Arc<Revision>> {
        self.last_reading().clone()
    }

    /// Returns the number of the latest revision without taking a lock.
    pub(crate) fn revision_id(&self) -> u64 {
        self.revision_id.load(Ordering::Acquire)
    }

    /// Whether a secret is still missing, so that there is no revision yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.revision_id() == NO_REVISION
    }

    /// Checks the secrets, and reads the configuration again if one has changed. If it then has errors, the latest revision stays in use.
    pub(crate) fn look_at_secrets(&self, view: &impl SecretView) {
        // The lock is held throughout, so that concurrent requests wait for the result.
        let mut revision = self.last_reading();
        if !self.secrets.look(view) {
            return;
        }
        match read(&self.text, &|secret| self.secrets.value(secret)) {
            Ok(settings) => self.take(settings, &mut revision),
            Err(errors) => log_errors(&self.name, &errors),
        }
    }

    fn take(&self, settings: Option<Settings>, revision: &mut Option<Arc<Revision>>) {
        let Some(settings) = settings else {
            let awaited = self.secrets.awaited().join(", ");
            return self.log(Level::Info, &format!("waits for secrets by SDS: {awaited}"));
        };
        self.log(Level::Info, &format!("configured: {settings}"));
        let protections = revision
            .as_ref()
            .map_or_else(|| Protections::new(&settings), |before| before.protections.clone());
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        *revision = Some(Arc::new(Revision { id, settings: Arc::new(settings), protections }));
        self.revision_id.store(id, Ordering::Release);
    }

    fn last_reading(&self) -> MutexGuard<'_, Option<Arc<Revision>>> {
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles an event on the main thread.
    pub(crate) fn on_scheduled(self: &Arc<Self>, handle: &ConfigHandle<'_>, event: u64) {
        if event == Clock::EVENT {
            self.look_at_secrets(handle);
            Background::of(self).iter().for_each(|background| background.on_tick());
        } else {
            self.calls.send(handle, event);
            self.on_mail();
        }
    }

    /// Handles the end of a callout on the main thread.
    pub(crate) fn on_callout_done(self: &Arc<Self>, number: u64, read: impl FnOnce(usize) -> Answer) {
        self.calls.on_done(number, read);
        self.on_mail();
    }

    fn on_mail(self: &Arc<Self>) {
        Background::of(self).iter().for_each(|background| background.on_mail());
    }

    /// Writes a line to Envoy's log.
    pub(crate) fn log(&self, level: Level, line: &str) {
        log(&self.name, level, line);
    }

    /// Stops all work in the background. Envoy has dropped the configuration.
    pub(crate) fn retire(self: &Arc<Self>) {
        drop(self.clock.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.is_retired.store(true, Ordering::Relaxed);
        Background::forget(self);
    }

    /// Whether new requests no longer use this revision.
    pub(crate) fn has_replaced(&self, revision: &Revision) -> bool {
        self.is_retired.load(Ordering::Relaxed) || self.revision_id() != revision.id
    }
}

/// Reads the settings. Returns `None` until Envoy has delivered all secrets.
fn read(
    text: &[u8],
    discovery: &dyn Fn(&SdsSecret) -> Result<Option<String>, &'static str>,
) -> Result<Option<Settings>, ConfigErrors> {
    let sources = SecretSources { environment: &|name| std::env::var(name).ok(), discovery };
    match Settings::parse_for(HostKind::EnvoyModule, text, sources) {
        Ok(settings) => Ok(Some(settings)),
        Err(errors) => errors.without_awaited().map_or(Ok(None), Err),
    }
}

fn log_errors(name: &str, errors: &ConfigErrors) {
    for error in errors.iter() {
        log(name, Level::Error, &format!("configuration: {error}"));
    }
}

/// Writes a line to Envoy's log. Several configurations share a process, so each line contains the name of its configuration.
fn log(name: &str, level: Level, line: &str) {
    host::log(level, &format!("{name} phantom-token: {line}"));
}

static NEXT_ID: AtomicU64 = AtomicU64::new(NO_REVISION + 1);
const NO_REVISION: u64 = 0;
