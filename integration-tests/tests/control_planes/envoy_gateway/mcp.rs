//! The MCP example in Envoy Gateway and its translator.

use anyhow::{Context, Result};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::control_planes::envoy_gateway::translate;
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::Manifests;
use integration_tests::tls_client::SERVER_NAME;
use serde_json::json;

use super::{IMAGE, POLICY, ingress};
use crate::entrance::Entrance;
use crate::mcp::{calling, is_as_documented};

/// If this failed, an MCP server behind Envoy Gateway would be open to tokens of the API, closed to clients that follow the page, or cut
/// their streams.
#[tokio::test]
async fn r287_envoy_gateway_makes_of_the_example_for_mcp_what_its_page_says() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let manifests = Manifests::build(EXAMPLE)?.with(
        POLICY.0,
        POLICY.1,
        IMAGE,
        json!(ingress.registry.reference("phantom-token:0.1.0")),
    )?;
    ingress.apply(&manifests)?;
    // Until the MCP server's route exists, the route for all paths leads to the API.
    eventually("the MCP server is there", async || {
        let dump = ingress.world.envoy.configuration().await?;
        let has_route = json::find(&dump, &|one| one["match"]["path"] == "/mcp").is_some();
        let challenges = ingress.send(calling("whoami"))?.await?.challenges().join(" ");
        Ok(has_route && challenges.contains("mcp:read"))
    })
    .await?;
    is_as_documented(ingress, "https://any.example.org").await?;
    ingress.apply(&ingress.manifests)?;
    eventually("the MCP server is gone", async || Ok(ingress.send(calling("whoami"))?.await?.status == 403))
        .await?;
    ingress.serves().await
}

/// If this failed, the translator's output before anything is applied would lack the server's route or its CORS.
#[test]
fn the_translator_takes_the_example_for_mcp() -> Result<()> {
    let certificate = CertificateAuthority::new()?.certify_server(SERVER_NAME)?;
    let translated = translate(&Manifests::build(EXAMPLE)?, &certificate)?;
    let route = json::find(&translated, &|one| one["match"]["path"] == "/mcp").context("no route")?;
    let cors = &route["typedPerFilterConfig"]["envoy.filters.http.cors"];
    assert!(cors["allowHeaders"].as_str().is_some_and(|fields| fields.contains("mcp-name")), "{route}");
    Ok(())
}

const EXAMPLE: &str = "envoy-config/envoy-gateway-mcp";
