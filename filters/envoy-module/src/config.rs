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

/// A configuration.
pub(crate) struct Config {
    /// What Envoy's configuration calls it: `filter_name`.
    name: String,
    text: Vec<u8>,
    secrets: Secrets,
    /// The last reading; none, until Envoy has delivered all secrets.
    revision: Mutex<Option<Arc<Revision>>>,
    /// Its number, or [`NO_REVISION`].
    revision_id: AtomicU64,
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

/// A configuration, read with its secrets as they were at the time.
pub(crate) struct Revision {
    /// Not that of any other, of this configuration or another.
    pub(crate) id: u64,
    pub(crate) settings: Arc<Settings>,
    /// Secrets come and go, and the servers are as loaded as before.
    pub(crate) protections: Protections,
}

impl Config {
    /// Reads a configuration. None, if it is of no use: Envoy then keeps the one that it has.
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

    /// The last reading.
    pub(crate) fn revision(&self) -> Option<Arc<Revision>> {
        self.last_reading().clone()
    }

    /// The number of the last reading, which takes no lock.
    pub(crate) fn revision_id(&self) -> u64 {
        self.revision_id.load(Ordering::Acquire)
    }

    /// Whether Envoy still owes it a secret.
    pub(crate) fn is_waiting(&self) -> bool {
        self.revision_id() == NO_REVISION
    }

    /// Looks at the secrets, and reads the configuration again if one has changed. If it has errors now, all stays as it is.
    pub(crate) fn look_at_secrets(&self, view: &impl SecretView) {
        // Who comes meanwhile waits for what this comes to.
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

    /// An event has come to the main thread.
    pub(crate) fn on_scheduled(self: &Arc<Self>, handle: &ConfigHandle<'_>, event: u64) {
        if event == Clock::EVENT {
            self.look_at_secrets(handle);
            Background::of(self).iter().for_each(|background| background.on_tick());
        } else {
            self.calls.send(handle, event);
            self.on_mail();
        }
    }

    /// A callout came to its end.
    pub(crate) fn on_callout_done(self: &Arc<Self>, number: u64, read: impl FnOnce(usize) -> Answer) {
        self.calls.on_done(number, read);
        self.on_mail();
    }

    fn on_mail(self: &Arc<Self>) {
        Background::of(self).iter().for_each(|background| background.on_mail());
    }

    /// Writes to Envoy's log.
    pub(crate) fn log(&self, level: Level, line: &str) {
        log(&self.name, level, line);
    }

    /// Envoy has no use for it any more.
    pub(crate) fn retire(self: &Arc<Self>) {
        drop(self.clock.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.is_retired.store(true, Ordering::Relaxed);
        Background::forget(self);
    }

    /// Whether this reading of it is not for new requests any more.
    pub(crate) fn has_replaced(&self, revision: &Revision) -> bool {
        self.is_retired.load(Ordering::Relaxed) || self.revision_id() != revision.id
    }
}

/// The settings; none, as long as Envoy has not delivered all secrets.
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

/// Several configurations share a process, so each line has the name of its own.
fn log(name: &str, level: Level, line: &str) {
    host::log(level, &format!("{name} phantom-token: {line}"));
}

static NEXT_ID: AtomicU64 = AtomicU64::new(NO_REVISION + 1);
const NO_REVISION: u64 = 0;
