//! The manifests for Istio and Envoy Gateway: each kustomization is built by kubectl, each resource judged by the schema of its
//! kind, and all of them by what they say of each other. Each judge is judged by planted errors.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use integration_tests::manifests::{Manifests, envoy_gateway, istio, schemas};
use integration_tests::paths;
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

/// If this failed, the schemas would prove nothing: an error would pass them.
#[test]
fn a_misspelt_field_and_a_wrong_type_are_found_in_every_api() -> Result<()> {
    let istio = Manifests::build(WAYPOINT)?;
    let extension = Manifests::build(TRAFFIC_EXTENSION)?;
    let in_cluster = Manifests::build(IN_CLUSTER)?;
    let envoy_gateway = Manifests::build(ENVOY_GATEWAY)?;
    let env = "/spec/provider/kubernetes/envoyDeployment/container/env/0/valueFrom/secretRef";
    let planted = [
        (&istio, "WasmPlugin", "phantom-token", "/spec/failStratgy", json!("FAIL_CLOSE")),
        (&istio, "WasmPlugin", "phantom-token", "/spec/failStrategy", json!("FAIL_CLOSED")),
        (&istio, "WasmPlugin", "phantom-token", "/spec/vmConfig/env/0/valueFrom", json!("ENV")),
        (&istio, "WasmPlugin", "phantom-token", "/spec/priority", json!("10")),
        (&istio, "ServiceEntry", "authorization-server", "/spec/ports/0/number", json!("443")),
        (&istio, "DestinationRule", "authorization-server", "/spec/trafficPolicy/tls/mode", json!("TLS")),
        (
            &istio,
            "RequestAuthentication",
            "phantom-token",
            "/spec/jwtRules/0/audience",
            json!(["orders-api"]),
        ),
        (
            &istio,
            "AuthorizationPolicy",
            "orders",
            "/spec/rules/0/from/0/source/requestPrincipal",
            json!(["x"]),
        ),
        (&istio, "PeerAuthentication", "strict", "/spec/mtls/mode", json!("REQUIRED")),
        (&istio, "EnvoyFilter", "edge", "/spec/configPatches/0/patch/operation", json!("REPLACE_ALL")),
        (&istio, "Gateway", "ingress", "/spec/infrastructure/parameterRef", json!({})),
        (&istio, "HTTPRoute", "orders", "/spec/rules/0/backendRefs/0/port", json!("8080")),
        (&istio, "Service", "orders", "/spec/port", json!([])),
        (&extension, "TrafficExtension", "phantom-token", "/spec/url", json!("oci://registry.example.com")),
        (&extension, "TrafficExtension", "phantom-token", "/spec/wasm/failStrategy", json!("CLOSED")),
        (&in_cluster, "NetworkPolicy", "introspection", "/spec/ingress/0/From", json!([])),
        (&envoy_gateway, "EnvoyProxy", "ingress", env, json!({})),
        (&envoy_gateway, "EnvoyProxy", "ingress", "/spec/filterOrder/0/name", json!("wasm")),
        (&envoy_gateway, "EnvoyExtensionPolicy", "phantom-token", "/spec/wasm/0/env/hostkeys", json!([])),
        (&envoy_gateway, "EnvoyExtensionPolicy", "phantom-token", "/spec/wasm/0/failOpen", json!("no")),
        (
            &envoy_gateway,
            "EnvoyPatchPolicy",
            "authorization-server",
            "/spec/jsonPatches/0/operation/op",
            json!("put"),
        ),
        (&envoy_gateway, "ClientTrafficPolicy", "ingress", "/spec/timeout/http/streamTimeout", json!("30s")),
        (&envoy_gateway, "GatewayClass", "envoy", "/kind", json!("GatewayKlass")),
    ];
    let mut resources = Vec::new();
    for (manifests, kind, name, pointer, value) in &planted {
        let named = if pointer == &"/kind" { text(value) } else { *kind };
        let changed = manifests.with(kind, name, pointer, value.clone())?;
        resources.push(changed.named(named, name)?.clone());
    }
    for (errors, (_, kind, _, pointer, _)) in schemas::errors(&resources)?.iter().zip(&planted) {
        assert!(!errors.is_empty(), "{kind} {pointer}: not found");
    }
    Ok(())
}

/// If this failed, a name in one resource would lead nowhere in another: no filter at the gateway, no cluster to ask, no secret,
/// or services that refuse what the ingress forwards.
#[test]
fn what_resources_say_of_each_other_is_true() -> Result<()> {
    for folder in ISTIO {
        assert_eq!(istio::errors(&Manifests::build(folder)?), [""; 0], "{folder}");
    }
    assert_eq!(envoy_gateway::errors(&Manifests::build(ENVOY_GATEWAY)?), [""; 0]);
    Ok(())
}

/// If one of these were not found, the test before would prove nothing about it.
#[test]
fn what_istio_would_not_say_is_found() -> Result<()> {
    let external = Manifests::build(EXTERNAL)?;
    let plugin = |pointer, value| ("WasmPlugin", "phantom-token", pointer, value);
    let policy = |pointer, value| ("AuthorizationPolicy", "orders", pointer, value);
    let jwt_rule = |pointer, value| ("RequestAuthentication", "phantom-token", pointer, value);
    let deployment = text(&external.named("ConfigMap", "ingress-options")?["data"]["deployment"]).to_owned();
    for (kind, name, pointer, value) in [
        plugin("/spec/pluginConfig/rules/1/scope", json!(["orders:read"])),
        plugin("/spec/pluginConfig/rules/0/path", json!("health")),
        plugin("/spec/pluginConfig/rules/0/path", json!("/ready")),
        plugin("/spec/pluginConfig/introspection/upstream", json!("outbound|443||login.example.org")),
        plugin("/spec/pluginConfig/introspection/upstream", json!("outbound|8443||login.example.com")),
        plugin("/spec/pluginConfig/introspection/upstream", json!("login.example.com")),
        plugin("/spec/pluginConfig/introspection/endpoint", json!("https://login.example.org/introspect")),
        plugin("/spec/pluginConfig/introspection/client_secret/env", json!("CLIENT_SECRET")),
        plugin("/spec/pluginConfig/token/issuer", json!("https://login.example.com/")),
        plugin("/spec/pluginConfig/token/audience", json!(["orders"])),
        plugin("/spec/vmConfig/env/0/name", json!("CLIENT_SECRET")),
        plugin("/spec/vmConfig/env/0/valueFrom", json!("INLINE")),
        plugin("/spec/phase", json!("AUTHZ")),
        plugin("/spec/failStrategy", json!("FAIL_OPEN")),
        plugin("/spec/targetRefs/0/name", json!("gateway")),
        plugin("/metadata/namespace", json!("orders")),
        (
            "ConfigMap",
            "ingress-options",
            "/data/deployment",
            json!(deployment.replace("istio-proxy", "proxy")),
        ),
        (
            "ConfigMap",
            "ingress-options",
            "/data/deployment",
            json!(deployment.replace("CLIENT_SECRET", "SECRET")),
        ),
        ("Gateway", "ingress", "/spec/infrastructure/parametersRef/name", json!("options")),
        ("Gateway", "ingress", "/spec/listeners/0/hostname", json!("api.example.org")),
        ("EnvoyFilter", "edge", "/spec/targetRefs/0/name", json!("gateway")),
        ("ServiceEntry", "authorization-server", "/spec/hosts/0", json!("login.example.org")),
        ("ServiceEntry", "authorization-server", "/spec/ports/0/number", json!(8443)),
        ("ServiceEntry", "authorization-server", "/spec/ports/0/protocol", json!("HTTPS")),
        ("DestinationRule", "authorization-server", "/spec/host", json!("login.example.org")),
        ("DestinationRule", "authorization-server", "/metadata/namespace", json!("orders")),
        ("DestinationRule", "authorization-server", "/spec/trafficPolicy/tls/mode", json!("DISABLE")),
        ("DestinationRule", "authorization-server", "/spec/trafficPolicy/tls/subjectAltNames", json!([])),
        jwt_rule("/spec/jwtRules/0/issuer", json!("https://login.example.org")),
        jwt_rule("/spec/jwtRules/0/audiences", json!(["orders"])),
        jwt_rule("/spec/jwtRules/0/forwardOriginalToken", json!(false)),
        jwt_rule("/metadata/namespace", json!("istio-ingress")),
        policy(
            "/spec/rules/0/from/0/source/principals/0",
            json!("cluster.local/ns/istio-ingress/sa/ingress"),
        ),
        policy("/spec/rules/0/from/0/source/requestPrincipals/0", json!("*")),
        policy("/spec/rules/1/to/0/operation/paths/0", json!("/healthz")),
        policy("/spec/selector/matchLabels/app", json!("order")),
        ("AuthorizationPolicy", "deny-all", "/spec", json!({"rules": [{}]})),
        ("PeerAuthentication", "strict", "/spec/mtls/mode", json!("PERMISSIVE")),
        ("Namespace", "orders", "/metadata/labels/istio-injection", json!("disabled")),
        ("HTTPRoute", "orders", "/spec/parentRefs/0/sectionName", json!("http")),
        ("HTTPRoute", "orders", "/metadata/namespace", json!("order")),
        ("HTTPRoute", "orders", "/spec/rules/0/backendRefs/0/port", json!(80)),
    ] {
        let errors = istio::errors(&external.with(kind, name, pointer, value.clone())?);
        assert!(!errors.is_empty(), "{kind} {pointer} {value}: not found");
    }
    Ok(())
}

/// If one of these were not found, any workload in the cluster could introspect tokens.
#[test]
fn introspection_inside_the_cluster_is_for_the_gateway_alone() -> Result<()> {
    let in_cluster = Manifests::build(IN_CLUSTER)?;
    let network = "/spec/ingress/0/from/0";
    for (kind, name, pointer, value) in [
        ("NetworkPolicy", "introspection", "/spec/podSelector/matchLabels/app", json!("server")),
        ("NetworkPolicy", "introspection", &format!("{network}/podSelector"), Value::Null),
        ("NetworkPolicy", "introspection", "/spec/ingress/0/ports/0/port", json!(6749)),
        ("NetworkPolicy", "introspection", "/spec/ingress/0/from", json!([])),
        ("NetworkPolicy", "introspection", "/metadata/namespace", json!("orders")),
        ("AuthorizationPolicy", "introspection", "/spec/action", json!("ALLOW")),
        ("AuthorizationPolicy", "introspection", "/spec/rules/0/to/0/operation/ports/0", json!("8443")),
        ("Service", "authorization-server", "/spec/ports/0/port", json!(80)),
        ("Service", "authorization-server", "/metadata/name", json!("server")),
    ] {
        let errors = istio::errors(&in_cluster.with(kind, name, pointer, value.clone())?);
        assert!(!errors.is_empty(), "{kind} {pointer} {value}: not found");
    }
    Ok(())
}

/// If one of these were not found, requests could go around the waypoint, which alone verifies JWTs in ambient mode.
#[test]
fn in_ambient_mode_everything_comes_by_the_waypoint() -> Result<()> {
    let waypoint = Manifests::build(WAYPOINT)?;
    let targets = "/spec/targetRefs/0/name";
    for (kind, name, pointer, value) in [
        ("Namespace", "orders", "/metadata/labels", json!({"istio.io/dataplane-mode": "ambient"})),
        ("Gateway", "waypoint", "/spec/gatewayClassName", json!("istio")),
        ("Gateway", "waypoint", "/metadata/namespace", json!("istio-ingress")),
        ("Service", "orders", "/metadata/labels", json!({})),
        ("RequestAuthentication", "phantom-token", targets, json!("ingress")),
        ("AuthorizationPolicy", "orders", targets, json!("ingress")),
        ("AuthorizationPolicy", "by-waypoint", "/spec/rules/0/from", json!([])),
        ("AuthorizationPolicy", "by-waypoint", "/spec/selector", Value::Null),
        (
            "AuthorizationPolicy",
            "by-waypoint",
            "/spec/rules/0/from/0/source/principals/0",
            json!("cluster.local/ns/orders/sa/*"),
        ),
    ] {
        let errors = istio::errors(&waypoint.with(kind, name, pointer, value.clone())?);
        assert!(!errors.is_empty(), "{kind} {pointer} {value}: not found");
    }
    Ok(())
}

/// If one of these were not found, the check of Envoy Gateway's resources would prove nothing about it.
#[test]
fn what_envoy_gateway_would_not_say_is_found() -> Result<()> {
    let manifests = Manifests::build(ENVOY_GATEWAY)?;
    let filter = |pointer, value| ("EnvoyExtensionPolicy", "phantom-token", pointer, value);
    let patch = |pointer, value| ("EnvoyPatchPolicy", "authorization-server", pointer, value);
    let tls = "/spec/jsonPatches/0/operation/value/transport_socket/typed_config";
    let (sni, validation) = (format!("{tls}/sni"), format!("{tls}/common_tls_context/validation_context"));
    let env = "/spec/provider/kubernetes/envoyDeployment/container/env/0/name";
    for (kind, name, pointer, value) in [
        filter("/spec/wasm/0/config/rules/0/acess", json!("public")),
        filter("/spec/wasm/0/config/introspection/upstream", json!("server")),
        filter("/spec/wasm/0/config/introspection/endpoint", json!("https://login.example.org/introspect")),
        filter("/spec/wasm/0/env/hostKeys/0", json!("CLIENT_SECRET")),
        filter("/spec/wasm/0/failOpen", json!(true)),
        filter("/spec/targetRefs/0/name", json!("gateway")),
        filter("/metadata/namespace", json!("orders")),
        patch("/spec/targetRef/name", json!("gateway")),
        patch("/spec/jsonPatches/0/name", json!("server")),
        patch("/spec/jsonPatches/0/operation/value/name", json!("server")),
        patch(sni.as_str(), json!("login.example.org")),
        patch(validation.as_str(), Value::Null),
        ("EnvoyProxy", "ingress", env, json!("CLIENT_SECRET")),
        ("EnvoyProxy", "ingress", "/spec/filterOrder", json!([])),
        ("EnvoyProxy", "ingress", "/metadata/namespace", json!("envoy-gateway-system")),
        ("Gateway", "ingress", "/spec/gatewayClassName", json!("eg")),
        ("HTTPRoute", "orders", "/spec/parentRefs/0/namespace", json!("orders")),
    ] {
        let errors = envoy_gateway::errors(&manifests.with(kind, name, pointer, value.clone())?);
        assert!(!errors.is_empty(), "{kind} {pointer} {value}: not found");
    }
    Ok(())
}

/// If this failed, one of the two forms of the filter's resource would have been changed and the other forgotten.
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

/// If this failed, a file would look as if it were applied, and no test would have seen it.
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

/// What Istio merges into Deployments, with what every Deployment has.
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
const ISTIO: [&str; 4] = [EXTERNAL, IN_CLUSTER, WAYPOINT, TRAFFIC_EXTENSION];
const FOLDERS: [&str; 5] = [EXTERNAL, IN_CLUSTER, WAYPOINT, TRAFFIC_EXTENSION, ENVOY_GATEWAY];
const KUSTOMIZATION: &str = "kustomization.yaml";
