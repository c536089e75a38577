//! An Envoy to be started: its clusters, its listeners and its process.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster::{address, cluster, cluster_with, pair, tls};
use super::launch::{BOOTSTRAP, DRAIN_SECONDS, Launch, Logging};
use super::listener::{
    FILTER, FILTERS, Listener, MANAGER, ROUTES, configuration_pointer, listener_json, patient, phantom_token,
};
use super::running::{Envoy, validate};
use crate::artefact::Artefact;
use crate::certificates::{Certificate, CertificateAuthority};
use crate::port::ReservedPort;

pub struct EnvoyBuilder {
    artefact: Artefact,
    name: String,
    workers: u32,
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    secrets: Vec<Value>,
    environment: Vec<(String, String)>,
    drain_seconds: u32,
    logging: Logging,
    runtime: serde_json::Map<String, Value>,
    closed_ports: Vec<ReservedPort>,
}

impl EnvoyBuilder {
    /// An Envoy with this name for its log, this many workers and a cluster `api` on this port.
    pub fn new(name: &str, workers: u32, api_port: u16) -> Self {
        let new = Self {
            artefact: Artefact::chosen(),
            name: name.to_owned(),
            workers,
            listeners: Vec::new(),
            clusters: Vec::new(),
            secrets: Vec::new(),
            environment: Vec::new(),
            drain_seconds: DRAIN_SECONDS,
            logging: Logging::Searched,
            runtime: [(BARE_NAMES.to_owned(), json!(true))].into_iter().collect(),
            closed_ports: Vec::new(),
        };
        new.cluster("api", &[api_port])
    }

    /// Sets an environment variable that the filter may see.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a static secret.
    #[must_use]
    pub fn generic_secret(mut self, name: &str, value: &str) -> Self {
        let secret = json!({"name": name, "generic_secret": {"secret": {"inline_string": value}}});
        self.secrets.push(secret);
        self
    }

    /// Selects the artefact of the filter, whichever the tests are about.
    #[must_use]
    pub fn artefact(self, artefact: Artefact) -> Self {
        Self { artefact, ..self }
    }

    #[must_use]
    pub fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    /// Sets how long connections of a removed listener are drained, instead of Envoy's ten minutes.
    #[must_use]
    pub fn drain_seconds(self, drain_seconds: u32) -> Self {
        Self { drain_seconds, ..self }
    }

    /// Logs at the default level, as in production, into this folder, which `search-logs` does not search.
    #[must_use]
    pub fn logging_by_default(mut self, folder: &Path) -> Self {
        self.logging = Logging::Default(folder.to_owned());
        self
    }

    #[must_use]
    pub fn runtime(mut self, key: &str, value: u64) -> Self {
        self.runtime.insert(key.to_owned(), json!(value));
        self
    }

    /// Adds a cluster with these ports of loopback as its hosts.
    #[must_use]
    pub fn cluster(self, name: &str, ports: &[u16]) -> Self {
        self.cluster_as(cluster(name, ports))
    }

    /// Adds a cluster whose host does not listen while this Envoy exists.
    #[must_use]
    pub fn closed_cluster(mut self, name: &str) -> Self {
        let port = ReservedPort::new().expect("a port");
        let ports = [port.number()];
        self.closed_ports.push(port);
        self.cluster(name, &ports)
    }

    /// Adds a cluster whose hosts speak HTTP/2 without TLS, as gRPC services do.
    #[must_use]
    pub fn http2_cluster(self, name: &str, ports: &[u16]) -> Self {
        let options = json!({"explicit_http_config": {"http2_protocol_options": {}}});
        self.cluster_as(cluster_with(name, ports, options))
    }

    /// Adds a cluster to whose hosts Envoy keeps no connection after a request.
    #[must_use]
    pub fn unkept_cluster(self, name: &str, ports: &[u16]) -> Self {
        let options = json!({
            "common_http_protocol_options": {"max_requests_per_connection": 1},
            "explicit_http_config": {"http_protocol_options": {}},
        });
        self.cluster_as(cluster_with(name, ports, options))
    }

    /// Adds a cluster whose hosts speak HTTP/1.1 and receive the trailers of requests, which Envoy does not forward by default.
    #[must_use]
    pub fn cluster_with_trailers(self, name: &str, ports: &[u16]) -> Self {
        let options = json!({"explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}});
        self.cluster_as(cluster_with(name, ports, options))
    }

    /// Adds a cluster whose hosts have a TLS certificate of this authority, and to which Envoy presents its own certificate.
    #[must_use]
    pub fn secure_cluster(
        self,
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
        self.cluster_as(cluster)
    }

    /// Adds this cluster, replacing one with the same name.
    #[must_use]
    pub fn cluster_as(mut self, cluster: Value) -> Self {
        self.clusters.retain(|other| other["name"] != cluster["name"]);
        self.clusters.push(cluster);
        self
    }

    /// Adds a listener with the filter in this configuration. Unless it sets a timeout, servers have ample time to respond.
    #[must_use]
    pub fn listener(self, name: &str, configuration: &Value, listener: Listener) -> Self {
        let variables: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        let filter = phantom_token(self.artefact, name, &patient(configuration), listener, &variables);
        self.listener_with(name, &filter, listener)
    }

    /// Adds a listener with one of Envoy's own filters instead of this project's.
    #[must_use]
    pub fn listener_with(self, name: &str, filter: &Value, listener: Listener) -> Self {
        self.listener_of(name, std::slice::from_ref(filter), listener)
    }

    #[must_use]
    pub fn listener_of(mut self, name: &str, filters: &[Value], listener: Listener) -> Self {
        self.listeners.push(listener_json(self.artefact, name, filters, listener));
        self
    }

    /// Adds a listener without a filter.
    #[must_use]
    pub fn relay(self, name: &str, listener: Listener) -> Self {
        self.listener_of(name, &[], listener)
    }

    /// Passes the last listener's configuration as a protobuf Struct, which Envoy does not turn into JSON.
    #[must_use]
    pub fn configured_by_struct(mut self) -> Self {
        let pointer = configuration_pointer(self.artefact);
        let any = self.last(&pointer);
        let text = any["value"].as_str().unwrap_or_default();
        let configuration: Value = serde_json::from_str(text).expect("JSON");
        *any = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration});
        self
    }

    /// Inserts these filters before the last listener's own.
    #[must_use]
    pub fn preceded_by(mut self, filters: &[Value]) -> Self {
        let all = self.last(FILTERS).as_array_mut().expect("filters");
        all.splice(0..0, filters.iter().cloned());
        self
    }

    /// Inserts these filters after the last listener's own, before the router.
    #[must_use]
    pub fn followed_by(mut self, filters: &[Value]) -> Self {
        let all = self.last(FILTERS).as_array_mut().expect("filters");
        let router = all.len() - 1;
        all.splice(router..router, filters.iter().cloned());
        self
    }

    /// Gives the last listener these routes instead of the one to its upstream.
    #[must_use]
    pub fn routed_by(mut self, routes: &[Value]) -> Self {
        *self.last(ROUTES) = json!(routes);
        self
    }

    /// Sets these fields of the last listener's connection manager.
    #[must_use]
    pub fn managed_by(mut self, fields: &Value) -> Self {
        let manager = self.last(MANAGER);
        for (name, value) in fields.as_object().into_iter().flatten() {
            manager[name] = value.clone();
        }
        self
    }

    /// Makes the last listener balance connections evenly between workers.
    #[must_use]
    pub fn balanced(mut self) -> Self {
        self.last("")["connection_balance_config"] = json!({"exact_balance": {}});
        self
    }

    /// Makes the last listener use TLS with this certificate, and require a client certificate if an authority is given.
    #[must_use]
    pub fn secured_by(mut self, own: &Certificate, clients: Option<&CertificateAuthority>) -> Self {
        let mut common = json!({"tls_certificates": [pair(own)], "alpn_protocols": ["h2", "http/1.1"]});
        if let Some(authority) = clients {
            common["validation_context"] = json!({"trusted_ca": {"inline_string": authority.pem()}});
        }
        self.last("/filter_chains/0")["transport_socket"] = tls(
            "Downstream",
            &json!({"require_client_certificate": clients.is_some(), "common_tls_context": common}),
        );
        self
    }

    /// Makes client certificates of the last, secured listener optional.
    #[must_use]
    pub fn admitting_without_certificate(mut self) -> Self {
        *self.last("/filter_chains/0/transport_socket/typed_config/require_client_certificate") =
            json!(false);
        self
    }

    /// Sets how the last listener treats `x-forwarded-client-cert`, for example `SANITIZE_SET` or `FORWARD_ONLY`, and which details of a
    /// certificate it adds to the digest.
    #[must_use]
    pub fn forwarding_certificates(mut self, handling: &str, details: &Value) -> Self {
        let manager = self.last(MANAGER);
        manager["forward_client_cert_details"] = json!(handling);
        manager["set_current_client_cert_details"] = details.clone();
        self
    }

    /// Whether Envoy accepts this configuration, and its output (`--mode validate`).
    pub fn validate(&self) -> Result<(bool, String)> {
        let folder = TempDir::new()?;
        let path = folder.path().join("envoy.json");
        std::fs::write(&path, json!({"static_resources": self.resources()?}).to_string())?;
        validate(&path, &self.environment)
    }

    /// Starts Envoy and waits until it serves.
    pub async fn start(self) -> Result<Envoy> {
        let folder = TempDir::new()?;
        let file = |name: &str| folder.path().join(name);
        let mut listeners = self.listeners.clone();
        for listener in &mut listeners {
            listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        }
        let listeners = json!({"resources": listeners});
        std::fs::write(file("listeners.json"), with_filter(self.artefact, &listeners)?)?;
        let bootstrap = json!({
            "node": {"id": self.name, "cluster": "tests"},
            "admin": {"address": address(0)},
            "stats_config": {"stats_tags": [{"tag_name": "reason", "regex": self.artefact.reason_tag()}]},
            "static_resources": {"clusters": self.clusters, "secrets": self.secrets},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": self.runtime}]},
            "dynamic_resources": {"lds_config": {"path_config_source": {"path": file("listeners.json")}}},
        });
        std::fs::write(file(BOOTSTRAP), bootstrap.to_string())?;
        let names = self.listeners.iter().filter_map(|listener| listener["name"].as_str().map(str::to_owned));
        let listeners = names.collect();
        let Self { artefact, name, workers, environment, drain_seconds, logging, closed_ports, .. } = self;
        let launch =
            Launch { artefact, name, workers, drain_seconds, environment, folder, listeners, logging };
        Envoy::launch(launch, closed_ports).await
    }

    /// Returns a part of the last listener.
    ///
    /// # Panics
    /// If there is no listener, or it does not have this part.
    fn last(&mut self, pointer: &str) -> &mut Value {
        let listener = self.listeners.last_mut().expect("a listener");
        listener.pointer_mut(pointer).expect("a listener of the form that Envoy wants")
    }

    fn resources(&self) -> Result<Value> {
        let resources =
            json!({"listeners": self.listeners, "clusters": self.clusters, "secrets": self.secrets});
        Ok(serde_json::from_str(&with_filter(self.artefact, &resources)?)?)
    }
}

fn with_filter(artefact: Artefact, resources: &Value) -> Result<String> {
    Ok(resources.to_string().replace(FILTER, &artefact.file()?.display().to_string()))
}

/// Makes Prometheus see a module's metrics by the same names as a wasm filter's. Versions of Envoy without this key ignore it.
const BARE_NAMES: &str = "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";
