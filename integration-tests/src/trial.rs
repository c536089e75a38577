//! A trial: a load on a gateway, while something behind the gateway fails, or the gateway itself. It results in a row of what the clients
//! saw, or in a list of broken promises.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::envoy::{Envoy, EnvoyBuilder, Listener};
use crate::eventually::PATIENCE;
use crate::fault::{Fault, Harm};
use crate::faulty_server::{Behaviour, FaultyServer};
use crate::load::{Load, LoadProfile, Observation, Observed};
use crate::paths;
use crate::port::ReservedPort;
use crate::promises::{self, Expected, Times, credentials_of};
use crate::recording_api::{Account, RecordingApi};
use crate::secrets;
use crate::timeline::SLICE_MS;

/// A gateway that can run one trial after the other.
pub struct Gateway {
    /// The proxy, whose listener is [`LISTENER`].
    pub envoy: Envoy,
    pub server: FaultyServer,
    workers: u32,
    api: RecordingApi,
    port: ReservedPort,
    configuration: Value,
    changes: u32,
    /// The time in which the server certainly failed in this trial.
    failed: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub load: LoadProfile,
    /// How long a fault lasts. A quarter of it passes before the fault, and another after it.
    pub phase: Duration,
}

/// Only connections to Envoy are lost; requests that get through are treated as usual.
pub const GOES: Expected = Expected { harm: Harm::None, cuts: true };

#[derive(Clone, Debug)]
pub struct Row {
    pub scenario: String,
    pub workers: u32,
    pub clients: usize,
    pub fault: Duration,
    /// The number of requests during the fault by their credentials and by status or `cut`.
    pub seen: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// The same over the whole trial, by the beginning of a slice of time, in milliseconds since the fault began.
    pub timeline: BTreeMap<i64, BTreeMap<&'static str, BTreeMap<String, u64>>>,
    /// The number of requests over the whole trial by status or `cut`.
    pub all: BTreeMap<String, u64>,
    /// The longest wait for a response, including before and after the fault.
    pub worst: Duration,
    /// The time from the end of the fault until the first cold token was served after which none was refused.
    pub recovery: Duration,
}

impl Gateway {
    /// Starts a gateway. `name` names its log, and `adjust` changes its configuration.
    pub async fn start(name: &str, workers: u32, adjust: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::start_with(name, workers, adjust, EnvoyBuilder::cluster).await
    }

    /// Starts a gateway that keeps no connections to the authorization server.
    pub async fn start_without_kept_connections(name: &str, workers: u32) -> Result<Self> {
        Self::start_with(name, workers, |_| (), EnvoyBuilder::unkept_cluster).await
    }

    async fn start_with(
        name: &str,
        workers: u32,
        adjust: impl FnOnce(&mut Value),
        cluster: impl FnOnce(EnvoyBuilder, &str, &[u16]) -> EnvoyBuilder,
    ) -> Result<Self> {
        let (server, api, port) = (FaultyServer::start()?, RecordingApi::start()?, ReservedPort::new()?);
        let mut configuration = configuration();
        adjust(&mut configuration);
        let listener = Listener { port: port.number(), ..Listener::default() };
        let builder = EnvoyBuilder::new(name, workers, api.port())
            .drain_seconds(DRAIN_SECONDS)
            .runtime("http.async_response_buffer_limit", ANSWER_LIMIT);
        let envoy = cluster(builder, "authorization-server", &[server.port()])
            .listener(LISTENER, &configuration, listener)
            .start()
            .await?;
        Ok(Self { envoy, server, workers, api, port, configuration, changes: 0, failed: None })
    }

    /// The port on loopback, which a restart does not change.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Takes what has arrived at the API since the last call.
    pub fn take_account(&self) -> Account {
        self.api.take_account()
    }

    /// Makes the authorization server fail for the duration of a phase, under load.
    pub async fn try_fault(&mut self, scenario: &str, effort: Effort, fault: Fault) -> Result<Row> {
        let failure = async |gateway: &mut Self| {
            gateway.server.behave(fault.behaviour);
            let from = Instant::now();
            tokio::time::sleep(effort.phase).await;
            gateway.failed = Some((from, Instant::now()));
            gateway.server.behave(Behaviour::Healthy);
            Ok(())
        };
        self.run(scenario, effort, Expected { harm: fault.harm, cuts: false }, failure).await
    }

    /// Changes the configuration this many times, under load, and each time has an invalid configuration rejected as well.
    pub async fn try_changes(&mut self, scenario: &str, effort: Effort, changes: u32) -> Result<Row> {
        let change = async |gateway: &mut Self| {
            for _ in 0..changes {
                gateway.changes += 1;
                let mut next = gateway.configuration.clone();
                next["realm"] = json!(format!("realm {}", gateway.changes));
                ensure!(
                    gateway.envoy.reconfigure(LISTENER, &next).await?,
                    "a good configuration was refused"
                );
                next["rules"] = json!("none");
                ensure!(!gateway.envoy.reconfigure(LISTENER, &next).await?, "a bad configuration was taken");
            }
            gateway.envoy.drained().await
        };
        self.run(scenario, effort, GOES, change).await
    }

    /// Runs a fault under load, with some time before and after it in which nothing fails.
    ///
    /// # Errors
    /// If promises were broken. The error lists them.
    pub async fn run(
        &mut self,
        scenario: &str,
        effort: Effort,
        expected: Expected,
        fault: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<Row> {
        let load = Load::gather(self.port(), effort.load);
        load.everyone_is_served(Instant::now(), PATIENCE).await?;
        tokio::time::sleep(effort.phase / 4).await;
        let begin = Instant::now();
        fault(self).await?;
        let end = Instant::now();
        let served = load.everyone_is_served(end, PATIENCE).await;
        let well = Instant::now();
        tokio::time::sleep(effort.phase / 4).await;
        let observations = load.disperse().await?;
        let account = self.take_account();
        let times = Times { begin, end, certain: self.failed.take(), well };
        let mut broken = promises::broken(&observations, times, expected, &account);
        broken.extend(served.err().map(|error| error.to_string()));
        broken.extend(self.envoy.traps()?.into_iter().map(|line| format!("a VM stopped: {line}")));
        let row = self.row(scenario, &observations, times);
        if row.recovery > RECOVERY {
            broken.push(format!("the gateway recovered after {:?}, not within {RECOVERY:?}", row.recovery));
        }
        let (count, shown) = (broken.len(), broken.get(..20).unwrap_or(&broken).join("\n  "));
        ensure!(
            broken.is_empty(),
            "{scenario}, {} workers: {count} broken promises\n  {shown}",
            self.workers
        );
        Ok(row)
    }

    fn row(&self, scenario: &str, observations: &[Observation], times: Times) -> Row {
        // A request that was served after the end does not count: the server was healthy again.
        let came = |one: &Observation| one.sent >= times.begin && one.sent <= times.end;
        let meanwhile = |one: &Observation| came(one) && (one.seen <= times.end || !one.is_served());
        let mut seen = BTreeMap::<_, BTreeMap<String, u64>>::new();
        let mut timeline = BTreeMap::<_, BTreeMap<_, BTreeMap<String, u64>>>::new();
        let mut all = BTreeMap::<String, u64>::new();
        for one in observations {
            let observed = match one.observed {
                Observed::Answer { status, .. } => status.to_string(),
                Observed::Cut => "cut".to_owned(),
                Observed::Silence => "silence".to_owned(),
            };
            *all.entry(observed.clone()).or_default() += 1;
            let slice = timeline.entry(slice_of(one, times)).or_default();
            *slice.entry(credentials_of(one)).or_default().entry(observed.clone()).or_default() += 1;
            if meanwhile(one) {
                *seen.entry(credentials_of(one)).or_default().entry(observed).or_default() += 1;
            }
        }
        let clients: HashSet<usize> = observations.iter().map(|one| one.client).collect();
        Row {
            scenario: scenario.to_owned(),
            workers: self.workers,
            clients: clients.len(),
            fault: times.end - times.begin,
            seen,
            timeline,
            all,
            worst: observations.iter().map(|one| one.seen - one.sent).max().unwrap_or_default(),
            recovery: times.recovery(observations),
        }
    }
}

/// The beginning of the slice of time in which a client observed the result.
fn slice_of(one: &Observation, times: Times) -> i64 {
    let before = times.begin.saturating_duration_since(one.seen).as_millis() as i64;
    let after = one.seen.saturating_duration_since(times.begin).as_millis() as i64;
    (after - before).div_euclid(SLICE_MS) * SLICE_MS
}

impl Row {
    /// Writes the row to where docs/reliability.md is generated from.
    pub fn write(&self) -> Result<()> {
        let name = self.scenario.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let file = paths::reliability()?.join(format!("{name}-{}.json", self.workers));
        Ok(std::fs::write(file, format!("{:#}\n", self.json()))?)
    }

    /// The row as JSON, with times in milliseconds.
    pub fn json(&self) -> Value {
        let slice = |(from, seen)| json!({"from_ms": from, "seen": seen});
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        json!({
            "scenario": self.scenario,
            "workers": self.workers,
            "clients": self.clients,
            "fault_ms": milliseconds(self.fault),
            "seen": self.seen,
            "timeline": self.timeline.iter().map(slice).collect::<Value>(),
            "worst_latency_ms": milliseconds(self.worst),
            "time_to_recover_ms": milliseconds(self.recovery),
        })
    }
}

/// The configuration of the gateway. Its limits refuse no request, since the trial is about requests that reach the authorization server.
fn configuration() -> Value {
    secrets::noted(STANDARD.encode(format!("gateway:{SECRET}")));
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted(SECRET.to_owned()),
            "timeout": format!("{}ms", TIMEOUT.as_millis()),
            "max_concurrent": 10_000,
            "max_per_second": 100_000,
            // The load itself must not be refused.
            "max_waiting": 10_000,
            "circuit_breaker": {"open_for": format!("{}ms", OPEN_FOR.as_millis())},
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "cache": {"max_ttl": "1h"},
        "rules": [{"path": "/orders"}],
    })
}

pub const LISTENER: &str = "gateway";

/// The introspection timeout of the gateway.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than the timeout a client may wait on a busy machine.
pub const MARGIN: Duration = PATIENCE;

/// How long the circuit breaker stays open.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// How long after the end of a fault valid tokens may still be refused: a request may meet a connection on which the server still hangs, or
/// an open circuit breaker.
pub const RECOVERY: Duration = TIMEOUT.saturating_add(OPEN_FOR).saturating_add(MARGIN);

/// Longer than Envoy keeps connections of a listener that it drains.
pub const DRAINED: Duration = Duration::from_millis(DRAIN_SECONDS as u64 * 1000 + 500);

const DRAIN_SECONDS: u32 = 1;

/// The maximum number of bytes of a callout's response that Envoy buffers. Envoy's default is 32 MiB for each, and its allocator keeps what
/// it once had: a server that floods would hide whether anything else grows.
const ANSWER_LIMIT: u64 = 1 << 20;

const SECRET: &str = "the-secret-of-the-gateway";
