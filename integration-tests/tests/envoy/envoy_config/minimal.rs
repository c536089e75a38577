//! `envoy.yaml`, which the demo runs as well.

use anyhow::Result;
use integration_tests::authorization_server::GATEWAY_SECRET;
use integration_tests::envoy::Envoy;
use integration_tests::envoy_config;
use integration_tests::testkit::World;

use super::story;

/// If this failed, the first file that users try would not do what the README says.
#[tokio::test]
async fn r001_r035_r074_the_story_runs_through_the_smallest_file() -> Result<()> {
    let world = World::certified("envoy-minimal")?;
    let bootstrap = envoy_config::on_loopback("envoy.yaml", world.server(), &world.api)?.text();
    let secret = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
    let envoy = Envoy::start("envoy-minimal", &bootstrap, &secret, &["ingress"]).await?;
    story::run(&world.around(envoy, "ingress"), |call| call).await?;
    Ok(())
}
