//! Istio: istiod with a real API server, and an Envoy that Istio's agent starts, connects to istiod, and fetches filters for. Nothing of
//! Kubernetes runs pods here, so the gateway's pod is declared by hand, at an address that leads nowhere.
//!
//! Envoy is not Istio's build of it, which has its own filters: metrics, peers' metadata and ALPN are turned off.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::kubernetes::ApiServer;
use super::start_in;
use crate::certificates::CertificateAuthority;
use crate::client::{Client, Request};
use crate::envoy::Envoy;
use crate::eventually::eventually;
use crate::manifests::Manifests;
use crate::paths;
use crate::port::{free_port, lasting_port};
use crate::process::Process;

pub struct Istiod {
    pub api_server: ApiServer,
    process: Mutex<Process>,
    folder: TempDir,
    name: String,
    environment: Vec<(String, String)>,
    /// The ports for agents and for readiness probes.
    ports: [u16; 2],
}

/// A pod with one container, the proxy's.
pub struct Proxy<'a> {
    /// The name of the pod, and of its log.
    pub name: &'a str,
    pub namespace: &'a str,
    pub service_account: &'a str,
    pub labels: &'a Value,
    /// The pod's unique address in the cluster.
    pub address: &'a str,
    /// `router`, `sidecar` or `waypoint`.
    pub kind: &'a str,
    /// The container's environment variables, in addition to those that Istio sets.
    pub environment: &'a [(&'a str, &'a str)],
    /// The listeners that have to exist.
    pub listeners: &'a [&'a str],
}

impl Istiod {
    /// Starts the API server and istiod, and waits until istiod serves. istiod issues certificates of this authority, and has these
    /// environment variables.
    pub async fn start(
        name: &str,
        authority: &CertificateAuthority,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let api_server = ApiServer::start(name).await?;
        for control_plane in ["envoy-gateway", "istio"] {
            api_server.define(&paths::definitions(control_plane)?)?;
        }
        api_server.kubectl(&["create", "namespace", "istio-system"], "")?;
        let folder = TempDir::new()?;
        write(
            folder.path(),
            "etc/istio/config/mesh",
            &json!({"trustDomain": "cluster.local", "defaultProviders": {}}),
        )?;
        for (file, content) in [
            ("root-cert.pem", authority.pem()),
            ("cert-chain.pem", authority.pem()),
            ("ca-cert.pem", authority.pem()),
            ("ca-key.pem", authority.key_pem()),
        ] {
            write_text(folder.path(), &format!("etc/cacerts/{file}"), &content)?;
        }
        let template =
            |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(paths::control_plane("istio", name)?)?);
        let templates = json!({
            "kube-gateway": template("kube-gateway.yaml")?, "waypoint": template("waypoint.yaml")?, "sidecar": "",
        });
        let injection = json!({"policy": "enabled", "templates": templates});
        write(folder.path(), "var/lib/istio/inject/config", &injection)?;
        write(folder.path(), "var/lib/istio/inject/values", &values())?;
        let own = [
            ("POD_NAME", "istiod"),
            ("POD_NAMESPACE", "istio-system"),
            ("REVISION", "default"),
            ("CLUSTER_ID", "Kubernetes"),
            ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
            ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            // The listeners that a Service adds to a sidecar are kept beside those of a Sidecar resource.
            ("PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", "true"),
        ];
        let environment: Vec<(String, String)> = [own.as_slice(), environment]
            .concat()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let ports = [lasting_port()?, lasting_port()?];
        let process = discovery(name, &api_server, folder.path(), &environment, ports)?;
        let new = Self {
            api_server,
            process: Mutex::new(process),
            folder,
            name: name.to_owned(),
            environment,
            ports,
        };
        new.is_ready().await?;
        Ok(new)
    }

    /// Stops istiod. The API server and all proxies keep running.
    pub async fn stop(&self) {
        self.process.lock().await.stop();
    }

    /// Starts istiod again on the same ports, and waits until it serves. The name of its new log contains this mark.
    pub async fn start_again(&self, mark: &str) -> Result<()> {
        let name = format!("{}-{mark}", self.name);
        *self.process.lock().await =
            discovery(&name, &self.api_server, self.folder.path(), &self.environment, self.ports)?;
        self.is_ready().await
    }

    async fn is_ready(&self) -> Result<()> {
        eventually("istiod is ready", async || {
            let answer = Client::to_port(self.ports[1]).send(Request::get("/ready")).await;
            Ok(answer.is_ok_and(|answer| answer.status == 200))
        })
        .await
    }

    /// Starts the agent of a proxy, which starts Envoy, and waits until the proxy's listeners serve.
    pub async fn proxy(&self, proxy: &Proxy<'_>) -> Result<Envoy> {
        self.announce(proxy)?;
        let home = TempDir::new()?;
        let folder = home.path();
        let account = [
            "create",
            "token",
            proxy.service_account,
            "--namespace",
            proxy.namespace,
            "--audience",
            "istio-ca",
        ];
        write_text(folder, "var/run/secrets/tokens/istio-token", &self.api_server.kubectl(&account, "")?)?;
        write_text(folder, "var/run/secrets/istio/root-cert.pem", &self.root(proxy.namespace).await?)?;
        let labels = proxy.labels.as_object().context("no labels")?;
        let labels: String = labels.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        write_text(folder, "etc/istio/pod/labels", &labels)?;
        let template = fs::read_to_string(paths::control_plane("istio", "envoy_bootstrap.json")?)?;
        // A waypoint would get its peers' metadata from istiod through an extension in Istio's build.
        let template = template.replace("if .metadata_discovery", "if false");
        write_text(folder, "var/lib/istio/envoy/envoy_bootstrap_tmpl.json", &template)?;
        let (admin, status, health, metrics) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let discovery = format!("127.0.0.1:{}", self.ports[0]);
        let configuration = json!({
            "discoveryAddress": discovery,
            "binaryPath": paths::envoy()?.canonicalize()?,
            "proxyAdminPort": admin,
            "statusPort": status,
            "configPath": "./etc/istio/proxy",
            "concurrency": 2,
            "fileFlushInterval": "0.05s",
        });
        // The file in which the tests look for the port of Envoy's admin interface.
        write_text(folder, "admin", &format!("127.0.0.1:{admin}"))?;
        let (configuration, health, metrics) =
            (configuration.to_string(), health.to_string(), metrics.to_string());
        let own = [
            ("POD_NAME", proxy.name),
            ("POD_NAMESPACE", proxy.namespace),
            ("INSTANCE_IP", proxy.address),
            ("SERVICE_ACCOUNT", proxy.service_account),
            ("PROXY_CONFIG", &configuration),
            ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
            ("TRUST_DOMAIN", "cluster.local"),
            ("PILOT_CERT_PROVIDER", "istiod"),
            ("ISTIOD_SAN", "istiod.istio-system.svc"),
            ("ENVOY_STATUS_PORT", &health),
            ("ENVOY_PROMETHEUS_PORT", &metrics),
        ];
        let domain = format!("{}.svc.cluster.local", proxy.namespace);
        let arguments = [
            "proxy",
            proxy.kind,
            "--domain",
            &domain,
            "--proxyLogLevel",
            "warning",
            "--proxyComponentLogLevel",
            "wasm:debug",
        ];
        let environment = [own.as_slice(), proxy.environment].concat();
        let log = paths::logs()?.join(format!("{}-envoy.log", proxy.name));
        let program = paths::control_plane("istio", "pilot-agent")?;
        let process = start_in(folder, &program, &arguments, &environment, &log)?;
        Envoy::started_by(process, proxy.name, home, proxy.listeners).await
    }

    /// Declares the pod as the kubelet would.
    fn announce(&self, proxy: &Proxy<'_>) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": proxy.name, "namespace": proxy.namespace, "labels": proxy.labels},
            "spec": {
                "serviceAccountName": proxy.service_account,
                "containers": [{"name": "istio-proxy", "image": "proxy"}],
            },
        });
        self.api_server.kubectl(&["apply", "--server-side", "--filename", "-"], &pod.to_string())?;
        let status = json!({"status": {
            "phase": "Running",
            "podIP": proxy.address,
            "podIPs": [{"ip": proxy.address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let patch = [
            "patch",
            "pod",
            proxy.name,
            "--namespace",
            proxy.namespace,
            "--subresource=status",
            "--type=merge",
        ];
        self.api_server.kubectl(&[patch.as_slice(), &["--patch", &status.to_string()]].concat(), "")?;
        Ok(())
    }

    /// Returns the certificate of istiod's authority, which istiod writes into each namespace.
    async fn root(&self, namespace: &str) -> Result<String> {
        let mut root = None;
        eventually("the namespace knows istiod's authority", async || {
            root = self.api_server.get("configmap", namespace, "istio-ca-root-cert")?;
            Ok(root.is_some())
        })
        .await?;
        let root = root.context("no ConfigMap")?;
        Ok(root["data"]["root-cert.pem"].as_str().context("no certificate")?.to_owned())
    }

    pub fn apply(&self, manifests: &Manifests) -> Result<()> {
        self.api_server.apply(manifests)
    }
}

/// Starts istiod.
fn discovery(
    name: &str,
    api_server: &ApiServer,
    folder: &Path,
    environment: &[(String, String)],
    ports: [u16; 2],
) -> Result<Process> {
    let [secure, ready] = ports.map(|port| format!("127.0.0.1:{port}"));
    let kubeconfig = api_server.kubeconfig().display().to_string();
    let arguments = [
        "discovery",
        "--kubeconfig",
        &kubeconfig,
        "--secureGRPCAddr",
        &secure,
        "--httpAddr",
        &ready,
        "--httpsAddr",
        "127.0.0.1:0",
        "--grpcAddr",
        "127.0.0.1:0",
        "--monitoringAddr",
        "127.0.0.1:0",
        "--ctrlz_port",
        "0",
    ];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let log = paths::logs()?.join(format!("{name}-istiod.log"));
    start_in(folder, &paths::control_plane("istio", "pilot-discovery")?, &arguments, &environment, &log)
}

/// The Helm values that templates of Istio's chart read.
fn values() -> Value {
    json!({
        "revision": "",
        "gateways": {},
        "pilot": {},
        "global": {
            "hub": "docker.io/istio",
            "tag": "test",
            "istioNamespace": "istio-system",
            "pilotCertProvider": "istiod",
            "caName": "",
            "caAddress": "",
            "logAsJson": false,
            "imagePullPolicy": "",
            "imagePullSecrets": [],
            "meshID": "",
            "network": "",
            "trustDomain": "",
            "platform": "",
            "waypoint": {},
            "logging": {"level": "default:info"},
            "multiCluster": {"clusterName": ""},
            "sds": {"token": {"aud": "istio-ca"}},
            "sts": {"servicePort": 0},
            "proxy": {
                "image": "proxyv2",
                "clusterDomain": "cluster.local",
                "logLevel": "warning",
                "componentLogLevel": "misc:error",
            },
        },
    })
}

fn write(folder: &Path, file: &str, content: &Value) -> Result<()> {
    write_text(folder, file, &content.to_string())
}

fn write_text(folder: &Path, file: &str, content: &str) -> Result<()> {
    let file: PathBuf = folder.join(file);
    fs::create_dir_all(file.parent().context("no folder")?)?;
    Ok(fs::write(file, content)?)
}
