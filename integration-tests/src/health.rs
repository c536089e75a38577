//! A gRPC service behind the ingress: gRPC's own health service, with a unary call and a streaming one.

use std::ops::Deref;

use anyhow::Result;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::server::Service;

#[derive(Clone)]
pub struct Health {
    service: Service,
    reporter: HealthReporter,
}

impl Deref for Health {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Health {
    pub fn start() -> Result<Self> {
        let (reporter, service) = health_reporter();
        Ok(Self { service: Service::start(Routes::new(service).into_axum_router())?, reporter })
    }

    /// Changes the status of the service `name`, and sends it to all clients that watch that service.
    pub async fn set_status(&self, name: &str, status: ServingStatus) {
        self.reporter.set_service_status(name, status).await;
    }
}
