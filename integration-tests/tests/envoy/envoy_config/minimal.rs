//! `envoy.yaml`, which the demo runs as well.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::envoy::Envoy;
use integration_tests::envoy_config;

use super::story;

/// If this failed, the first file that everybody tries would not do what the README says.
#[tokio::test]
async fn r001_r035_r074_the_story_runs_through_the_smallest_file() -> Result<()> {
    let (server, api) = (AuthorizationServer::start("envoy-minimal")?, Api::start()?);
    let bootstrap = envoy_config::on_loopback("envoy.yaml", &server, &api)?.text();
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let envoy = Envoy::start("envoy-minimal", &bootstrap, &secret, &["ingress"]).await?;
    let client = envoy.client("ingress");
    story::tell("minimal", async |request| client.send(request).await, &server, &api).await?;
    Ok(())
}
