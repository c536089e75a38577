//! `mcp.yaml`: CORS for any origin, Envoy's MCP filter, and scopes per tool. The published clients use the same file
//! (`integration-tests/mcp`).

use anyhow::Result;
use integration_tests::authorization_server::GATEWAY_SECRET;
use integration_tests::client::Request;
use integration_tests::envoy::{self, Envoy};
use integration_tests::testkit::{Call, World};
use integration_tests::{envoy_config, paths};
use serde_json::json;

/// If this failed, the file that docs/mcp.md tells readers to run would not start, or would not do what the page says.
#[tokio::test]
async fn r279_the_file_for_mcp_servers_does_what_its_page_says() -> Result<()> {
    let world = World::certified("envoy-mcp")?;
    let example = envoy_config::on_loopback("mcp.yaml", world.server(), &world.api)?
        .with(r#""scopes": ["mcp:read"],"#, r#""audience": ["orders-api"], "scopes": ["orders:read"],"#)?
        .with(r#""other_scopes": ["mcp:write"]"#, r#""other_scopes": ["orders:write"]"#)?;
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    if envoy::version()? < (1, 40) {
        // This version's MCP filter is missing, or not trusted.
        let secret = secret.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (accepted, output) = envoy::validate(&paths::root().join("envoy-config/mcp.yaml"), &secret)?;
        assert!(!accepted, "{output}");
        return Ok(());
    }
    let envoy = Envoy::start("envoy-mcp", &example.text(), &secret, &["ingress"]).await?;
    let world = &world.around(envoy, "ingress");
    let (read, both) = (world.issue("orders:read").await?, world.issue("orders:read orders:write").await?);

    let metadata = "http://127.0.0.1:10000/.well-known/oauth-protected-resource/mcp";
    let first = calling(world, "whoami").header("origin", ORIGIN).await?.has_status(401);
    let first = first.is_challenged_by(&format!(r#"scope="orders:read", resource_metadata="{metadata}""#));
    assert!(first.header("access-control-expose-headers").contains("www-authenticate"), "{first}");
    let document = world.get("/.well-known/oauth-protected-resource/mcp").await?;
    assert_eq!(document.json()?["scopes_supported"], json!(["orders:read", "orders:write"]));
    let preflight = Request::new("OPTIONS", "/mcp", Vec::new());
    let preflight =
        world.send(preflight).header("origin", ORIGIN).header("access-control-request-method", "POST");
    let preflight = preflight.await?.went_nowhere();
    for field in ["authorization", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"] {
        assert!(preflight.header("access-control-allow-headers").contains(field), "{field}");
    }

    calling(world, "whoami").bearer(&read).await?.is_served();
    let step_up = calling(world, "write_note").bearer(&read).await?.has_status(403);
    step_up.is_challenged_by(r#"scope="orders:read orders:write""#);
    calling(world, "write_note").bearer(&both).await?.is_served();
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"write_note"}}"#;
    sending(world, twice).bearer(&read).await?.has_status(400);
    world.get("/mcp").header("accept", "text/event-stream").bearer(&read).await?.is_served();
    Ok(())
}

fn calling<'w>(world: &'w World, tool: &str) -> Call<'w> {
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
    sending(world, &call.to_string()).case(tool)
}

fn sending<'w>(world: &'w World, body: &str) -> Call<'w> {
    let call = world.post("/mcp", body).header("content-type", "application/json");
    call.header("accept", "application/json, text/event-stream")
}

const ORIGIN: &str = "https://inspector.example.com";
