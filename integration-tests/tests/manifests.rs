//! The manifests for Istio and Envoy Gateway: each kustomization is built by kubectl, each resource is checked against the schema of its
//! kind, and all of them against each other. Planted errors test each of these checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use integration_tests::manifests::{Manifests, envoy_gateway, istio, schemas};
use integration_tests::paths;
use serde::Deserialize;
use serde_json::{Value, json};

/// If this failed, the API server would reject these manifests, or, with a misspelt field, silently do something else.
#[test]
fn every_resource_is_one_by_the_schema_of_its_kind() -> Result<()> {
    let mut resources = Vec::new();
    for folder in FOLDERS {
        let manifests = Manifests::build(folder)?;
        assert!(manifests.resources().len() > 8, "{folder}: {}", manifests.resources().len());
        resources.extend(deployments(&manifests));
        resources.extend_from_slice(manifests.resources());
    }
    for (resource, errors) in resources.iter().zip(schemas::errors(&resources)?) {
        assert!(errors.is_empty(), "{} {}: {errors:?}", resource["kind"], resource["metadata"]);
    }
    Ok(())
}

/// Errors that have to be found, by folder: kind, name, JSON pointer and value.
#[derive(Deserialize)]
struct Planted {
    schemas: BTreeMap<String, Vec<(String, String, String, Value)>>,
    references: BTreeMap<String, Vec<(String, String, String, Value)>>,
}

impl Planted {
    fn read() -> Result<Self> {
        serde_saphyr::from_str(include_str!("manifests/planted.yaml")).context("planted.yaml")
    }
}

/// If this failed, the schemas would prove nothing: an error would pass them.
#[test]
fn a_misspelt_field_and_a_wrong_type_are_found_in_every_api() -> Result<()> {
    let (mut resources, mut places) = (Vec::new(), Vec::new());
    for (folder, planted) in Planted::read()?.schemas {
        let manifests = Manifests::build(&folder)?;
        for (kind, name, pointer, value) in planted {
            let named = if pointer == "/kind" { text(&value).to_owned() } else { kind.clone() };
            let changed = manifests.with(&kind, &name, &pointer, value)?;
            resources.push(changed.named(&named, &name)?.clone());
            places.push(format!("{folder}: {kind} {pointer}"));
        }
    }
    for (errors, place) in schemas::errors(&resources)?.iter().zip(places) {
        assert!(!errors.is_empty(), "{place}: not found");
    }
    Ok(())
}

/// If this failed, a reference in one resource would dangle: no filter at the gateway, no cluster to call, no secret, or services that
/// refuse what the ingress forwards.
#[test]
fn what_resources_say_of_each_other_is_true() -> Result<()> {
    for folder in ISTIO {
        assert_eq!(istio::errors(&Manifests::build(folder)?), [""; 0], "{folder}");
    }
    assert_eq!(envoy_gateway::errors(&Manifests::build(ENVOY_GATEWAY)?), [""; 0]);
    Ok(())
}

/// If one of these were not found, the test above would prove nothing about it.
#[test]
fn what_would_not_be_true_is_found() -> Result<()> {
    let mut all = Planted::read()?.references;
    let options =
        Manifests::build(EXTERNAL)?.named("ConfigMap", "ingress-options")?["data"]["deployment"].clone();
    for (before, after) in [("istio-proxy", "proxy"), ("CLIENT_SECRET", "SECRET")] {
        let [kind, name, pointer] = ["ConfigMap", "ingress-options", "/data/deployment"].map(str::to_owned);
        let value = json!(text(&options).replace(before, after));
        all.entry(EXTERNAL.to_owned()).or_default().push((kind, name, pointer, value));
    }
    for (folder, planted) in all {
        let manifests = Manifests::build(&folder)?;
        let is_istio = folder.starts_with("istio/");
        let errors = if is_istio { istio::errors } else { envoy_gateway::errors };
        for (kind, name, pointer, value) in planted {
            let errors = errors(&manifests.with(&kind, &name, &pointer, value.clone())?);
            assert!(!errors.is_empty(), "{folder}: {kind} {pointer} {value}: not found");
        }
    }
    Ok(())
}

/// If this failed, one form of the filter's resource would have been changed and the other forgotten.
#[test]
fn the_traffic_extension_says_what_the_wasm_plugin_says() -> Result<()> {
    let (plugin, extension) = (Manifests::build(EXTERNAL)?, Manifests::build(TRAFFIC_EXTENSION)?);
    let plugin = istio::filter(&plugin).context("no filter")?.resource["spec"].clone();
    let mut extension = istio::filter(&extension).context("no filter")?.resource["spec"].clone();
    let mut flat = extension["wasm"].take();
    for field in ["targetRefs", "phase"] {
        flat[field] = extension[field].take();
    }
    assert_eq!(flat, plugin);
    Ok(())
}

/// If this failed, streams would be cut, or clients that are pages would lose their sessions or fall back to an older revision.
#[test]
fn r277_the_examples_for_mcp_let_streams_last_and_name_its_fields() -> Result<()> {
    for folder in [ISTIO_MCP, ENVOY_GATEWAY_MCP] {
        let manifests = Manifests::build(folder)?;
        let route = manifests.named("HTTPRoute", "notes")?["spec"]["rules"][0].clone();
        assert_eq!(route["timeouts"]["request"], "0s", "{folder}");
        let cors = match manifests.named("SecurityPolicy", "notes") {
            Ok(policy) => policy["spec"]["cors"].clone(),
            Err(_) => route["filters"][0]["cors"].clone(),
        };
        let has =
            |list: &str, name: &str| cors[list].as_array().is_some_and(|list| list.contains(&json!(name)));
        for field in ["authorization", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"] {
            assert!(has("allowHeaders", field), "{folder}: {field}");
        }
        for field in ["www-authenticate", "mcp-session-id"] {
            assert!(has("exposeHeaders", field), "{folder}: {field}");
        }
    }
    assert_eq!(envoy_gateway::errors(&Manifests::build(ENVOY_GATEWAY_MCP)?), [""; 0]);
    Ok(())
}

/// If this failed, a file would look as if it were applied although no test has seen it.
#[test]
fn every_file_belongs_to_a_kustomization() -> Result<()> {
    for folder in FOLDERS.iter().chain(&["istio/base"]) {
        let folder = paths::root().join(folder);
        let text = std::fs::read_to_string(folder.join(KUSTOMIZATION))?;
        let kustomization: Value = serde_saphyr::from_str(&text)?;
        let listed = |field: &str| kustomization[field].as_array().cloned().unwrap_or_default();
        let resources = listed("resources").into_iter().filter_map(|one| one.as_str().map(str::to_owned));
        let patches = listed("patches").into_iter().filter_map(|one| one["path"].as_str().map(str::to_owned));
        let named: BTreeSet<String> =
            resources.chain(patches).filter(|name| !name.starts_with("..")).collect();
        assert_eq!(files(&folder)?, named, "{}", folder.display());
    }
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Result<BTreeSet<String>> = names.collect();
    Ok(names?.into_iter().filter(|name| name != KUSTOMIZATION).collect())
}

/// Returns what Istio merges into Deployments, completed to whole Deployments.
fn deployments(manifests: &Manifests) -> Vec<Value> {
    let patches = manifests.of_kind("Gateway").map(|gateway| istio::deployment(manifests, gateway));
    let whole = |mut patch: Value| {
        patch["apiVersion"] = json!("apps/v1");
        patch["kind"] = json!("Deployment");
        patch["metadata"] = json!({"name": "gateway"});
        patch["spec"]["selector"] = json!({});
        patch
    };
    patches.filter(Value::is_object).map(whole).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const EXTERNAL: &str = "istio/overlays/external-authorization-server";
const IN_CLUSTER: &str = "istio/overlays/in-cluster-authorization-server";
const WAYPOINT: &str = "istio/overlays/waypoint";
const TRAFFIC_EXTENSION: &str = "istio/overlays/traffic-extension";
const ENVOY_GATEWAY: &str = "envoy-config/envoy-gateway";
const ISTIO_MCP: &str = "istio/overlays/mcp";
const ENVOY_GATEWAY_MCP: &str = "envoy-config/envoy-gateway-mcp";
const ISTIO: [&str; 5] = [EXTERNAL, IN_CLUSTER, WAYPOINT, TRAFFIC_EXTENSION, ISTIO_MCP];
const FOLDERS: [&str; 7] =
    [EXTERNAL, IN_CLUSTER, WAYPOINT, TRAFFIC_EXTENSION, ISTIO_MCP, ENVOY_GATEWAY, ENVOY_GATEWAY_MCP];
const KUSTOMIZATION: &str = "kustomization.yaml";
