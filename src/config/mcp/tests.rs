use serde_json::{Value, json};

use crate::settings::Settings;
use crate::testing::{configured, merge, parse, test};

/// Expands a section `mcp`: returns the rules and the metadata.
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

/// If a part of this were derived wrongly, tokens for one server would be accepted at another, or clients would not find the authorization
/// server.
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

/// If unnamed calls needed less than named ones, any tool that the server adds tomorrow would be open.
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
            // Groups come first, or their calls could pass by the rule for harmless ones.
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

/// The operator wrote none of these rules, so an error that names one would be useless.
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
}

/// If two servers had one resource, tokens for one would be accepted at the other, and the second document would never be served; if two
/// matched the same requests, one would receive none.
#[test]
fn r284_no_two_servers_have_one_resource_or_the_same_requests() {
    let of = |servers: [Value; 2], more: Value| {
        let mut configuration = json!({"token": {"issuer": "https://login"}});
        merge(&mut configuration, more);
        errors(json!({"servers": servers}), configuration)
    };
    let two = |one: &str, other: Value| {
        let mut second = json!({"path": "/b"});
        merge(&mut second, other);
        of([json!({"resource": one}), second], json!({}))
    };
    let duplicate = "mcp.servers[1].resource: is a duplicate";
    let alike = "mcp.servers[1].resource: is a duplicate, but for port or letter case of the host";
    for (one, other, expected) in [
        ("https://gw/mcp", "https://gw/mcp", duplicate),
        ("https://gw", "https://gw/", duplicate),
        ("https://gw/mcp", "https://GW/mcp", alike),
        ("https://gw/mcp", "https://gw:8443/mcp", alike),
        ("https://gw/mcp", "http://gw/mcp", alike),
        ("https://gw/mcp", "https://other/mcp", ""),
        ("https://gw/mcp", "https://gw/mcp/two", ""),
        ("https://gw/mcp", "https://gw/MCP", ""),
    ] {
        assert_eq!(two(one, json!({"resource": other})), expected, "{one} {other}");
    }
    let own = json!({"resource_metadata": {"resource": "https://gw/mcp", "authorization_servers": ["https://login"]}});
    let beside = of([json!({"resource": "https://gw/mcp"}), json!({"resource": "https://gw/b"})], own);
    assert_eq!(beside, "mcp.servers[0].resource: is a duplicate");

    // The resources differ, but the path at the gateway is the same.
    let per_tool = json!({"source": "header_fields", "harmless_tools": ["a"], "other_scopes": ["b"]});
    let contended =
        "mcp.servers[1]: matches the same requests as mcp.servers[0], but for letter case perhaps";
    for (other, expected) in [
        (json!({"path": "/mcp"}), contended),
        (json!({"path": "/MCP/"}), contended),
        (json!({"path": "/mcp", "per_tool": per_tool}), contended),
        (json!({"path": "/mcp", "scopes": ["b"]}), contended),
        (json!({"path": "/mcp", "hosts": ["other"]}), ""),
    ] {
        let mut second = json!({"resource": "https://other/mcp"});
        merge(&mut second, other);
        assert_eq!(two("https://gw/mcp", second.clone()), expected, "{second}");
    }
    let pattern = |path: &str, other: &str| {
        let [one, other] = [("https://gw/one", path), ("https://gw/two", other)]
            .map(|(resource, path)| json!({"resource": resource, "path": path}));
        of([one, other], json!({}))
    };
    assert_eq!(pattern("/{team}/mcp", "/{user}/mcp"), contended);
    // A literal segment takes precedence over a placeholder.
    assert_eq!(pattern("/{team}/mcp", "/staff/mcp"), "");
}
