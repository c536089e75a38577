//! The Envoy that is measured: all variants are listeners of one process, up all the time, and have their turns.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::authority::Authority;
use super::cpu::ProcessClock;
use super::credentials::Credentials;
use super::filters;
use super::load::{Load, LoadClient};
use super::variants::{Destination, Variant};
use crate::envoy::{Envoy, EnvoyBuilder, Listener};

/// An Envoy with all variants, its clients, and who is asked by it.
pub struct Gateway {
    workers: u32,
    envoy: Envoy,
    authority: Authority,
    clients: HashMap<Variant, LoadClient>,
    clock: ProcessClock,
}

#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// What the clients did.
    pub load: Load,
    /// How long the Envoy had a processor meanwhile.
    pub cpu: Duration,
}

impl Turn {
    /// Microseconds of a processor for each request.
    pub fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.load.requests as f64
    }

    /// Requests in a second.
    pub fn rate(&self) -> f64 {
        self.load.requests as f64 / self.load.elapsed.as_secs_f64()
    }
}

impl Gateway {
    /// Starts it with so many workers, in front of this upstream. Its log goes into `folder`.
    pub async fn start(
        workers: u32,
        credentials: &Credentials,
        upstream_port: u16,
        folder: &Path,
    ) -> Result<Self> {
        let authority = Authority::start(credentials)?;
        let name = format!("gateway-{workers}");
        let mut builder = EnvoyBuilder::new(&name, workers, upstream_port)
            .logging_by_default(folder)
            .cluster(filters::AUTHORITY, &[authority.port()]);
        for variant in Variant::ALL {
            builder = match filters::filter(variant, credentials, authority.port())? {
                Some(filter) => builder.listener_with(variant.name(), &filter, Listener::default()),
                None => builder.relay(variant.name(), Listener::default()),
            };
            builder = builder.routed_by(&filters::routes(variant)).balanced();
        }
        let envoy = builder.start().await?;
        let clock = ProcessClock::of(envoy.process_id()?);
        let mut clients = HashMap::new();
        for variant in Variant::ALL {
            let port = envoy.client(variant.name()).port();
            let connections = CONNECTIONS * workers as usize;
            let client = LoadClient::connect(port, connections, &credentials.sent(variant)).await?;
            clients.insert(variant, client);
        }
        Ok(Self { workers, envoy, authority, clients, clock })
    }

    /// How many workers it has.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Who is asked by it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn clients(&mut self, variant: Variant) -> Result<&mut LoadClient> {
        self.clients.get_mut(&variant).context("no such listener")
    }

    /// A turn of a variant. Its clients are all that the Envoy works for meanwhile. A turn in which it asked somebody more or
    /// less often than the variant shall is an error.
    pub async fn turn(
        &mut self,
        variant: Variant,
        destination: Destination,
        duration: Duration,
    ) -> Result<Turn> {
        let (asked, cpu) = (self.authority.asked(), self.clock.read()?);
        let load = self.clients(variant)?.saturate(variant.path(destination), duration).await?;
        tokio::time::sleep(SETTLING).await;
        let (asked, cpu) = (self.authority.asked() - asked, self.clock.read()? - cpu);
        let expected = if variant.asks_each_time() { load.requests } else { 0 };
        ensure!(
            asked == expected,
            "{}: {asked} questions for {} requests, not {expected}",
            variant.name(),
            load.requests
        );
        Ok(Turn { load, cpu })
    }
}

/// Starts the server behind the gateways, an Envoy of its own that answers at once.
pub async fn start_upstream(folder: &Path) -> Result<(Envoy, u16)> {
    let envoy = EnvoyBuilder::new("upstream", 1, NOBODY)
        .logging_by_default(folder)
        .relay("upstream", Listener::default())
        .routed_by(&filters::upstream_routes())
        .start()
        .await?;
    let port = envoy.client("upstream").port();
    Ok((envoy, port))
}

/// Connections of clients for each worker: enough to keep it busy, few enough to wait for each other hardly.
pub const CONNECTIONS: usize = 16;

/// The port of discard (RFC 863), where nothing is sent.
const NOBODY: u16 = 9;

/// Until the Envoy waits again, after the last answer has left it.
const SETTLING: Duration = Duration::from_millis(2);
