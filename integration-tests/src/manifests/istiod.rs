//! What istiod makes of resources for Envoy, read in its sources of August 2026: as much of it as the manifests use. What they use
//! beyond that is an error here, never left out.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::istio::Filter;
use super::{Manifests, entries, text};
use crate::certificates::CertificateAuthority;
use crate::paths;

/// The Wasm filter of a WasmPlugin or TrafficExtension, once the agent has fetched the module.
pub fn wasm_filter(filter: &Filter<'_>) -> Result<Value> {
    let (metadata, wasm) = (&filter.resource["metadata"], filter.wasm);
    let failure_policy = match text(&wasm["failStrategy"]) {
        "FAIL_RELOAD" => "FAIL_RELOAD",
        "" | "FAIL_CLOSE" => "FAIL_CLOSED",
        other => anyhow::bail!("failStrategy {other}"),
    };
    let mut key_values = Map::new();
    key_values.insert("ISTIO_META_WASM_IMAGE_PULL_POLICY".to_owned(), wasm["imagePullPolicy"].clone());
    key_values.insert("ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION".to_owned(), json!("1"));
    let mut host_env_keys = Vec::new();
    for variable in entries(&wasm["vmConfig"]["env"]) {
        ensure!(variable["valueFrom"] == "HOST", "{variable}");
        host_env_keys.push(&variable["name"]);
    }
    let name = format!("{}.{}", text(&metadata["namespace"]), text(&metadata["name"]));
    Ok(json!({
        "name": format!("extensions.istio.io/wasmplugin/{name}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": text(&wasm["pluginName"]),
                "failure_policy": failure_policy,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": paths::filter()?}},
                    "environment_variables": {"host_env_keys": host_env_keys, "key_values": key_values},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": wasm["pluginConfig"].to_string(),
                },
            },
        },
    }))
}

/// The cluster of a ServiceEntry's host with the TLS of its DestinationRule, but on loopback at this port, and with this authority
/// for those that the proxy's image trusts.
pub fn cluster(
    manifests: &Manifests,
    host: &str,
    loopback: u16,
    trusted: &CertificateAuthority,
) -> Result<Value> {
    let entry = manifests.of_kind("ServiceEntry").find(|entry| entry["spec"]["hosts"] == json!([host]));
    let port = &entry.context("no ServiceEntry")?["spec"]["ports"][0]["number"];
    let rule = manifests.of_kind("DestinationRule").find(|rule| rule["spec"]["host"] == host);
    let policy = &rule.context("no DestinationRule")?["spec"]["trafficPolicy"];
    ensure!(policy["tls"]["mode"] == "SIMPLE", "{policy}");
    let name = format!("outbound|{port}||{host}");
    let names: Vec<Value> = entries(&policy["tls"]["subjectAltNames"])
        .iter()
        .map(|name| json!({"san_type": "DNS", "matcher": {"exact": name}}))
        .collect();
    Ok(json!({
        "name": name,
        "connect_timeout": policy["connectionPool"]["tcp"]["connectTimeout"],
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": loopback}},
        }}]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": policy["tls"]["sni"],
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"inline_string": trusted.pem()},
                "match_typed_subject_alt_names": names,
            }},
        }},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "common_http_protocol_options": {"idle_timeout": policy["connectionPool"]["http"]["idleTimeout"]},
        }},
    }))
}

/// jwt_authn as a RequestAuthentication asks for it. istiod fetches the keys and puts them in.
pub fn jwt_authn(authentication: &Value, keys: &str) -> Result<Value> {
    let [rule] = entries(&authentication["spec"]["jwtRules"]) else { anyhow::bail!("not one rule") };
    known(rule, &["issuer", "audiences", "jwksUri", "forwardOriginalToken", "fromHeaders"])?;
    let from_headers: Vec<Value> = entries(&rule["fromHeaders"])
        .iter()
        .map(|field| json!({"name": field["name"], "value_prefix": field["prefix"]}))
        .collect();
    Ok(json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"origins-0": {
                "issuer": rule["issuer"],
                "audiences": rule["audiences"],
                "forward": rule["forwardOriginalToken"],
                "from_headers": from_headers,
                "local_jwks": {"inline_string": keys},
                "payload_in_metadata": "payload",
                "normalize_payload_in_metadata": {"space_delimited_claims": ["permission", "scope"]},
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
                {"provider_name": "origins-0"},
                {"allow_missing": {}},
            ]}}}],
            "bypass_cors_preflight": true,
        },
    }))
}

/// The filter of the AuthorizationPolicies that allow, at a workload of this label `app`.
pub fn rbac(manifests: &Manifests, namespace: &str, app: &str) -> Result<Value> {
    let mut policies = Map::new();
    let of_workload = manifests.of_kind("AuthorizationPolicy").filter(|policy| {
        let label = &policy["spec"]["selector"]["matchLabels"]["app"];
        policy["metadata"]["namespace"] == namespace && (label.is_null() || label == app)
    });
    for policy in of_workload {
        known(&policy["spec"], &["action", "selector", "rules"])?;
        ensure!(["", "ALLOW"].contains(&text(&policy["spec"]["action"])), "{policy}");
        for (index, rule) in entries(&policy["spec"]["rules"]).iter().enumerate() {
            known(rule, &["from", "to"])?;
            let key = format!("ns[{namespace}]-policy[{}]-rule[{index}]", text(&policy["metadata"]["name"]));
            policies.insert(key, json!({"permissions": permissions(rule)?, "principals": principals(rule)?}));
        }
    }
    Ok(json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": policies},
        },
    }))
}

fn permissions(rule: &Value) -> Result<Vec<Value>> {
    if rule["to"].is_null() {
        return Ok(vec![json!({"any": true})]);
    }
    let permission = |to: &Value| {
        let operation = &to["operation"];
        known(operation, &["methods", "paths"])?;
        let methods = any(
            &operation["methods"],
            "or_rules",
            "rules",
            |method| json!({"header": {"name": ":method", "string_match": {"exact": method}}}),
        );
        let paths = any(
            &operation["paths"],
            "or_rules",
            "rules",
            |path| json!({"url_path": {"path": {"exact": path}}}),
        );
        Ok(json!({"and_rules": {"rules": [methods, paths]}}))
    };
    entries(&rule["to"]).iter().map(permission).collect()
}

fn principals(rule: &Value) -> Result<Vec<Value>> {
    let principal = |from: &Value| {
        let source = &from["source"];
        known(source, &["principals", "requestPrincipals"])?;
        let peers = any(
            &source["principals"],
            "or_ids",
            "ids",
            |name| json!({"authenticated": {"principal_name": {"exact": format!("spiffe://{}", text(name))}}}),
        );
        let mut ids = vec![peers];
        if !source["requestPrincipals"].is_null() {
            ids.push(any(&source["requestPrincipals"], "or_ids", "ids", request_principal));
        }
        Ok(json!({"and_ids": {"ids": ids}}))
    };
    entries(&rule["from"]).iter().map(principal).collect()
}

/// The issuer and any subject.
fn request_principal(principal: &Value) -> Value {
    let issuer = text(principal).strip_suffix("/*").unwrap_or_default();
    let claim = |name: &str, matcher: Value| {
        json!({"metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}, {"key": name}],
            "value": {"string_match": matcher},
        }})
    };
    json!({"and_ids": {"ids": [
        claim("iss", json!({"exact": issuer})),
        claim("sub", json!({"safe_regex": {"regex": ".+"}})),
    ]}})
}

fn any(values: &Value, or: &str, list: &str, matcher: impl Fn(&Value) -> Value) -> Value {
    let matchers: Vec<Value> = entries(values).iter().map(matcher).collect();
    json!({or: {list: matchers}})
}

fn known(object: &Value, fields: &[&str]) -> Result<()> {
    let names = object.as_object().map(Map::keys).into_iter().flatten();
    for name in names {
        ensure!(fields.contains(&name.as_str()), "{name} is not known here: {object}");
    }
    Ok(())
}
