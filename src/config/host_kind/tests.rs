//! Settings that a host does not support.

use serde_json::{Value, json};

use super::HostKind;
use crate::config::Settings;
use crate::fields::SecretSources;

/// If this failed, a rule in Kong would depend on attributes that Kong never reports, and refuse no request; or a malformed
/// upstream would stop the filter in the middle of a request.
#[test]
fn r141_what_kong_cannot_do_is_an_error_there() {
    let server = |upstream: &str| json!({"introspection": {"upstream": upstream}});
    for (edit, path) in [
        (json!({"rules": [{"path": "/"}, {"path": "/a", "routes": ["a"]}]}), "rules[1].routes"),
        (json!({"rules": [{"path": "/", "peers": ["spiffe://example.com/a"]}]}), "rules[0].peers"),
        (
            json!({
                "session_binding": {"secret": "a secret of at least thirty-two bytes"},
                "rules": [{"path": "/", "bind_session": true}],
            }),
            "rules[0].bind_session",
        ),
        (json!({"client_certificate": "connection"}), "client_certificate"),
        (json!({"token_sources": {"query_parameter": "access_token"}}), "token_sources.query_parameter"),
        (json!({"filter_state": [{"name": "user", "pointer": "/sub"}]}), "filter_state"),
        (json!({"end_streams_with_token": true}), "end_streams_with_token"),
        (server("host:99999"), "introspection.upstream"),
        (server("host:0"), "introspection.upstream"),
        (server("host:"), "introspection.upstream"),
        (server("host:080"), "introspection.upstream"),
        (server(":80"), "introspection.upstream"),
        (server("[::1"), "introspection.upstream"),
        (server("[::1]80"), "introspection.upstream"),
        (server("::1"), "introspection.upstream"),
        (server("[host]"), "introspection.upstream"),
        (server("http://host"), "introspection.upstream"),
        (server("host/path"), "introspection.upstream"),
        (server("outbound|443||login.example.com"), "introspection.upstream"),
        (
            json!({"keys": {"jwks_uri": "https://login.example.com/jwks", "upstream": "host:99999"}}),
            "keys.upstream",
        ),
    ] {
        assert_eq!(errors(&edit, HostKind::Kong), [path], "{edit}");
        assert!(errors(&edit, HostKind::Envoy).is_empty(), "{edit}");
    }
    let several = json!({"authorization_servers": [{
        "name": "main",
        "introspection": {
            "endpoint": "https://login.example.com/introspect", "upstream": "host:0", "client_id": "gateway",
            "client_secret": "secret",
        },
    }], "introspection": null});
    assert_eq!(errors(&several, HostKind::Kong), ["authorization_servers[0].introspection.upstream"]);
}

/// If this failed, a rule in the native module would depend on metadata that it cannot read, and let no call through, or every call; in an
/// older Envoy, it would depend on what a client makes Envoy's filter report.
#[test]
fn r141_r286_where_calls_cannot_be_read_to_ask_for_them_is_an_error() {
    let edit =
        json!({"rules": [{"path": "/", "mcp": {"source": "envoy_filter", "methods": ["tools/call"]}}]});
    for host in [HostKind::EnvoyModule, HostKind::OlderEnvoy] {
        assert!(errors(&edit, host).contains(&"rules[0].mcp.source".to_owned()), "{host:?}");
    }
    assert!(!errors(&edit, HostKind::Envoy).contains(&"rules[0].mcp.source".to_owned()));
}

#[test]
fn r141_what_kong_can_do_is_none() {
    for edit in [
        json!({"rules": [{"path": "/", "hosts": ["api.example.com"], "report_only": true}]}),
        json!({"client_certificate": "x-forwarded-client-cert", "jwt_header": "x-jwt"}),
        json!({"token_sources": {"cookie": "session", "header": "x-token", "websocket_protocol": "token."}}),
        json!({"introspection": {"upstream": "login.example.com"}}),
        json!({"introspection": {"upstream": "login_1.example.com:8443"}}),
        json!({"introspection": {"upstream": "127.0.0.1:80"}}),
        json!({"introspection": {"upstream": "[::1]"}}),
        json!({"introspection": {"upstream": "[2001:db8::1]:443"}}),
    ] {
        assert!(errors(&edit, HostKind::Kong).is_empty(), "{edit}: {:?}", errors(&edit, HostKind::Kong));
    }
}

fn errors(edit: &Value, host: HostKind) -> Vec<String> {
    let mut configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "login.example.com:443",
            "client_id": "gateway",
            "client_secret": "secret",
        },
        "rules": [{"path": "/"}],
    });
    for (name, value) in edit.as_object().into_iter().flatten() {
        match (&mut configuration[name], value) {
            (Value::Object(section), Value::Object(members)) => section.extend(members.clone()),
            (_, Value::Null) => drop(configuration.as_object_mut().and_then(|members| members.remove(name))),
            (place, value) => *place = value.clone(),
        }
    }
    match Settings::parse_for(
        host,
        configuration.to_string().as_bytes(),
        SecretSources::environment(&|_| None),
    ) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.path().to_owned()).collect(),
    }
}
