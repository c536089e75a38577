//! One configuration of the filter in one VM: reads the configuration and creates a stream context for each request.

use std::rc::Rc;

use log::Level;
use phantom_token_core::{ConfigErrors, Counter, Metrics, Settings};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::callouts;
use crate::capabilities::recognise;
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

    /// The result of `on_configure` for an invalid configuration. If the host would go on without the filter, the configuration
    /// is accepted, and each request is refused.
    fn go_without(&mut self, survives_refusal: bool) -> bool {
        if !survives_refusal {
            self.worker = None;
            let text = "this host would serve without the filter, so all requests are refused until the configuration is fixed";
            host::log(Level::Error, text);
        }
        !survives_refusal
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let capabilities = match recognise(self.context) {
            Ok(capabilities) => capabilities,
            Err(survives_refusal) => {
                host::log(
                    Level::Error,
                    "this package of the filter is for another host, so all requests are refused: phantom_token.wasm is for Envoy, \
                     kong/phantom_token.wasm for Kong",
                );
                return self.go_without(survives_refusal);
            }
        };
        let text = match size {
            0 => Ok(Vec::new()),
            _ => host::buffer(BufferType::PluginConfiguration, size),
        };
        let Ok(text) = text else {
            host::log(Level::Error, "the host does not provide the configuration");
            return self.go_without(capabilities.survives_refusal);
        };
        match Settings::parse_for(capabilities.kind, &text, &|name| std::env::var(name).ok()) {
            Ok(settings) => {
                let worker = Rc::new(Worker::new(settings, self.context));
                callouts::register(&worker);
                self.worker = Some(worker);
                true
            }
            Err(errors) => {
                report(&errors);
                Statistics::define(false).increment(Counter::ConfigRejected);
                self.go_without(capabilities.survives_refusal)
            }
        }
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

fn report(errors: &ConfigErrors) {
    for error in errors.iter() {
        host::log(Level::Error, &format!("configuration: {error}"));
    }
}
