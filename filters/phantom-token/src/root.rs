//! One configuration of the filter in one VM: reads the configuration and creates a stream context for each request.

use std::rc::Rc;

use log::Level;
use phantom_token_core::{Counter, HostKind, Metrics, SecretSources, Settings};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::capabilities::{capabilities, reads_calls, recognise};
use crate::host;
use crate::statistics::Statistics;
use crate::stream::Stream;
use crate::worker::Worker;

/// The root context.
pub(crate) struct Root {
    context: u32,
    worker: Option<Rc<Worker>>,
}

impl Root {
    /// A root context that has not been configured yet.
    pub(crate) fn new(context: u32) -> Self {
        Self { context, worker: None }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let host_kind = recognise(self.context);
        let errors = match settings(host_kind, size) {
            Ok(settings) => {
                self.worker = Some(Rc::new(Worker::new(settings, self.context)));
                return true;
            }
            Err(errors) => errors,
        };
        errors.iter().for_each(|error| host::log(Level::Error, error));
        if host_kind == HostKind::Envoy {
            return false;
        }
        self.worker = None;
        let text = "this host would serve without the filter, so all requests are refused until the configuration is fixed";
        host::log(Level::Error, text);
        true
    }

    fn on_tick(&mut self) {
        if let Some(worker) = &self.worker {
            worker.on_tick();
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

/// Reads the configuration, of `size` bytes.
///
/// # Errors
/// Log lines for the operator.
fn settings(host_kind: HostKind, size: usize) -> Result<Settings, Vec<String>> {
    if host_kind != capabilities().kind {
        let text = "this package of the filter is for another host, so all requests are refused: phantom_token.wasm is for Envoy, \
                    kong/phantom_token.wasm for Kong";
        return Err(vec![text.to_owned()]);
    }
    let host_kind = match host_kind {
        HostKind::Envoy if !reads_calls() => HostKind::OlderEnvoy,
        host_kind => host_kind,
    };
    let text = host::buffer(BufferType::PluginConfiguration, size)
        .map_err(|_| vec!["the host does not provide the configuration".to_owned()])?;
    Settings::parse_for(host_kind, &text, SecretSources::environment(&|name| std::env::var(name).ok()))
        .map_err(|errors| {
            Statistics::define(false).increment(Counter::ConfigRejected);
            errors.iter().map(|error| format!("configuration: {error}")).collect()
        })
}
