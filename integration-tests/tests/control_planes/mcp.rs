//! An MCP server behind the ingress that a control plane makes from its MCP example, as docs/mcp.md describes it. The API stands in for the
//! MCP server: the tests check what arrives there.

use anyhow::{Context, Result};
use integration_tests::client::Request;
use integration_tests::json;
use serde_json::json;

use crate::entrance::Entrance;

/// The server's resource identifier in the examples.
pub const RESOURCE: &str = "https://api.example.com/mcp";

/// Follows the page from the first challenge to the scopes of a tool, with a client that is a page of this origin and one that is not.
pub async fn is_as_documented(entrance: &impl Entrance, origin: &str) -> Result<()> {
    let world = entrance.world();
    let send = |request| entrance.send(request);
    let read = world.server().issue_for(RESOURCE, "mcp:read").await?;
    let both = world.server().issue_for(RESOURCE, "mcp:read mcp:write").await?;
    let of_api = world.issue("orders:read").await?;

    let challenge = r#"scope="mcp:read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/mcp""#;
    send(calling("whoami"))?.await?.has_status(401).is_challenged_by(challenge);
    let metadata = send(Request::get("/.well-known/oauth-protected-resource/mcp"))?.await?;
    assert_eq!((metadata.status, metadata.arrived.len()), (200, 0), "{metadata}");
    let metadata = metadata.json()?;
    assert_eq!(metadata["resource"], RESOURCE);
    assert_eq!(metadata["authorization_servers"], json!(["https://login.example.com"]));

    let served = send(calling("whoami"))?.bearer(&read).await?.is_served();
    assert_eq!(served.claims()?["aud"], RESOURCE);
    let refused = send(calling("write_note"))?.bearer(&read).await?.has_status(403);
    refused.is_challenged_by(r#"scope="mcp:read mcp:write""#);
    send(calling("write_note"))?.bearer(&both).await?.is_served();

    // A token is valid for only one of the two.
    let orders = || Request::get("/orders");
    send(calling("whoami"))?.bearer(&of_api).await?.has_status(401);
    send(orders())?.bearer(&of_api).await?.is_served();
    send(orders())?.bearer(&read).await?.has_status(401);

    // A page may send the request, read the response, and see why it is refused.
    let fields = "authorization, content-type, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name";
    let preflight = Request::new("OPTIONS", "/mcp", Vec::new())
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", fields);
    let answer = send(preflight)?.await?;
    assert_eq!((answer.status, answer.arrived.len()), (200, 0), "{answer}");
    let allowed = answer.header("access-control-allow-headers");
    assert!(fields.split(", ").all(|field| allowed.contains(field)), "{allowed}");
    let of_page = || calling("whoami").header("origin", origin);
    for (answer, exposed) in [
        (send(of_page())?.bearer(&read).await?.is_served(), "mcp-session-id"),
        (send(of_page())?.await?.has_status(401), "www-authenticate"),
    ] {
        let of_answer = |name: &str| answer.headers.get_all(name).iter().count();
        assert_eq!(of_answer("access-control-allow-origin"), 1, "{answer}");
        assert!([origin, "*"].contains(&answer.header("access-control-allow-origin")), "{answer}");
        assert!(answer.header("access-control-expose-headers").contains(exposed), "{answer}");
    }

    // The route has no timeout that would cut a stream.
    let dump = world.envoy.configuration().await?;
    let route = json::find(&dump, &|one| one["match"]["path"] == "/mcp").context("no route")?;
    assert_eq!(route["route"]["timeout"], "0s");
    Ok(())
}

/// A call of a tool by a client of the newest revision.
pub fn calling(tool: &str) -> Request {
    let parameters = json!({"name": tool, "arguments": {}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters});
    Request::post("/mcp", message.to_string())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool)
}
