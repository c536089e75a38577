//! Restarts and changes of Envoy itself.

use anyhow::{Result, ensure};
use integration_tests::trial::{DRAINED, GOES, Gateway};

use crate::effort;

/// If this failed, a change of configuration would cause an outage, or let a request through.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_changed_under_load() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-reload-{workers}"), workers, |_| ()).await?;
        gateway.try_changes("Envoy is reconfigured", effort::usual(), 4).await?.write()
    })
    .await
}

/// If this failed, a deployment would be an outage for longer than Envoy needs to start.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_drained_and_started_again() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-drain-{workers}"), workers, |_| ()).await?;
        let deployment = async |gateway: &mut Gateway| {
            gateway.envoy.drain().await?;
            tokio::time::sleep(DRAINED).await;
            let traps = gateway.envoy.traps()?;
            ensure!(traps.is_empty(), "a VM stopped: {traps:?}");
            gateway.envoy.restart("restarted").await
        };
        gateway.run("Envoy is drained and restarted", effort::usual(), GOES, deployment).await?.write()
    })
    .await
}

/// If this failed, a crash would affect clients for longer than until Envoy is back.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_killed_and_started_again() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-kill-{workers}"), workers, |_| ()).await?;
        let crash = async |gateway: &mut Gateway| gateway.envoy.restart("restarted").await;
        gateway.run("Envoy is killed and restarted", effort::usual(), GOES, crash).await?.write()
    })
    .await
}
