//! Work that no request causes, on Envoy's main thread: published keys are fetched when a configuration is loaded, and again before they are
//! too old, so that no request waits for them.

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

/// The engine of one configuration on the main thread. It has no requests, and shares what it learns with those of the workers.
pub(crate) struct Background {
    config: Arc<Config>,
    revision: Arc<Revision>,
    engine: RefCell<Engine>,
    mailbox: Arc<Mailbox>,
}

thread_local! {
    /// Those of the main thread, one for each configuration.
    static ENGINES: RefCell<Vec<Rc<Background>>> = const { RefCell::new(Vec::new()) };
}

impl Background {
    /// The one of a configuration, if that can be at work; those of configurations that are gone go.
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

    /// It is not needed any more, or something of it panicked: then another takes its place.
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

    /// The clock has ticked.
    pub(crate) fn on_tick(&self) {
        if self.revision.settings.shares_published_keys() {
            self.engine.borrow_mut().fetch_keys(self.host(services::now()));
        }
        self.send();
    }

    /// An answer may have come.
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

/// Calls a hook of its configuration once per second, as Envoy has no timers for HTTP filters. It stops when it is dropped.
pub(crate) struct Clock {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// The event of a tick.
    pub(crate) const EVENT: u64 = u64::MAX;

    /// Starts it with a tick.
    ///
    /// # Errors
    /// There is no thread for it.
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
        // Envoy may unload the module next.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const PERIOD: Duration = Duration::from_secs(1);
