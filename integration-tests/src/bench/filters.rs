//! The configuration of each variant's listener: its filter, and its routes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::credentials::{AUDIENCE, Credentials, ISSUER};
use super::variants::{Destination, SHARED_SLOTS, Variant};
use crate::artefact::{Artefact, METRICS_NAMESPACE};
use crate::paths;

/// The cluster of the server that filters call.
pub const AUTHORITY: &str = "authority";

/// The `Authorization` that services receive from [`Variant::Calls`].
pub fn constant() -> String {
    format!("Bearer {}", "x".repeat(1000))
}

/// The response field with the `Authorization` that a service received. The upstream adds it if the request has a field of the same name.
pub const RECEIVED: &str = "x-received-authorization";

/// The HTTP filter of a variant. `None` if the variant has none.
pub fn filter(variant: Variant, credentials: &Credentials, authority_port: u16) -> Result<Option<Value>> {
    if let Some(artefact) = variant.artefact() {
        let (file, configuration) = (artefact.file()?, configuration(variant));
        return Ok(Some(match artefact {
            Artefact::Wasm => wasm(variant, &file, &configuration),
            Artefact::Module | Artefact::PanickingModule => module(variant, &file, &configuration),
        }));
    }
    let filter = match variant {
        Variant::Plain | Variant::PlainAgain | Variant::PlainWithJwt => return Ok(None),
        Variant::Calls => wasm(variant, &calls()?, &Value::Null),
        Variant::JwtAuthnCached => jwt_authn(credentials, Some(&json!({"jwt_cache_size": 10_000}))),
        Variant::JwtAuthn => jwt_authn(credentials, None),
        Variant::ExtAuthz => ext_authz(authority_port),
        _ => lua(variant, credentials),
    };
    Ok(Some(filter))
}

/// The routes of a variant: to the upstream, to a direct response, and to a direct response with the `Authorization` that arrived.
pub fn routes(variant: Variant) -> Vec<Value> {
    vec![
        json!({"match": {"path": variant.path(Destination::Upstream)}, "route": {"cluster": "api"}}),
        json!({"match": {"path": variant.path(Destination::Direct)}, "direct_response": {"status": 200}}),
        json!({
            "match": {"path": variant.verification()}, "direct_response": {"status": 200},
            "response_headers_to_add": received_authorization(),
        }),
    ]
}

/// The routes of the upstream: a direct response, with the `Authorization` that arrived if the request asks for it.
pub fn upstream_routes() -> Vec<Value> {
    let asks = json!([{"name": RECEIVED, "present_match": true}]);
    vec![
        json!({
            "match": {"prefix": "/", "headers": asks}, "direct_response": {"status": 200},
            "response_headers_to_add": received_authorization(),
        }),
        json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}}),
    ]
}

fn received_authorization() -> Value {
    json!([{"header": {"key": RECEIVED, "value": "%REQ(authorization)%"}}])
}

/// A configuration as in production: an issuer, an audience, rules with scopes, and defaults except for what the variant is about. Each
/// variant has its own VM.
fn configuration(variant: Variant) -> Value {
    let mut configuration = json!({
        "introspection": {
            "endpoint": format!("{ISSUER}/introspect"),
            "upstream": AUTHORITY,
            "client_id": "gateway",
            "client_secret": "a secret of the benchmark",
            // All tokens arrive at once, which exceeds the default limit.
            "max_per_second": 1_000_000,
        },
        "token": {"issuer": ISSUER, "audience": [AUDIENCE]},
        "single_flight": true,
        // Longer than a run: a token that expires during it would be introspected again.
        "cache": {"max_ttl": "2h"},
        "realm": "orders",
        "rules": [
            {"path": "/public", "access": "public"},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["POST", "PUT", "DELETE"], "scopes": ["orders:write"]},
            {"path": "/orders/{id}/invoice", "methods": ["GET"], "scopes": ["orders:read", "invoices:read"]},
            {"path": "/customers/{id}", "scopes_any_of": ["customers:read", "customers:write"]},
        ],
    });
    match variant.in_wasm() {
        Variant::ManyTokens => {
            configuration["cache"]["max_entries"] = json!(2 * variant.tokens());
            configuration["cache"]["max_bytes"] = json!(64 << 20);
        }
        Variant::SharedData => {
            configuration["cache"]["max_entries"] = json!(SHARED_SLOTS);
            configuration["cache"]["max_bytes"] = json!(256 * SHARED_SLOTS);
        }
        Variant::Uncached => configuration["cache"]["max_ttl"] = json!("0s"),
        _ => {}
    }
    configuration
}

/// The module of [`Variant::Calls`].
fn calls() -> Result<PathBuf> {
    let path = paths::root().join("target/bench/calls.wasm");
    std::fs::write(&path, wat::parse_str(include_str!("calls.wat"))?)?;
    Ok(path)
}

fn wasm(variant: Variant, module: &Path, configuration: &Value) -> Value {
    typed(
        "phantom-token",
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        &json!({"config": {
            "name": variant.name(),
            "root_id": variant.name(),
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": variant.name(),
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration.to_string(),
            },
        }}),
    )
}

fn module(variant: Variant, module: &Path, configuration: &Value) -> Value {
    typed(
        "phantom-token",
        "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        &json!({
            "dynamic_module_config": {
                "module": {"local": {"filename": module}},
                "do_not_close": true,
                "metrics_namespace": METRICS_NAMESPACE,
            },
            "filter_name": variant.name(),
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration.to_string(),
            },
        }),
    )
}

fn jwt_authn(credentials: &Credentials, cache: Option<&Value>) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": credentials.keys().to_string()},
        "forward": true,
    });
    if let Some(cache) = cache {
        provider["jwt_cache_config"] = cache.clone();
    }
    typed(
        "envoy.filters.http.jwt_authn",
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        &json!({
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        }),
    )
}

fn ext_authz(port: u16) -> Value {
    typed(
        "envoy.filters.http.ext_authz",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        &json!({
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": {"uri": format!("http://127.0.0.1:{port}"), "cluster": AUTHORITY, "timeout": "2s"},
                "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "authorization"}]}},
            },
        }),
    )
}

fn lua(variant: Variant, credentials: &Credentials) -> Value {
    let grants = credentials.grants();
    let entry = |token: &str| {
        let jwt = grants.get(token).map(String::as_str).unwrap_or_default();
        format!(r#"["Bearer {token}"] = "Bearer {jwt}","#)
    };
    let entries: Vec<String> = credentials.sent(variant).into_iter().map(entry).collect();
    let script = SCRIPT.replace("ENTRIES", &entries.join("\n"));
    typed(
        "envoy.filters.http.lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        &json!({"default_source_code": {"inline_string": script}}),
    )
}

fn typed(name: &str, kind: &str, configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    configuration["@type"] = json!(format!("type.googleapis.com/{kind}"));
    json!({"name": name, "typed_config": configuration})
}

const SCRIPT: &str = r#"
local jwts = { ENTRIES }

function envoy_on_request(request)
    local headers = request:headers()
    local jwt = jwts[headers:get("authorization")]
    if jwt == nil then
        request:respond({[":status"] = "401"}, "")
    else
        headers:replace("authorization", jwt)
    end
end
"#;
