//! The API server of Kubernetes and its store: what it accepts and what it refuses, with no cluster behind it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::keys;
use crate::manifests::Manifests;
use crate::paths;
use crate::port::free_port;
use crate::process::Process;
use crate::secrets;

pub struct ApiServer {
    _server: Process,
    _store: Process,
    folder: TempDir,
    port: u16,
}

/// The issuer of service account tokens. The API server publishes its keys.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

impl ApiServer {
    /// Starts the API server with its store, both empty.
    pub async fn start(name: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let in_folder = |file: &str| folder.path().join(file).display().to_string();
        let url = || Ok::<_, anyhow::Error>(format!("http://127.0.0.1:{}", free_port()?));
        let (store_url, peer_url, port) = (url()?, url()?, free_port()?);
        let store = start(
            name,
            "etcd",
            &[
                ("--data-dir", &in_folder("etcd")),
                ("--listen-client-urls", &store_url),
                ("--advertise-client-urls", &store_url),
                ("--listen-peer-urls", &peer_url),
                ("--initial-advertise-peer-urls", &peer_url),
                ("--initial-cluster", &format!("default={peer_url}")),
            ],
        )?;
        let token = secrets::fresh_token("kubernetes");
        std::fs::write(in_folder("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        // The API server cannot read the public key from a PKCS#8 private key, so it gets both.
        std::fs::write(in_folder("accounts.pem"), keys::p256_pem())?;
        std::fs::write(in_folder("accounts-public.pem"), keys::p256_public_pem())?;
        let server = start(
            name,
            "kube-apiserver",
            &[
                ("--etcd-servers", &store_url),
                ("--bind-address", "127.0.0.1"),
                ("--secure-port", &port.to_string()),
                ("--cert-dir", &in_folder("certificates")),
                ("--token-auth-file", &in_folder("tokens.csv")),
                ("--authorization-mode", "RBAC"),
                ("--service-account-issuer", ISSUER),
                ("--service-account-key-file", &in_folder("accounts-public.pem")),
                ("--service-account-signing-key-file", &in_folder("accounts.pem")),
                ("--service-cluster-ip-range", "10.96.0.0/16"),
            ],
        )?;
        let new = Self { _server: server, _store: store, folder, port };
        // JSON is YAML.
        let configuration = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        });
        std::fs::write(new.kubeconfig(), configuration.to_string())?;
        eventually("the API server is ready", async || {
            Ok(new.kubectl(&["get", "--raw", "/readyz"], "").is_ok())
        })
        .await?;
        Ok(new)
    }

    /// The path of the administrator's `kubeconfig`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The port on which the API server listens, over TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of the server certificate, which is also valid for `kubernetes.default.svc`, and its issuer's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    /// Adds the API of a control plane: all CustomResourceDefinitions in this folder.
    pub fn define(&self, definitions: &Path) -> Result<()> {
        let folder = definitions.display().to_string();
        self.kubectl(&["apply", "--server-side", "--filename", &folder], "")?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], "")?;
        Ok(())
    }

    /// Applies resources. Unknown fields are errors rather than warnings.
    ///
    /// # Errors
    /// If the API server refuses a resource.
    pub fn apply(&self, manifests: &Manifests) -> Result<()> {
        let apply = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename", "-"];
        self.kubectl(&apply, &manifests.to_yaml())?;
        Ok(())
    }

    pub fn delete(&self, manifests: &Manifests) -> Result<()> {
        self.kubectl(&["delete", "--filename", "-"], &manifests.to_yaml())?;
        Ok(())
    }

    /// Returns a resource as the API server has it. `None` if it does not exist.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let get = ["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "json"];
        let found = self.kubectl(&get, "")?;
        if found.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&found)?)) }
    }

    /// Runs `kubectl` with these arguments and this input, and returns its output.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut process = Command::new(paths::kubectl()?)
            .args(["--kubeconfig".as_ref(), self.kubeconfig().as_os_str()])
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        process.stdin.take().context("no input")?.write_all(input.as_bytes())?;
        let output = process.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn start(name: &str, program: &str, options: &[(&str, &str)]) -> Result<Process> {
    let arguments: Vec<String> = options.iter().map(|(option, value)| format!("{option}={value}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = paths::logs()?.join(format!("{name}-{program}.log"));
    Process::start(&paths::control_plane("kubernetes", program)?, &arguments, &[], &log)
}
