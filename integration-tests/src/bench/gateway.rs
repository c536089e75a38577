//! The measured Envoys: each variant is a separate process, so that none affects another's caches. All run throughout and take turns.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::authority::Authority;
use super::cpu::ProcessClock;
use super::credentials::Credentials;
use super::filters;
use super::footprint::{self, Footprint};
use super::load::{Load, LoadClient};
use super::variants::{Destination, Variant};
use crate::artefact::Artefact;
use crate::envoy::{Envoy, EnvoyBuilder, Listener};

/// All variants with the same number of workers, and the server that they call.
pub struct Gateway {
    workers: u32,
    authority: Authority,
    proxies: HashMap<Variant, Proxy>,
}

/// The Envoy of one variant, and its clients.
struct Proxy {
    envoy: Envoy,
    clients: LoadClient,
    clock: ProcessClock,
    memory_at_start: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub load: Load,
    /// The CPU time that the Envoy used during the turn.
    pub cpu: Duration,
}

impl Turn {
    /// CPU microseconds for each request.
    pub fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.load.requests as f64
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.load.requests as f64 / self.load.elapsed.as_secs_f64()
    }
}

impl Gateway {
    /// Starts all variants one after another with this many workers, in front of this upstream. Their logs go into `folder`.
    pub async fn start(
        workers: u32,
        credentials: &Credentials,
        upstream_port: u16,
        folder: &Path,
    ) -> Result<Self> {
        let authority = Authority::start(credentials)?;
        let mut proxies = HashMap::new();
        for variant in Variant::ALL {
            let proxy = Proxy::start(variant, workers, credentials, upstream_port, authority.port(), folder);
            proxies.insert(variant, proxy.await.with_context(|| variant.name())?);
        }
        Ok(Self { workers, authority, proxies })
    }

    pub fn workers(&self) -> u32 {
        self.workers
    }

    pub fn envoy(&self, variant: Variant) -> Result<&Envoy> {
        self.proxies.get(&variant).map(|proxy| &proxy.envoy).context("no such variant")
    }

    /// The server that the variants call.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn clients(&mut self, variant: Variant) -> Result<&mut LoadClient> {
        Ok(&mut self.proxy(variant)?.clients)
    }

    /// Runs a turn of a variant, during which only its clients send requests. It is an error if the turn makes more or fewer calls to the
    /// authorization server than the variant should.
    pub async fn turn(
        &mut self,
        variant: Variant,
        destination: Destination,
        duration: Duration,
    ) -> Result<Turn> {
        let asked = self.authority.asked();
        let proxy = self.proxy(variant)?;
        let cpu = proxy.clock.read()?;
        let load = proxy.clients.saturate(variant.path(destination), duration).await?;
        tokio::time::sleep(SETTLING).await;
        let cpu = proxy.clock.read()? - cpu;
        let asked = self.authority.asked() - asked;
        let expected = if variant.asks_each_time() { load.requests } else { 0 };
        ensure!(
            asked == expected,
            "{}: {asked} questions for {} requests, not {expected}",
            variant.name(),
            load.requests
        );
        Ok(Turn { load, cpu })
    }

    /// What each variant uses besides processor time.
    pub async fn footprints(&self) -> Result<HashMap<Variant, Footprint>> {
        let mut footprints = HashMap::new();
        for (variant, Proxy { envoy, memory_at_start, .. }) in &self.proxies {
            footprints.insert(*variant, Footprint::of(envoy, *memory_at_start).await?);
        }
        Ok(footprints)
    }

    fn proxy(&mut self, variant: Variant) -> Result<&mut Proxy> {
        self.proxies.get_mut(&variant).context("no such variant")
    }
}

impl Proxy {
    async fn start(
        variant: Variant,
        workers: u32,
        credentials: &Credentials,
        upstream_port: u16,
        authority_port: u16,
        folder: &Path,
    ) -> Result<Self> {
        let name = format!("{}-{workers}", variant.name());
        let builder = EnvoyBuilder::new(&name, workers, upstream_port)
            .artefact(variant.artefact().unwrap_or(Artefact::Wasm))
            .logging_by_default(folder)
            .cluster(filters::AUTHORITY, &[authority_port]);
        let builder = match filters::filter(variant, credentials, authority_port)? {
            Some(filter) => builder.listener_with(variant.name(), &filter, Listener::default()),
            None => builder.relay(variant.name(), Listener::default()),
        };
        let envoy = builder.routed_by(&filters::routes(variant)).balanced().start().await?;
        let memory_at_start = footprint::own_memory(&envoy)?;
        let port = envoy.client(variant.name()).port();
        let connections = CONNECTIONS * workers as usize;
        let clients = LoadClient::connect(port, connections, &credentials.sent(variant)).await?;
        let clock = ProcessClock::of(envoy.process_id()?);
        Ok(Self { envoy, clients, clock, memory_at_start })
    }
}

/// Starts the server behind the gateways, an Envoy that responds immediately.
pub async fn start_upstream(folder: &Path) -> Result<(Envoy, u16)> {
    let envoy = EnvoyBuilder::new("upstream", 1, DISCARD)
        .logging_by_default(folder)
        .relay("upstream", Listener::default())
        .routed_by(&filters::upstream_routes())
        .start()
        .await?;
    let port = envoy.client("upstream").port();
    Ok((envoy, port))
}

/// The clients' connections for each worker: enough to keep it busy, few enough to rarely wait for each other.
pub const CONNECTIONS: usize = 16;

/// The discard port (RFC 863), to which nothing is sent.
const DISCARD: u16 = 9;

/// The time until the Envoy is idle again after its last response.
const SETTLING: Duration = Duration::from_millis(2);
