//! Kubernetes manifests as an API server would receive them: built by the real `kubectl kustomize`, validated by the real schemas and by
//! the references between resources.

pub mod envoy_gateway;
pub mod istio;
pub mod istiod;
pub mod schemas;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use phantom_token_core::Settings;
use serde_json::Value;

use crate::paths;

/// The resources of one kustomization.
#[derive(Clone, Debug)]
pub struct Manifests {
    resources: Vec<Value>,
}

impl Manifests {
    /// Builds the kustomization in this folder of the checkout.
    pub fn build(folder: &str) -> Result<Self> {
        let output = Command::new(paths::kubectl()?)
            .args(["kustomize", folder])
            .current_dir(paths::root())
            .output()
            .context("cannot start kubectl")?;
        ensure!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
        let resources = serde_saphyr::from_multiple(&String::from_utf8(output.stdout)?)?;
        Ok(Self { resources })
    }

    pub fn resources(&self) -> &[Value] {
        &self.resources
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.resources.iter().filter(move |resource| resource["kind"] == kind)
    }

    /// The resource of this kind and name, in this namespace if it has one.
    pub fn find(&self, kind: &str, namespace: &Value, name: &Value) -> Option<&Value> {
        self.of_kind(kind).find(|resource| {
            resource["metadata"]["name"] == *name && resource["metadata"]["namespace"] == *namespace
        })
    }

    /// The resource of this kind and name, in any namespace.
    pub fn named(&self, kind: &str, name: &str) -> Result<&Value> {
        let found = self.of_kind(kind).find(|resource| resource["metadata"]["name"] == name);
        found.with_context(|| format!("no {kind} {name}"))
    }

    /// Returns the manifests with one value of one resource changed, as tests do to introduce errors.
    pub fn with(&self, kind: &str, name: &str, pointer: &str, value: Value) -> Result<Self> {
        let mut changed = self.clone();
        let resource = changed
            .resources
            .iter_mut()
            .find(|resource| resource["kind"] == kind && resource["metadata"]["name"] == name)
            .with_context(|| format!("no {kind} {name}"))?;
        let (parent, member) = pointer.rsplit_once('/').context("not a pointer")?;
        let parent = resource.pointer_mut(parent).with_context(|| format!("no {parent} in {kind} {name}"))?;
        match parent {
            Value::Array(entries) => {
                *entries.get_mut(member.parse::<usize>()?).context("no such entry")? = value;
            }
            _ => parent[member] = value,
        }
        Ok(changed)
    }

    /// Returns the manifests with another resource.
    #[must_use]
    pub fn and(mut self, resource: Value) -> Self {
        self.resources.push(resource);
        self
    }

    /// Returns the manifests without those resources that `others` also has.
    #[must_use]
    pub fn without(mut self, others: &Self) -> Self {
        let is_other = |one: &Value| {
            let metadata = &one["metadata"];
            one["kind"]
                .as_str()
                .is_some_and(|kind| others.find(kind, &metadata["namespace"], &metadata["name"]).is_some())
        };
        self.resources.retain(|one| !is_other(one));
        self
    }

    /// The names of all resources of a kind.
    pub fn names(&self, kind: &str) -> Vec<String> {
        self.of_kind(kind).map(|resource| text(&resource["metadata"]["name"]).to_owned()).collect()
    }

    /// Returns the resources as YAML, one document for each.
    pub fn to_yaml(&self) -> String {
        // JSON is YAML.
        self.resources.iter().map(|resource| format!("---\n{resource}\n")).collect()
    }

    /// Reports routes without a listener of a Gateway or a Service behind them, and namespaces that no resource creates.
    fn loose_ends(&self, errors: &mut Errors) {
        for resource in &self.resources {
            let namespace = &resource["metadata"]["namespace"];
            let is_made = self.of_kind("Namespace").any(|one| one["metadata"]["name"] == *namespace);
            errors.unless(namespace.is_null() || is_made, || format!("no Namespace {namespace}"));
        }
        for route in self.of_kind("HTTPRoute") {
            let hosts = &route["spec"]["hostnames"];
            for parent in entries(&route["spec"]["parentRefs"]) {
                let leads_there =
                    self.find("Gateway", &parent["namespace"], &parent["name"]).is_some_and(|gateway| {
                        let admits = admits(gateway, &parent["sectionName"], &route["metadata"]["namespace"]);
                        admits
                            && entries(hosts)
                                .iter()
                                .all(|host| publishes(gateway, &parent["sectionName"], host))
                    });
                errors.unless(leads_there, || format!("no listener for the route: {parent} {hosts}"));
            }
            for backend in
                entries(&route["spec"]["rules"]).iter().flat_map(|rule| entries(&rule["backendRefs"]))
            {
                let service = self.find("Service", &route["metadata"]["namespace"], &backend["name"]);
                let has_port = service.is_some_and(|service| has_port(service, &backend["port"]));
                errors.unless(has_port, || format!("no Service for the route: {backend}"));
            }
        }
    }
}

/// Descriptions of inconsistencies.
#[derive(Debug, Default)]
pub struct Errors(Vec<String>);

impl Errors {
    pub fn into_inner(self) -> Vec<String> {
        self.0
    }

    fn unless(&mut self, is_right: bool, error: impl FnOnce() -> String) {
        if !is_right {
            self.0.push(error());
        }
    }

    /// Parses the configuration as a filter that may read these environment variables.
    fn parse(&mut self, configuration: &Value, variables: &[&Value]) {
        let environment =
            |name: &str| variables.iter().any(|known| **known == name).then(|| SECRET.to_owned());
        let parsed = Settings::parse(configuration.to_string().as_bytes(), &environment);
        self.unless(parsed.is_ok(), || format!("the filter's configuration: {:?}", parsed.err()));
        for rule in entries(&configuration["rules"]) {
            let is_for_one = !has_several_audiences(configuration)
                || rule["access"] == "public"
                || rule["audience"].is_array();
            self.unless(is_for_one, || format!("for the tokens of every audience: {rule}"));
        }
    }
}

fn listeners<'a>(gateway: &'a Value, section: &'a Value) -> impl Iterator<Item = &'a Value> {
    entries(&gateway["spec"]["listeners"]).iter().filter(move |listener| listener["name"] == *section)
}

fn publishes(gateway: &Value, section: &Value, host: &Value) -> bool {
    listeners(gateway, section).any(|listener| listener["hostname"] == *host)
}

fn admits(gateway: &Value, section: &Value, namespace: &Value) -> bool {
    listeners(gateway, section).any(|listener| {
        listener["allowedRoutes"]["namespaces"]["selector"]["matchLabels"][NAMESPACE_LABEL] == *namespace
    })
}

fn has_port(service: &Value, port: &Value) -> bool {
    entries(&service["spec"]["ports"]).iter().any(|one| one["port"] == *port)
}

fn targets(policy: &Value, kind: &str, name: &Value) -> bool {
    entries(&policy["spec"]["targetRefs"])
        .iter()
        .any(|target| target["kind"] == kind && target["name"] == *name)
}

/// Whether the filter's tokens are for several services, so that each rule has to name its audience.
fn has_several_audiences(configuration: &Value) -> bool {
    entries(&configuration["token"]["audience"]).len() > 1
}

/// The environment variables that come from a Secret.
fn secret_variables(container: &Value) -> Vec<&Value> {
    let from_secret = |one: &&Value| one["valueFrom"]["secretKeyRef"]["name"].is_string();
    entries(&container["env"]).iter().filter(from_secret).map(|one| &one["name"]).collect()
}

fn entries(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The host and port of a URL.
fn origin(url: &str) -> Option<(&str, u64)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, if scheme == "https" { 443 } else { 80 })),
    }
}

const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
const SECRET: &str = "a-secret-of-32-characters-at-least";
