//! Work that no request causes, on Envoy's main thread: published keys are fetched when a configuration is loaded, and again before they
//! expire, so that no request waits for them.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use phantom_token_core::{Capabilities, DecisionLog, Engine, Host, Timestamp};

use crate::calls::{EngineId, Mailbox};
use crate::config::{Config, Revision};
use crate::host::ConfigScheduler;
use crate::services::{self, EnvoyLog, ProcessData, SystemRandomness};

/// The main thread's engine for one configuration. It has no requests, and shares what it learns with the engines of the workers.
pub(crate) struct Background {
    config: Arc<Config>,
    revision: Arc<Revision>,
    engine: RefCell<Engine>,
    mailbox: Arc<Mailbox>,
}

thread_local! {
    /// The engines of the main thread, one for each configuration.
    static ENGINES: RefCell<Vec<Rc<Background>>> = const { RefCell::new(Vec::new()) };
}

impl Background {
    /// Returns the engine of a configuration, or `None` while a secret is missing. Drops the engines whose revisions were replaced.
    pub(crate) fn of(config: &Arc<Config>) -> Option<Rc<Self>> {
        let mut engines = ENGINES.take();
        engines.retain(|engine| !engine.config.has_replaced(&engine.revision));
        let found = engines.iter().find(|engine| Arc::ptr_eq(&engine.config, config)).cloned();
        let engine = found.or_else(|| {
            let engine = Rc::new(Self::new(config, config.revision()?));
            engines.push(Rc::clone(&engine));
            Some(engine)
        });
        ENGINES.set(engines);
        engine
    }

    /// Drops the engine of a configuration, because Envoy dropped the configuration, or because the engine panicked and has to be replaced.
    pub(crate) fn forget(config: &Arc<Config>) {
        let (_gone, others): (Vec<_>, Vec<_>) =
            ENGINES.take().into_iter().partition(|engine| Arc::ptr_eq(&engine.config, config));
        ENGINES.set(others);
    }

    fn new(config: &Arc<Config>, revision: Arc<Revision>) -> Self {
        let settings = Arc::clone(&revision.settings);
        let log = DecisionLog::new(&settings, &SystemRandomness, Box::new(EnvoyLog(Arc::clone(config))));
        let engine = Engine::sharing(settings, &revision.protections, Capabilities::ALL, Rc::new(log));
        Self { config: Arc::clone(config), revision, engine: RefCell::new(engine), mailbox: Arc::default() }
    }

    /// Fetches published keys that are due, and sends pending calls. Runs at each tick of the clock.
    pub(crate) fn on_tick(&self) {
        if self.revision.settings.shares_published_keys() {
            self.engine.borrow_mut().fetch_keys(self.host(services::now()));
        }
        self.send();
    }

    /// Delivers the call results that have arrived, and sends the calls that follow from them.
    pub(crate) fn on_mail(&self) {
        let mail = self.mailbox.take();
        if mail.is_empty() {
            return;
        }
        for mail in mail {
            mail.deliver(&mut self.engine.borrow_mut(), self.host(mail.at));
        }
        self.send();
    }

    fn send(&self) {
        let host = self.host(services::now());
        let mut engine = self.engine.borrow_mut();
        engine.on_tick(host);
        while let Some(call) = engine.poll_call(host) {
            self.config.calls.submit(&self.revision, call, None, EngineId::default(), &self.mailbox);
        }
    }

    fn host(&self, now: Timestamp) -> Host<'_> {
        let metrics = &self.config.uncounted;
        Host { now, shared_data: &ProcessData, metrics, randomness: &SystemRandomness }
    }
}

/// Calls a hook of its configuration once per second, since Envoy has no timers for HTTP filters. Stops when dropped.
pub(crate) struct Clock {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// The event number of a tick.
    pub(crate) const EVENT: u64 = u64::MAX;

    /// Starts the clock with an immediate tick.
    ///
    /// # Errors
    /// The thread cannot be created.
    pub(crate) fn start(scheduler: ConfigScheduler) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("phantom-token".to_owned()).spawn(move || {
            scheduler.commit(Self::EVENT);
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                scheduler.commit(Self::EVENT);
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Envoy may unload the module next, so the thread must have ended.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const PERIOD: Duration = Duration::from_secs(1);
