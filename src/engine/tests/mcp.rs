//! Scenarios with MCP servers.

use serde_json::{Value, json};

use super::Worker;
use crate::host::NoSharedData;
use crate::http::request_head::{Presented, RequestHead};
use crate::testing::{jwt, test};

/// What the challenge of a refusal names as the metadata.
fn metadata(worker: &mut Worker<'_>, authority: &str, path: &str, token: Option<&str>) -> String {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let presented =
        authorization.as_deref().map_or(Presented::Absent, |value| Presented::Once(value.as_bytes()));
    let head = RequestHead {
        method: b"POST",
        authority: authority.as_bytes(),
        path: path.as_bytes(),
        authorization: presented,
        ..RequestHead::default()
    };
    let reply = worker.refusal(0, &head);
    let challenge = reply.headers.iter().find(|(name, _)| *name == "www-authenticate");
    let challenge = challenge.map(|(_, text)| text.as_str()).unwrap_or_default();
    let named = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split_once('"'));
    named.map_or("none", |(url, _)| url).replace("/.well-known/oauth-protected-resource", "")
}

/// Clients must not use the metadata of another resource (RFC 9728 §3.3). Where a proxy in front of the gateway changes hosts and paths,
/// these lead to none or to another's, and no client logs in.
#[test]
fn r274_a_challenge_names_the_resource_of_the_rule_wherever_the_gateway_sees_it() {
    let server = |edits: Value| {
        let mut server = json!({"authorization_servers": ["https://login.example.com"], "scopes": ["mcp"]});
        crate::testing::merge(&mut server, edits);
        server
    };
    let mut worker = Worker::new(
        json!({
            "rules": null,
            "mcp": {"servers": [
                server(json!({"resource": "https://gw/notes/mcp", "path": "/internal/notes"})),
                server(json!({"resource": "https://gw/internal/notes", "path": "/internal/other"})),
                server(json!({"resource": "https://a.example.com/mcp", "path": "/mcp", "hosts": ["a.internal"]})),
                server(json!({"resource": "https://b.example.com/mcp", "path": "/mcp", "hosts": ["b.internal"]})),
                server(json!({"resource": "https://gw/plain"})),
            ]},
        }),
        &NoSharedData,
    );
    worker.answer_with(jwt(
        json!({"aud": ["https://gw/notes/mcp", "https://b.example.com/mcp"], "scope": "other"}),
    ));
    for (authority, path, resource) in [
        ("gw", "/internal/notes", "https://gw/notes/mcp"),
        ("gw", "/internal/other", "https://gw/internal/notes"),
        ("a.internal", "/mcp", "https://a.example.com/mcp"),
        ("b.internal", "/mcp", "https://b.example.com/mcp"),
        ("10.0.0.7", "/plain", "https://gw/plain"),
    ] {
        // Without a token, with one that the server is asked about, and with one that is known.
        for token in [None, Some("asked"), Some("known")] {
            assert_eq!(
                metadata(&mut worker, authority, path, token),
                resource,
                "{authority}{path} {token:?}"
            );
        }
    }
}
