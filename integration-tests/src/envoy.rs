//! A real Envoy with the filter. One process serves several configurations of the filter, each on a listener of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::client::{Client, Request};
use crate::eventually::{PATIENCE, eventually};
use crate::paths;
use crate::port::ReservedPort;
use crate::process::Process;

/// An Envoy to be started.
pub struct EnvoyBuilder {
    name: String,
    workers: u32,
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    environment: Vec<(String, String)>,
    drain_seconds: u32,
    diary: Diary,
    runtime: serde_json::Map<String, Value>,
    closed_ports: Vec<ReservedPort>,
}

/// An Envoy, running.
pub struct Envoy {
    process: Process,
    launch: Launch,
    admin: Client,
    ports: HashMap<String, u16>,
    log: PathBuf,
    _closed_ports: Vec<ReservedPort>,
}

/// What an Envoy is started from, and started again.
struct Launch {
    name: String,
    workers: u32,
    drain_seconds: u32,
    environment: Vec<(String, String)>,
    /// The bootstrap configuration and the listeners.
    folder: TempDir,
    listeners: Vec<String>,
    diary: Diary,
}

/// Where an Envoy logs, and how much.
enum Diary {
    /// All that the filter says, where it is searched for secrets.
    Searched,
    /// As much as Envoy does by itself, in this folder.
    Default(PathBuf),
}

/// What a listener does beside the filter's configuration.
#[derive(Clone, Copy)]
pub struct Listener {
    /// Whether the filter's "pause" holds only the head back, not the body (`allow_on_headers_stop_iteration`).
    pub stops_head_only: bool,
    /// Whether a handshake may turn the connection into a WebSocket.
    pub upgrades_to_web_socket: bool,
    /// Where it listens on loopback; 0 is any port that is free.
    pub port: u16,
    /// The cluster that it is in front of.
    pub upstream: &'static str,
    /// The format of the lines that each request adds to Envoy's log, if it does.
    pub access_log: Option<&'static str>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            stops_head_only: false,
            upgrades_to_web_socket: false,
            port: 0,
            upstream: "api",
            access_log: None,
        }
    }
}

impl EnvoyBuilder {
    /// An Envoy whose log is `name`'s, with this many workers and the cluster `api` on this port.
    pub fn new(name: &str, workers: u32, api_port: u16) -> Self {
        let new = Self {
            name: name.to_owned(),
            workers,
            listeners: Vec::new(),
            clusters: Vec::new(),
            environment: Vec::new(),
            drain_seconds: DRAIN_SECONDS,
            diary: Diary::Searched,
            runtime: serde_json::Map::new(),
            closed_ports: Vec::new(),
        };
        new.cluster("api", &[api_port])
    }

    /// Sets a variable of Envoy's environment that the filter may see.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long connections of a listener that goes are given until they are closed, instead of Envoy's ten minutes.
    #[must_use]
    pub fn drain_seconds(self, drain_seconds: u32) -> Self {
        Self { drain_seconds, ..self }
    }

    /// Lets it log as much as it does by itself, as in production, and into this folder, where nobody searches for secrets.
    #[must_use]
    pub fn logging_by_default(mut self, folder: &Path) -> Self {
        self.diary = Diary::Default(folder.to_owned());
        self
    }

    /// Sets a key of Envoy's runtime.
    #[must_use]
    pub fn runtime(mut self, key: &str, value: u64) -> Self {
        self.runtime.insert(key.to_owned(), json!(value));
        self
    }

    /// Adds a cluster with these ports of loopback as its hosts.
    #[must_use]
    pub fn cluster(mut self, name: &str, ports: &[u16]) -> Self {
        self.clusters.push(cluster(name, ports));
        self
    }

    /// Adds a cluster whose host does not listen as long as this Envoy is there.
    pub fn closed_cluster(mut self, name: &str) -> Result<Self> {
        let port = ReservedPort::new()?;
        let ports = [port.number()];
        self.closed_ports.push(port);
        Ok(self.cluster(name, &ports))
    }

    /// Adds a cluster whose hosts speak HTTP/2 without TLS, as gRPC services do.
    #[must_use]
    pub fn http2_cluster(mut self, name: &str, ports: &[u16]) -> Self {
        let options = json!({"explicit_http_config": {"http2_protocol_options": {}}});
        self.clusters.push(cluster_with(name, ports, options));
        self
    }

    /// Adds a cluster to whose hosts Envoy keeps no connection beyond a request.
    #[must_use]
    pub fn unkept_cluster(mut self, name: &str, ports: &[u16]) -> Self {
        let options = json!({
            "common_http_protocol_options": {"max_requests_per_connection": 1},
            "explicit_http_config": {"http_protocol_options": {}},
        });
        self.clusters.push(cluster_with(name, ports, options));
        self
    }

    /// Adds a cluster whose hosts speak HTTP/1.1 and receive the trailers of requests, which Envoy does not pass on by default.
    #[must_use]
    pub fn cluster_with_trailers(mut self, name: &str, ports: &[u16]) -> Self {
        let mut cluster = cluster(name, ports);
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
            },
        });
        self.clusters.push(cluster);
        self
    }

    /// Adds a cluster whose hosts speak TLS by a certificate of this authority, and are shown this one.
    #[must_use]
    pub fn secure_cluster(
        mut self,
        name: &str,
        ports: &[u16],
        own: &Certificate,
        trusted: &CertificateAuthority,
    ) -> Self {
        let mut cluster = cluster(name, ports);
        cluster["transport_socket"] = tls(
            "Upstream",
            &json!({"common_tls_context": {
                "tls_certificates": [pair(own)],
                "validation_context": {"trusted_ca": {"inline_string": trusted.pem()}},
            }}),
        );
        self.clusters.push(cluster);
        self
    }

    /// Adds this cluster.
    #[must_use]
    pub fn cluster_as(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds a listener with the filter in this configuration. Servers have time to answer, unless it says how much.
    #[must_use]
    pub fn listener(self, name: &str, configuration: &Value, listener: Listener) -> Self {
        let variables: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        let filter = phantom_token(name, &patient(configuration), listener, &variables);
        self.listener_with(name, &filter, listener)
    }

    /// Adds a listener with a filter of Envoy's own in the place of ours.
    #[must_use]
    pub fn listener_with(self, name: &str, filter: &Value, listener: Listener) -> Self {
        self.listener_of(name, std::slice::from_ref(filter), listener)
    }

    /// Adds a listener with these filters.
    #[must_use]
    pub fn listener_of(mut self, name: &str, filters: &[Value], listener: Listener) -> Self {
        self.listeners.push(listener_json(name, filters, listener));
        self
    }

    /// Adds a listener that passes everything on.
    #[must_use]
    pub fn relay(self, name: &str, listener: Listener) -> Self {
        self.listener_of(name, &[], listener)
    }

    /// Hands the last listener's configuration over as a protobuf Struct, which Envoy does not turn into JSON.
    pub fn configured_by_struct(mut self) -> Result<Self> {
        let any = self.last(CONFIGURATION)?;
        let configuration: Value = serde_json::from_str(any["value"].as_str().unwrap_or_default())?;
        *any = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration});
        Ok(self)
    }

    /// Puts these filters before the last listener's own.
    pub fn preceded_by(mut self, filters: &[Value]) -> Result<Self> {
        let all = self.last(FILTERS)?.as_array_mut().context("no filters")?;
        all.splice(0..0, filters.iter().cloned());
        Ok(self)
    }

    /// Lets the last listener find its way by these routes, instead of one to its upstream.
    pub fn routed_by(mut self, routes: &[Value]) -> Result<Self> {
        *self.last(ROUTES)? = json!(routes);
        Ok(self)
    }

    /// Gives the connection manager of the last listener these fields.
    pub fn managed_by(mut self, fields: &Value) -> Result<Self> {
        let manager = self.last(MANAGER)?;
        for (name, value) in fields.as_object().context("no fields")? {
            manager[name] = value.clone();
        }
        Ok(self)
    }

    /// Lets the last listener hand the same number of connections to each worker.
    pub fn balanced(mut self) -> Result<Self> {
        self.last("")?["connection_balance_config"] = json!({"exact_balance": {}});
        Ok(self)
    }

    /// Lets the last listener speak TLS by this certificate, and ask its clients for one of this authority, if one is named:
    /// then nobody comes in without.
    pub fn secured_by(mut self, own: &Certificate, clients: Option<&CertificateAuthority>) -> Result<Self> {
        let mut common = json!({"tls_certificates": [pair(own)], "alpn_protocols": ["h2", "http/1.1"]});
        if let Some(authority) = clients {
            common["validation_context"] = json!({"trusted_ca": {"inline_string": authority.pem()}});
        }
        self.last("/filter_chains/0")?["transport_socket"] = tls(
            "Downstream",
            &json!({"require_client_certificate": clients.is_some(), "common_tls_context": common}),
        );
        Ok(self)
    }

    /// Lets clients of the last listener, which is secured, come without a certificate as well.
    pub fn admitting_without_certificate(mut self) -> Result<Self> {
        *self.last("/filter_chains/0/transport_socket/typed_config/require_client_certificate")? =
            json!(false);
        Ok(self)
    }

    /// What the last listener does with `x-forwarded-client-cert`: `SANITIZE_SET`, `FORWARD_ONLY` and so on, and what it tells
    /// about a certificate beside its digest.
    pub fn forwarding_certificates(mut self, handling: &str, details: &Value) -> Result<Self> {
        let manager = self.last(MANAGER)?;
        manager["forward_client_cert_details"] = json!(handling);
        manager["set_current_client_cert_details"] = details.clone();
        Ok(self)
    }

    /// Whether Envoy accepts this, and what it says if not (`--mode validate`).
    pub fn validate(&self) -> Result<(bool, String)> {
        let folder = TempDir::new()?;
        let path = folder.path().join("envoy.json");
        std::fs::write(&path, json!({"static_resources": self.resources()?}).to_string())?;
        validate(&path, &self.environment)
    }

    /// Starts it, and waits until it serves.
    pub async fn start(self) -> Result<Envoy> {
        let folder = TempDir::new()?;
        let file = |name: &str| folder.path().join(name);
        let mut listeners = self.listeners.clone();
        for listener in &mut listeners {
            listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        }
        let listeners = json!({"resources": listeners});
        std::fs::write(file("listeners.json"), with_filter(&listeners)?)?;
        let bootstrap = json!({
            "node": {"id": self.name, "cluster": "tests"},
            "admin": {"address": address(0)},
            "static_resources": {"clusters": self.clusters},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": self.runtime}]},
            "dynamic_resources": {"lds_config": {"path_config_source": {"path": file("listeners.json")}}},
        });
        std::fs::write(file(BOOTSTRAP), bootstrap.to_string())?;
        let names = self.listeners.iter().filter_map(|listener| listener["name"].as_str().map(str::to_owned));
        let listeners = names.collect();
        let Self { name, workers, environment, drain_seconds, diary, closed_ports, .. } = self;
        let launch = Launch { name, workers, drain_seconds, environment, folder, listeners, diary };
        Envoy::launch(launch, closed_ports).await
    }

    fn last(&mut self, pointer: &str) -> Result<&mut Value> {
        let listener = self.listeners.last_mut().context("no listener")?;
        listener.pointer_mut(pointer).context("a listener of another form")
    }

    fn resources(&self) -> Result<Value> {
        let resources = json!({"listeners": self.listeners, "clusters": self.clusters});
        Ok(serde_json::from_str(&with_filter(&resources)?)?)
    }
}

impl Envoy {
    /// Starts Envoy with two workers and this bootstrap configuration, YAML or JSON, and waits until these listeners serve.
    pub async fn start(
        name: &str,
        bootstrap: &str,
        environment: &[(&str, &str)],
        listeners: &[&str],
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join(BOOTSTRAP), bootstrap)?;
        let launch = Launch {
            name: name.to_owned(),
            workers: 2,
            drain_seconds: DRAIN_SECONDS,
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            folder,
            listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
            diary: Diary::Searched,
        };
        Self::launch(launch, Vec::new()).await
    }

    /// Kills it and starts it anew, with what it had been started from and been told since. What it listened at by number, it
    /// listens at again. Its new log has this mark in its name.
    pub async fn restart(&mut self, mark: &str) -> Result<()> {
        self.process.stop();
        self.log = self.launch.log(&format!("-{mark}"))?;
        self.process = self.launch.start(&self.log)?;
        (self.admin, self.ports) = self.launch.ready().await.with_context(|| tail(&self.log))?;
        Ok(())
    }

    async fn launch(launch: Launch, closed_ports: Vec<ReservedPort>) -> Result<Self> {
        let log = launch.log("")?;
        let process = launch.start(&log)?;
        let (admin, ports) = launch.ready().await.with_context(|| tail(&log))?;
        Ok(Self { process, launch, admin, ports, log, _closed_ports: closed_ports })
    }

    /// A client of the listener of this name.
    pub fn client(&self, listener: &str) -> Client {
        Client::to_port(self.ports.get(listener).copied().unwrap_or_default())
    }

    /// Where its administration listens on loopback, which has `/stats/prometheus`.
    pub fn admin_port(&self) -> u16 {
        self.admin.port()
    }

    /// The number that the system knows it by.
    pub fn process_id(&self) -> Result<u32> {
        self.process.id()
    }

    /// The sum over all workers of a counter or gauge of Envoy.
    pub async fn statistic(&self, name: &str) -> Result<u64> {
        let answer = self.admin.send(Request::get(format!("/stats?format=json&filter=^{name}$"))).await?;
        let statistics = answer.json()?;
        Ok(statistics["stats"]
            .as_array()
            .and_then(|all| all.first())
            .and_then(|one| one["value"].as_u64())
            .unwrap_or(0))
    }

    /// Replaces the configuration of a listener's filter while Envoy runs, and waits until Envoy has taken or refused it.
    /// Whether it was taken.
    pub async fn reconfigure(&self, listener: &str, configuration: &Value) -> Result<bool> {
        let path = self.launch.folder.path().join("listeners.json");
        let mut listeners: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let all = listeners["resources"].as_array_mut().context("no listeners")?;
        let one = all.iter_mut().find(|one| one["name"] == listener).context("no such listener")?;
        let any = one.pointer_mut(CONFIGURATION).context("a listener without the filter")?;
        any["value"] = json!(patient(configuration).to_string());
        let (taken, refused) = self.updates().await?;
        let next = self.launch.folder.path().join("next.json");
        std::fs::write(&next, listeners.to_string())?;
        std::fs::rename(&next, &path)?;
        let mut is_taken = false;
        eventually("Envoy looks at its new listeners", async || {
            let (taken_now, refused_now) = self.updates().await?;
            is_taken = refused_now == refused;
            Ok(taken_now > taken || refused_now > refused)
        })
        .await?;
        Ok(is_taken)
    }

    /// Waits until this many requests are at a listener, or more: its filter has seen each of them, and before it sees an answer that
    /// comes later.
    ///
    /// # Errors
    /// They are not, after a long time.
    pub async fn holds(&self, listener: &str, requests: u64) -> Result<()> {
        self.counts(&active(listener), requests).await
    }

    /// Waits until no request is at a listener any more.
    ///
    /// # Errors
    /// Some are, after a long time.
    pub async fn holds_nothing(&self, listener: &str) -> Result<()> {
        self.holds_at_most(listener, 0).await
    }

    /// Waits until no more requests than so many are at a listener.
    ///
    /// # Errors
    /// More are, after a long time.
    pub async fn holds_at_most(&self, listener: &str, requests: u64) -> Result<()> {
        let (what, name) = (format!("at most {requests} requests are at {listener}"), active(listener));
        eventually(&what, async || Ok(self.statistic(&name).await? <= requests)).await
    }

    /// Waits until a statistic is this high, or higher.
    ///
    /// # Errors
    /// It is not, after a long time.
    pub async fn counts(&self, name: &str, least: u64) -> Result<()> {
        eventually(&format!("{name} >= {least}"), async || Ok(self.statistic(name).await? >= least)).await
    }

    /// Waits until this is in the log.
    ///
    /// # Errors
    /// It is not, after a long time.
    pub async fn logs(&self, text: &str) -> Result<()> {
        eventually(&format!("in the log: {text}"), async || Ok(self.log().contains(text))).await
    }

    /// Waits until it has let go of every listener that another has taken the place of.
    ///
    /// # Errors
    /// It has not, after a long time.
    pub async fn drained(&self) -> Result<()> {
        eventually("listeners are let go", async || {
            let listeners = self.statistic("listener_manager.total_listeners_draining").await?;
            Ok(listeners + self.statistic("listener_manager.total_filter_chains_draining").await? == 0)
        })
        .await
    }

    /// Tells it to see its clients off: answers close their connections, and after the time that it was given, it stops to
    /// listen. Only a restart brings it back.
    pub async fn drain(&self) -> Result<()> {
        let answer = self.admin.send(Request::post("/drain_listeners?graceful", "")).await?;
        ensure!(answer.status == 200, "Envoy does not drain: {}", answer.text());
        Ok(())
    }

    /// How much memory of the machine it has, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.process.resident_bytes()
    }

    /// The lines of its log that tell of a VM that stopped. A log that is not there would tell nothing, so that is an error.
    pub fn traps(&self) -> Result<Vec<String>> {
        let log = self.log();
        ensure!(!log.is_empty(), "Envoy has no log");
        let tells = |line: &&str| TRAPS.iter().any(|trap| line.contains(trap));
        Ok(log.lines().filter(tells).map(str::to_owned).collect())
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn updates(&self) -> Result<(u64, u64)> {
        let taken = self.statistic("listener_manager.lds.update_success").await?;
        Ok((taken, self.statistic("listener_manager.lds.update_rejected").await?))
    }
}

/// Whether Envoy accepts this file at the top of the checkout, and what it says if not (`--mode validate`).
pub fn validate(path: &Path, environment: &[(String, String)]) -> Result<(bool, String)> {
    let output = Command::new(paths::envoy()?)
        .args(["--mode", "validate", "--config-path"])
        .arg(path)
        .envs(environment.iter().cloned())
        .current_dir(paths::root())
        .output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The version that the tests run, as major and minor.
pub fn version() -> Result<(u32, u32)> {
    let output = Command::new(paths::envoy()?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, named) = text.split_once("version: ").with_context(|| format!("no version: {text}"))?;
    let version = named.split('/').nth(1).with_context(|| format!("no version: {text}"))?;
    let mut numbers = version.split('.').map(str::parse);
    let mut number =
        || numbers.next().context("a version has two numbers")?.context("a version is of numbers");
    Ok((number()?, number()?))
}

impl Launch {
    fn start(&self, log: &Path) -> Result<Process> {
        let (bootstrap_file, admin_file) = (self.folder.path().join(BOOTSTRAP), self.admin_file());
        // A process before this one may have left its own.
        let _ = std::fs::remove_file(&admin_file);
        let (workers, drain_seconds) = (self.workers.to_string(), self.drain_seconds.to_string());
        let arguments = [
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "50",
            "--drain-time-s",
            &drain_seconds,
            "--concurrency",
            &workers,
            "--config-path",
            bootstrap_file.to_str().context("a path that is not UTF-8")?,
            "--admin-address-path",
            admin_file.to_str().context("a path that is not UTF-8")?,
        ];
        let verbosity: &[&str] = match &self.diary {
            Diary::Searched => &["--component-log-level", "wasm:debug"],
            Diary::Default(_) => &[],
        };
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Process::start(&paths::envoy()?, &[&arguments, verbosity].concat(), &environment, log)
    }

    /// Where it logs, with this mark behind its name.
    fn log(&self, mark: &str) -> Result<PathBuf> {
        let folder = match &self.diary {
            Diary::Searched => paths::logs()?,
            Diary::Default(folder) => folder.clone(),
        };
        Ok(folder.join(format!("{}{mark}-envoy.log", self.name)))
    }

    /// Waits until all listeners serve. The administration's client, and their ports.
    async fn ready(&self) -> Result<(Client, HashMap<String, u16>)> {
        let mut found = None;
        eventually("Envoy serves", async || {
            found = self.look().await?;
            Ok(found.is_some())
        })
        .await?;
        found.context("it serves")
    }

    /// The administration's client and the ports of all listeners, if they serve.
    async fn look(&self) -> Result<Option<(Client, HashMap<String, u16>)>> {
        let Ok(admin_address) = std::fs::read_to_string(self.admin_file()) else { return Ok(None) };
        let Some(port) = admin_address.rsplit(':').next().and_then(|port| port.trim().parse().ok()) else {
            return Ok(None);
        };
        let admin = Client::to_port(port);
        let Ok(answer) = admin.send(Request::get("/listeners?format=json")).await else { return Ok(None) };
        let statuses = answer.json()?;
        let port_of = |status: &Value| {
            let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
            Some((status["name"].as_str()?.to_owned(), u16::try_from(port).ok()?))
        };
        let ports: HashMap<String, u16> =
            statuses["listener_statuses"].as_array().into_iter().flatten().filter_map(port_of).collect();
        let is_live = admin.send(Request::get("/ready")).await.is_ok_and(|answer| answer.status == 200);
        let serves = is_live && self.listeners.iter().all(|name| ports.contains_key(name));
        Ok(serves.then_some((admin, ports)))
    }

    fn admin_file(&self) -> PathBuf {
        self.folder.path().join("admin")
    }
}

/// The configuration with time for servers to answer, where it does not say how much they have.
fn patient(configuration: &Value) -> Value {
    let mut patient = configuration.clone();
    give_time(&mut patient);
    let servers = patient.get_mut("authorization_servers").and_then(Value::as_array_mut);
    for server in servers.into_iter().flatten() {
        give_time(server);
    }
    patient
}

fn give_time(server: &mut Value) {
    for section in ["introspection", "keys"] {
        let section = server.get_mut(section).and_then(Value::as_object_mut);
        if let Some(section) = section {
            section.entry("timeout").or_insert_with(|| json!(CALLOUT_TIMEOUT));
        }
    }
}

/// How many requests are at a listener.
fn active(listener: &str) -> String {
    format!("http.{listener}.downstream_rq_active")
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

fn phantom_token(name: &str, configuration: &Value, listener: Listener, variables: &[&str]) -> Value {
    json!({
        "name": "phantom-token",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": name,
                "allow_on_headers_stop_iteration": listener.stops_head_only,
                "vm_config": {
                    "vm_id": "phantom-token",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": FILTER}},
                    "environment_variables": {"host_env_keys": variables},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration.to_string(),
                },
            },
        },
    })
}

fn listener_json(name: &str, filters: &[Value], listener: Listener) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    let access_log = listener.access_log.map(|format| {
        json!({
            "name": "envoy.access_loggers.stderr",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
                "log_format": {"text_format_source": {"inline_string": format!("{format}\n")}},
            },
        })
    });
    let filters: Vec<&Value> = filters.iter().chain([&router]).collect();
    json!({
        "name": name,
        "stat_prefix": name,
        "address": address(listener.port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "stream_idle_timeout": seconds(2 * PATIENCE),
                "access_log": access_log.into_iter().collect::<Vec<_>>(),
                "http_protocol_options": {"enable_trailers": true},
                "upgrade_configs": [{"upgrade_type": "websocket", "enabled": listener.upgrades_to_web_socket}],
                "http_filters": filters,
                "route_config": {"virtual_hosts": [{
                    "name": "api",
                    "domains": ["*"],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "route": {"cluster": listener.upstream, "timeout": seconds(PATIENCE)},
                    }],
                }]},
            },
        }]}],
    })
}

fn cluster(name: &str, ports: &[u16]) -> Value {
    let endpoints: Vec<Value> =
        ports.iter().map(|port| json!({"endpoint": {"address": address(*port)}})).collect();
    json!({
        "name": name,
        "connect_timeout": seconds(PATIENCE),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

fn cluster_with(name: &str, ports: &[u16], mut options: Value) -> Value {
    options["@type"] = json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    let mut cluster = cluster(name, ports);
    cluster["typed_extension_protocol_options"] =
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
    cluster
}

fn tls(side: &str, context: &Value) -> Value {
    let mut context = context.clone();
    context["@type"] =
        json!(format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"));
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn pair(own: &Certificate) -> Value {
    json!({
        "certificate_chain": {"inline_string": own.pem()},
        "private_key": {"inline_string": own.key_pem()},
    })
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn with_filter(resources: &Value) -> Result<String> {
    Ok(resources.to_string().replace(FILTER, &paths::filter()?.display().to_string()))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end: Vec<&str> = lines.iter().rev().take(40).rev().copied().collect();
    format!("the end of {}:\n{}", log.display(), end.join("\n"))
}

const CONFIGURATION: &str =
    "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/configuration";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const FILTERS: &str = "/filter_chains/0/filters/0/typed_config/http_filters";
const ROUTES: &str = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
const BOOTSTRAP: &str = "envoy.yaml";
/// Envoy's own default.
const DRAIN_SECONDS: u32 = 600;
/// What the recipe `search-logs` looks for as well.
const TRAPS: [&str; 4] = ["panicked at", "wasm trap", "RuntimeError", "Function: proxy_on"];
const FILTER: &str = "PHANTOM_TOKEN_WASM";
/// How long a server has to answer the filter, if a test does not say otherwise: a busy machine is no failure of the server.
const CALLOUT_TIMEOUT: &str = "1m";
