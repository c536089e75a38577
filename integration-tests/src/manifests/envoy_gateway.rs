//! References between the resources of Envoy Gateway.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Errors, Manifests, entries, origin, secret_variables, targets, text};
use crate::paths;

/// Returns the inconsistencies between the resources.
pub fn errors(manifests: &Manifests) -> Vec<String> {
    let mut errors = Errors::default();
    manifests.loose_ends(&mut errors);
    let policies: Vec<&Value> = manifests.of_kind("EnvoyExtensionPolicy").collect();
    let gateways: Vec<&Value> = manifests.of_kind("Gateway").collect();
    let ([policy], [gateway]) = (policies.as_slice(), gateways.as_slice()) else {
        return vec!["not one Gateway with one policy".to_owned()];
    };
    let (namespace, name) = (&gateway["metadata"]["namespace"], &gateway["metadata"]["name"]);
    let is_at_gateway = policy["metadata"]["namespace"] == *namespace && targets(policy, "Gateway", name);
    errors.unless(is_at_gateway, || "the filter is not at the Gateway".to_owned());
    let class = manifests.find("GatewayClass", &Value::Null, &gateway["spec"]["gatewayClassName"]);
    errors.unless(class.is_some(), || "no GatewayClass".to_owned());
    let [wasm] = entries(&policy["spec"]["wasm"]) else { return vec!["not one filter".to_owned()] };
    errors.unless(wasm["failOpen"] == false, || "the filter fails open".to_owned());
    proxy_errors(manifests, gateway, wasm, &mut errors);
    cluster_errors(manifests, gateway, &wasm["config"]["introspection"], &mut errors);
    errors.into_inner()
}

/// Returns the filter as Envoy Gateway's controller generates it, according to its sources of August 2026, and the configuration of a route
/// for it: the listener has the filter for all routes, but only the policy's routes turn it on.
pub fn wasm_filter(manifests: &Manifests, policy: &str) -> Result<(Value, Value)> {
    let policy = manifests.named("EnvoyExtensionPolicy", policy)?;
    let (metadata, wasm) = (&policy["metadata"], &policy["spec"]["wasm"][0]);
    let id =
        format!("envoyextensionpolicy/{}/{}/wasm/0", text(&metadata["namespace"]), text(&metadata["name"]));
    let name = format!("envoy.filters.http.wasm/{id}");
    let filter = json!({
        "name": name,
        "disabled": true,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": wasm["name"],
                "fail_open": wasm["failOpen"],
                "vm_config": {
                    "vm_id": id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": paths::filter()?}},
                    "environment_variables": {"host_env_keys": wasm["env"]["hostKeys"]},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": wasm["config"].to_string(),
                },
            },
        },
    });
    let route =
        json!({name: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}});
    Ok((filter, route))
}

/// The cluster that a patch adds, and the policy of the patch.
pub fn cluster<'a>(manifests: &'a Manifests, name: &Value) -> Option<(&'a Value, &'a Value)> {
    let patches = manifests
        .of_kind("EnvoyPatchPolicy")
        .flat_map(|policy| entries(&policy["spec"]["jsonPatches"]).iter().map(move |patch| (policy, patch)));
    let mut clusters = patches.filter(|(_, patch)| {
        patch["type"] == "type.googleapis.com/envoy.config.cluster.v3.Cluster"
            && patch["operation"]["op"] == "add"
            && patch["operation"]["path"] == ""
            && patch["name"] == *name
    });
    clusters.next().map(|(policy, patch)| (policy, &patch["operation"]["value"]))
}

fn proxy_errors(manifests: &Manifests, gateway: &Value, wasm: &Value, errors: &mut Errors) {
    let parameters = &gateway["spec"]["infrastructure"]["parametersRef"]["name"];
    let Some(proxy) = manifests.find("EnvoyProxy", &gateway["metadata"]["namespace"], parameters) else {
        return errors.unless(false, || format!("no EnvoyProxy {parameters}"));
    };
    let order = json!({"name": "envoy.filters.http.wasm", "before": "envoy.filters.http.jwt_authn"});
    errors.unless(entries(&proxy["spec"]["filterOrder"]).contains(&order), || "after jwt_authn".to_owned());
    let container = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"];
    let of_proxy = secret_variables(container);
    let variables: Vec<&Value> = entries(&wasm["env"]["hostKeys"]).iter().collect();
    for variable in &variables {
        errors.unless(of_proxy.contains(variable), || format!("not of the proxy's container: {variable}"));
    }
    errors.parse(&wasm["config"], &variables);
}

fn cluster_errors(manifests: &Manifests, gateway: &Value, introspection: &Value, errors: &mut Errors) {
    let Some((policy, cluster)) = cluster(manifests, &introspection["upstream"]) else {
        return errors.unless(false, || format!("no patch adds {}", introspection["upstream"]));
    };
    let target = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway["metadata"]["name"],
    });
    let is_at_gateway = policy["metadata"]["namespace"] == gateway["metadata"]["namespace"]
        && policy["spec"]["targetRef"] == target;
    errors.unless(is_at_gateway, || "the patch is not at the Gateway".to_owned());
    let is_named = cluster["name"] == introspection["upstream"]
        && cluster["load_assignment"]["cluster_name"] == introspection["upstream"];
    errors.unless(is_named, || format!("the cluster is not called {}", introspection["upstream"]));
    let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"];
    let endpoint = origin(text(&introspection["endpoint"]));
    let (host, port) = (text(&address["address"]), address["port_value"].as_u64().unwrap_or_default());
    errors.unless(endpoint == Some((host, port)), || format!("endpoint {endpoint:?} is not {host} {port}"));
    let tls = &cluster["transport_socket"]["typed_config"];
    let validation = &tls["common_tls_context"]["validation_context"];
    let is_verified = tls["sni"] == host
        && validation["trusted_ca"]["filename"].is_string()
        && validation["match_typed_subject_alt_names"]
            == json!([{"san_type": "DNS", "matcher": {"exact": host}}]);
    errors.unless(is_verified, || format!("no verified TLS to {host}"));
}
