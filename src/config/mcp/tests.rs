use serde_json::{Value, json};

use crate::settings::Settings;
use crate::testing::{configured, merge, parse, test};

/// What a section `mcp` comes to: rules and metadata.
fn expanded(mcp: Value) -> Value {
    let token = json!({"issuer": "https://login.example.com"});
    let configuration = configured(json!({"token": token, "rules": null, "mcp": mcp}));
    let effective = Settings::effective(configuration.to_string().as_bytes()).expect("an object");
    let effective: Value = serde_json::from_str(&effective).expect("JSON");
    parse(&configuration).expect("a configuration without errors");
    json!({"rules": effective["rules"], "resource_metadata": effective["resource_metadata"], "mcp": effective["mcp"]})
}

fn errors(mcp: Value, more: Value) -> String {
    let mut configuration = configured(more);
    merge(&mut configuration, json!({"mcp": mcp}));
    parse(&configuration).map_or_else(|errors| errors.to_string(), |_| String::new())
}

/// If one word of this followed wrongly, tokens of one server would do at another, or clients would not find their way.
#[test]
fn r230_an_mcp_server_comes_to_a_rule_and_to_metadata() {
    let mcp = json!({"servers": [
        {"resource": "https://gw.example.com/mcp", "scopes": ["mcp:read"]},
        {
            "resource": "https://gw.example.com", "path": "/two/mcp", "hosts": ["gw.example.com"],
            "authorization_servers": ["https://other.example.com"], "scopes_supported": ["b", "c"],
            "resource_name": "Two", "scopes_any_of": ["a", "b"], "audience": ["two"],
        },
    ]});
    let methods = json!(["GET", "POST", "DELETE"]);
    assert_eq!(
        expanded(mcp),
        json!({
            "rules": [
                {
                    "access": "protected", "path": "/mcp", "path_match": "exact", "methods": methods,
                    "audience": ["https://gw.example.com/mcp"], "scopes": ["mcp:read"],
                    "resource": "https://gw.example.com/mcp",
                },
                {
                    "access": "protected", "path": "/two/mcp", "path_match": "exact", "methods": methods,
                    "hosts": ["gw.example.com"], "audience": ["two"], "scopes_any_of": ["a", "b"],
                    "resource": "https://gw.example.com",
                },
            ],
            "resource_metadata": [
                {
                    "resource": "https://gw.example.com/mcp", "authorization_servers": ["https://login.example.com"],
                    "scopes_supported": ["mcp:read"],
                },
                {
                    "resource": "https://gw.example.com", "authorization_servers": ["https://other.example.com"],
                    "scopes_supported": ["b", "c"], "resource_name": "Two",
                },
            ],
            "mcp": null,
        })
    );
}

/// If what is not named needed less than what is, a tool that the server has tomorrow would be open.
#[test]
fn r234_scopes_per_tool_name_what_is_harmless() {
    let mcp = json!({"servers": [{
        "resource": "https://gw.example.com/mcp", "scopes": ["mcp:read"],
        "per_tool": {
            "source": "header_fields", "harmless_tools": ["whoami"], "harmless_methods": ["ping", "tools/list"],
            "groups": [{"tools": ["report", "whoami"], "methods": ["resources/read"], "scopes": ["mcp:report"]}],
            "other_scopes": ["mcp:write", "mcp:read"], "older_revisions": "refuse",
        },
    }]});
    let expanded = expanded(mcp);
    let rule = |methods: Value, scopes: Value, condition: Value| {
        let mut rule = json!({
            "access": "protected", "path": "/mcp", "path_match": "exact", "methods": methods,
            "audience": ["https://gw.example.com/mcp"], "scopes": scopes, "resource": "https://gw.example.com/mcp",
        });
        merge(&mut rule, condition);
        rule
    };
    assert_eq!(
        expanded["rules"],
        json!([
            rule(json!(["GET", "DELETE"]), json!(["mcp:read"]), json!({})),
            // First, so that a group is not open for what is harmless as well.
            rule(
                json!(["POST"]),
                json!(["mcp:read", "mcp:report"]),
                json!({"mcp": {"source": "header_fields", "methods": ["resources/read"], "tools": ["report", "whoami"]}})
            ),
            rule(
                json!(["POST"]),
                json!(["mcp:read"]),
                json!({"mcp": {"source": "header_fields", "methods": ["ping", "tools/list"], "tools": ["whoami"]}})
            ),
            rule(
                json!(["POST"]),
                json!(["mcp:read", "mcp:write", "mcp:read"]),
                json!({"headers": [{"name": "mcp-protocol-version", "one_of": ["2026-07-28"]}]})
            ),
        ])
    );
    let supported = &expanded["resource_metadata"][0]["scopes_supported"];
    assert_eq!(*supported, json!(["mcp:read", "mcp:report", "mcp:write"]));
}

/// The operator wrote none of these rules, so an error that names one would be of no use.
#[test]
fn r230_errors_are_where_their_author_finds_them() {
    let of =
        |server: Value| errors(json!({"servers": [server]}), json!({"token": {"issuer": "https://login"}}));
    assert_eq!(of(json!({"resource": "https://gw/mcp"})), "");
    assert_eq!(of(json!({})), "mcp.servers[0].resource: is required");
    let scopes = of(json!({"resource": "https://gw/mcp", "scopes": ["a b"]}));
    assert!(scopes.starts_with("mcp.servers[0].scopes: must be scope tokens"), "{scopes}");
    let path = of(json!({"resource": "https://gw/mcp", "path": "mcp"}));
    assert_eq!(path, r#"mcp.servers[0].path: must start with "/""#);
    let own = json!({"token": {"issuer": "https://login"}, "rules": [{"path": "/mcp", "path_match": "exact", "methods": ["POST"]}]});
    let contended = errors(json!({"servers": [{"resource": "https://gw/mcp"}]}), own);
    assert!(contended.starts_with("mcp.servers[0]: matches the same requests as rules[0]"), "{contended}");
    let servers = json!({"servers": [{"resource": "https://gw/mcp"}]});
    let unknown = errors(servers, json!({}));
    assert_eq!(unknown, "mcp.authorization_servers: is required where there is no token.issuer");
    let twice = json!([{"resource": "https://gw/mcp"}, {"resource": "https://gw/mcp", "path": "/b"}]);
    let twice = errors(json!({"servers": twice}), json!({"token": {"issuer": "https://login"}}));
    assert_eq!(twice, "mcp.servers[1].resource: is a duplicate");
}
