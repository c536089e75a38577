//! Envoy Gateway: its translator, and the whole of it on one machine, without Kubernetes (provider `Custom`: resources from a file, Envoy
//! as a process of this host). It listens on fixed ports, so only one can run at a time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::envoy::Envoy;
use crate::manifests::Manifests;
use crate::paths;

/// Translates the resources of one Gateway with `egctl experimental translate`, with this certificate. Returns the configuration dump of
/// its Envoy.
///
/// # Errors
/// If `egctl` finds a resource invalid, or there is not exactly one Gateway.
pub fn translate(manifests: &Manifests, certificate: &Certificate) -> Result<Value> {
    let mut manifests = in_files(manifests, certificate)?;
    for service in manifests.names("Service") {
        manifests = manifests.with("Service", &service, "/spec/clusterIP", json!("10.96.0.10"))?;
    }
    let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    fs::write(file.path(), manifests.to_yaml())?;
    let output = Command::new(paths::control_plane("envoy-gateway", "egctl")?)
        .args([
            "experimental",
            "translate",
            "--from",
            "gateway-api",
            "--to",
            "xds",
            "--output",
            "json",
            "--file",
        ])
        .arg(file.path())
        .output()?;
    ensure!(output.status.success(), "egctl: {}", String::from_utf8_lossy(&output.stderr));
    let mut translated: Value = serde_json::from_slice(&output.stdout)?;
    let gateways = translated["xds"].as_object_mut().context("egctl made no xDS")?;
    ensure!(gateways.len() == 1, "not one Gateway");
    gateways.values_mut().next().map(Value::take).context("no Gateway")
}

/// Where the components that the manifests name are on this host.
pub struct Places<'a> {
    /// The port of loopback where the Gateway is to listen.
    pub gateway: u16,
    /// The port of the API, and of every other service.
    pub api: u16,
    /// The port of the authorization server, over TLS.
    pub login: u16,
    /// The authority that signed the authorization server's certificate.
    pub trusted: &'a CertificateAuthority,
    /// The Gateway's own certificate.
    pub certificate: &'a Certificate,
}

/// Envoy Gateway, which runs as long as its Envoy is held.
pub struct EnvoyGateway {
    folder: PathBuf,
}

impl EnvoyGateway {
    /// Starts Envoy Gateway with these resources, and waits until this listener of its Envoy serves. Both processes have these environment
    /// variables.
    pub async fn start(
        name: &str,
        manifests: &Manifests,
        places: &Places<'_>,
        environment: &[(&str, &str)],
        listener: &str,
    ) -> Result<(Self, Envoy)> {
        let program = paths::control_plane("envoy-gateway", "envoy-gateway")?;
        let home = TempDir::new()?;
        let folder = home.path().to_owned();
        let in_folder = |name: &str| folder.join(name).display().to_string();
        let certificates = Command::new(&program)
            .args(["certgen", "--local", "--config-home", &in_folder("config")])
            .output()
            .context("cannot start envoy-gateway")?;
        ensure!(certificates.status.success(), "certgen: {}", String::from_utf8_lossy(&certificates.stderr));
        install_envoy(&folder.join("data"))?;
        let new = Self { folder: folder.clone() };
        fs::create_dir(folder.join("resources"))?;
        new.apply(manifests, places)?;
        // JSON is YAML.
        let configuration = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
            "provider": {"type": "Custom", "custom": {
                "resource": {"type": "File", "file": {"paths": [in_folder("resources")]}},
                "infrastructure": {"type": "Host", "host": {
                    "configHome": in_folder("config"),
                    "dataHome": in_folder("data"),
                    "stateHome": in_folder("state"),
                    "runtimeDir": in_folder("run"),
                }},
            }},
            "extensionApis": {"enableBackend": true, "enableEnvoyPatchPolicy": true},
        });
        fs::write(folder.join("envoy-gateway.yaml"), configuration.to_string())?;
        let settings = in_folder("envoy-gateway.yaml");
        // Envoy Gateway caches filters in its user's home directory.
        let home_folder = in_folder("home");
        let environment = [environment, &[("HOME", home_folder.as_str())]].concat();
        let log = paths::logs()?.join(format!("{name}-envoy.log"));
        let process =
            super::start_in(&folder, &program, &["server", "--config-path", &settings], &environment, &log)?;
        Ok((new, Envoy::started_by(process, name, home, &[listener]).await?))
    }

    /// Replaces all resources. Envoy Gateway notices by itself, and merges each into the one of its name: omitted fields keep their values.
    pub fn apply(&self, manifests: &Manifests, places: &Places<'_>) -> Result<()> {
        let (next, file) = (self.folder.join("next.yaml"), self.folder.join("resources/resources.yaml"));
        fs::write(&next, self.on_this_host(manifests, places)?.to_yaml())?;
        Ok(fs::rename(next, file)?)
    }

    /// Adapts the resources to a host without Kubernetes: ports and addresses, Services and their backends, and what the API server and the
    /// job of the Helm chart would have added.
    fn on_this_host(&self, manifests: &Manifests, places: &Places<'_>) -> Result<Manifests> {
        let cluster = "/spec/jsonPatches/0/operation/value";
        let address =
            format!("{cluster}/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address");
        let trusted = format!(
            "{cluster}/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca"
        );
        let admin = self.folder.join("admin").display().to_string();
        let arguments = ["--admin-address-path", &admin, "--file-flush-interval-msec", "50"];
        let patch = "authorization-server";
        let mut on_this_host = in_files(manifests, places.certificate)?;
        for route in manifests.names("HTTPRoute") {
            let backend = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": route}]);
            on_this_host =
                on_this_host.with("HTTPRoute", &route, "/spec/rules/0/backendRefs", backend)?.and(json!({
                    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                    "kind": "Backend",
                    "metadata": {"name": route, "namespace": "orders"},
                    "spec": {"endpoints": [{"ip": {"address": "127.0.0.1", "port": places.api}}]},
                }));
        }
        Ok(on_this_host
            .with(
                "EnvoyProxy",
                "ingress",
                "/spec/provider",
                json!({
                    "type": "Host", "host": {"envoyVersion": ENVOY_VERSION},
                }),
            )?
            .with("EnvoyProxy", "ingress", "/spec/extraArgs", json!(arguments))?
            .with("Gateway", "ingress", "/spec/listeners/0/port", json!(places.gateway))?
            .with(
                "EnvoyPatchPolicy",
                patch,
                &address,
                json!({"address": "127.0.0.1", "port_value": places.login}),
            )?
            .with("EnvoyPatchPolicy", patch, &trusted, json!({"inline_string": places.trusted.pem()}))?
            .and(self.client_certificate()?)
            .and(wasm_cluster(&self.folder.join("config/certs/envoy/ca.crt").display().to_string())))
    }

    /// The client certificate with which Envoy fetches the filter. `certgen` has issued it.
    fn client_certificate(&self) -> Result<Value> {
        let of_envoy = |name| fs::read_to_string(self.folder.join("config/certs/envoy").join(name));
        Ok(tls_secret(
            "envoy-gateway-system",
            "envoy",
            &[
                ("ca.crt", of_envoy("ca.crt")?),
                ("tls.crt", of_envoy("tls.crt")?),
                ("tls.key", of_envoy("tls.key")?),
            ],
        ))
    }
}

/// Adds what Envoy Gateway does not find in files: the Gateway's certificate, and a match for the labels of Namespaces, of which it reads
/// only the names.
fn in_files(manifests: &Manifests, certificate: &Certificate) -> Result<Manifests> {
    let everywhere = json!({"from": "All"});
    let files = [("tls.crt", certificate.pem()), ("tls.key", certificate.key_pem())];
    Ok(manifests
        .with("Gateway", "ingress", "/spec/listeners/0/allowedRoutes/namespaces", everywhere)?
        .and(tls_secret("ingress", "api-example-com", &files)))
}

/// Puts Envoy where Envoy Gateway looks for it before downloading it.
fn install_envoy(data: &Path) -> Result<()> {
    let folder = data.join("envoy-versions").join(ENVOY_VERSION).join("bin");
    fs::create_dir_all(&folder)?;
    Ok(symlink(paths::envoy()?.canonicalize()?, folder.join("envoy"))?)
}

/// A TLS Secret as the API server stores it.
fn tls_secret(namespace: &str, name: &str, files: &[(&str, String)]) -> Value {
    let data: Map<String, Value> =
        files.iter().map(|(name, content)| ((*name).to_owned(), json!(STANDARD.encode(content)))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": data,
    })
}

/// Patches the cluster from which Envoys fetch filters. It names Envoy Gateway's Service, which no DNS server of this host knows, and
/// trusts an authority in a file of Envoy's container.
fn wasm_cluster(authority: &str) -> Value {
    let replace = |path: &str, value: &str| {
        json!({
            "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "wasm_cluster",
            "operation": {"op": "replace", "path": path, "value": value},
        })
    };
    let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
    let trusted = "/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca/filename";
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "wasm-cluster", "namespace": "ingress"},
        "spec": {
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ingress"},
            "type": "JSONPatch",
            "jsonPatches": [replace(address, "127.0.0.1"), replace(trusted, authority)],
        },
    })
}

/// The name that Envoy Gateway has for the tests' Envoy: its folder.
const ENVOY_VERSION: &str = "1.40.0";
