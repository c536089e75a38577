//! How istiod translates resources for Envoy, according to its sources of August 2026, as far as the manifests use it. Anything beyond that
//! is an error here, never ignored.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::istio::Filter;
use super::{Manifests, entries, text};
use crate::certificates::CertificateAuthority;
use crate::paths;

/// Returns the Wasm filter of a WasmPlugin or TrafficExtension, as after the agent has fetched the module.
pub fn wasm_filter(filter: &Filter<'_>) -> Result<Value> {
    let (metadata, wasm) = (&filter.resource["metadata"], filter.wasm);
    let failure_policy = match text(&wasm["failStrategy"]) {
        "FAIL_RELOAD" => "FAIL_RELOAD",
        "" | "FAIL_CLOSE" => "FAIL_CLOSED",
        other => bail!("failStrategy {other}"),
    };
    let mut host_env_keys = Vec::new();
    for variable in entries(&wasm["vmConfig"]["env"]) {
        ensure!(variable["valueFrom"] == "HOST", "{variable}");
        host_env_keys.push(&variable["name"]);
    }
    // istiod turns WasmPlugins into TrafficExtensions.
    let translated =
        if filter.resource["kind"] == "WasmPlugin" { "~istio-translated-wasmplugin" } else { "" };
    let name = format!("{}.{}{translated}", text(&metadata["namespace"]), text(&metadata["name"]));
    Ok(json!({
        "name": format!("extensions.istio.io/trafficextension/{name}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": failure_policy,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": paths::filter()?}},
                    "environment_variables": {"host_env_keys": host_env_keys},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": wasm["pluginConfig"].to_string(),
                },
            },
        },
    }))
}

/// Returns the cluster of a ServiceEntry's host with the TLS of its DestinationRule, but on loopback at this port, and with this authority
/// instead of those that the proxy's image trusts.
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

/// Returns the `jwt_authn` filter that a RequestAuthentication describes. istiod fetches the keys and inlines them.
pub fn jwt_authn(authentication: &Value, keys: &str) -> Result<Value> {
    let [rule] = entries(&authentication["spec"]["jwtRules"]) else { bail!("not one rule") };
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

/// Returns the filters of the AuthorizationPolicies for a workload with this label `app`: first what is denied, then what is allowed, if
/// any policy allows anything.
pub fn rbac(manifests: &Manifests, namespace: &str, app: &str) -> Result<Vec<Value>> {
    let of_workload: Vec<&Value> = manifests
        .of_kind("AuthorizationPolicy")
        .filter(|policy| {
            let label = &policy["spec"]["selector"]["matchLabels"]["app"];
            policy["metadata"]["namespace"] == namespace && (label.is_null() || label == app)
        })
        .collect();
    let filters = ["DENY", "ALLOW"].into_iter().map(|action| {
        let is_of_action = |policy: &&&Value| policy["spec"]["action"].as_str().unwrap_or("ALLOW") == action;
        let policies: Vec<&Value> = of_workload.iter().filter(is_of_action).copied().collect();
        rbac_filter(action, &policies)
    });
    Ok(filters.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn rbac_filter(action: &str, policies: &[&Value]) -> Result<Option<Value>> {
    let mut rules = Map::new();
    for policy in policies {
        known(&policy["spec"], &["action", "selector", "rules"])?;
        let name = format!(
            "ns[{}]-policy[{}]",
            text(&policy["metadata"]["namespace"]),
            text(&policy["metadata"]["name"])
        );
        if policy["spec"]["rules"].is_null() {
            rules.insert(format!("{name}-rule[0]"), never());
        }
        for (index, rule) in entries(&policy["spec"]["rules"]).iter().enumerate() {
            known(rule, &["from", "to"])?;
            let key = format!("{name}-rule[{index}]");
            rules.insert(key, json!({"permissions": permissions(rule)?, "principals": principals(rule)?}));
        }
    }
    let mut rules = json!({"policies": rules});
    // ALLOW is the default.
    if action == "DENY" {
        rules["action"] = json!(action);
    }
    let filter = json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": rules,
            "shadow_rules_stat_prefix": "istio_dry_run_allow_",
        },
    });
    Ok((!policies.is_empty()).then_some(filter))
}

/// The rule of a policy without rules, which matches nothing.
fn never() -> Value {
    json!({
        "permissions": [{"not_rule": {"any": true}}],
        "principals": [{"not_id": {"any": true}}],
    })
}

fn permissions(rule: &Value) -> Result<Vec<Value>> {
    if rule["to"].is_null() {
        return Ok(vec![json!({"and_rules": {"rules": [{"any": true}]}})]);
    }
    let permission = |to: &Value| {
        let rules = matchers(&to["operation"], |field, value| {
            Ok(match field {
                "methods" => json!({"header": {"name": ":method", "string_match": {"exact": value}}}),
                "paths" => json!({"url_path": {"path": {"exact": value}}}),
                "ports" => json!({"destination_port": text(value).parse::<u16>()?}),
                _ => bail!("{field} is not known here"),
            })
        })?;
        let rules: Vec<Value> =
            rules.into_iter().map(|(_, rules)| json!({"or_rules": {"rules": rules}})).collect();
        Ok(json!({"and_rules": {"rules": rules}}))
    };
    entries(&rule["to"]).iter().map(permission).collect()
}

fn principals(rule: &Value) -> Result<Vec<Value>> {
    let principal = |from: &Value| {
        let ids = matchers(&from["source"], |field, value| {
            Ok(match field {
                "principals" | "notPrincipals" => {
                    json!({"authenticated": {"principal_name": {"exact": format!("spiffe://{}", text(value))}}})
                }
                "requestPrincipals" => request_principal(value),
                _ => bail!("{field} is not known here"),
            })
        })?;
        let one_of = |(field, ids): (String, Vec<Value>)| match (field.as_str(), ids.as_slice()) {
            ("requestPrincipals", [id]) => id.clone(),
            ("notPrincipals", ids) => json!({"not_id": {"or_ids": {"ids": ids}}}),
            (_, ids) => json!({"or_ids": {"ids": ids}}),
        };
        let ids: Vec<Value> = ids.into_iter().map(one_of).collect();
        Ok(json!({"and_ids": {"ids": ids}}))
    };
    entries(&rule["from"]).iter().map(principal).collect()
}

/// Returns the matchers for each field of a condition. A field matches if one of its values does.
fn matchers(
    condition: &Value,
    matcher: impl Fn(&str, &Value) -> Result<Value>,
) -> Result<Vec<(String, Vec<Value>)>> {
    let fields = condition.as_object().into_iter().flatten();
    let of_field = |(field, values): (&String, &Value)| {
        let matchers: Result<Vec<Value>> =
            entries(values).iter().map(|value| matcher(field, value)).collect();
        Ok((field.clone(), matchers?))
    };
    fields.map(of_field).collect()
}

/// Matches the issuer with any subject.
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

fn known(object: &Value, fields: &[&str]) -> Result<()> {
    let names = object.as_object().map(Map::keys).into_iter().flatten();
    for name in names {
        ensure!(fields.contains(&name.as_str()), "{name} is not known here: {object}");
    }
    Ok(())
}
