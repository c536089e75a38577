//! A gRPC service behind the ingress: the health service that gRPC defines itself, with a unary call and a streaming one.

use anyhow::Result;
use axum::http::HeaderMap;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::received::Received;
use crate::server;

/// The service, running.
#[derive(Clone)]
pub struct Health {
    port: u16,
    received: Received,
    reporter: HealthReporter,
}

impl Health {
    /// Starts the service.
    pub fn start() -> Result<Self> {
        let (reporter, service) = health_reporter();
        let (port, received) = server::serve_and_note(Routes::new(service).into_axum_router())?;
        Ok(Self { port, received, reporter })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of all that arrives.
    pub fn heads(&self) -> Received {
        self.received.clone()
    }

    /// The metadata of the calls of this name that arrived.
    pub fn received(&self, name: &str) -> Vec<HeaderMap> {
        self.received.named(name)
    }

    /// Changes what it says of the service `name`, and tells all who watch that one.
    pub async fn set_status(&self, name: &str, status: ServingStatus) {
        self.reporter.set_service_status(name, status).await;
    }
}
