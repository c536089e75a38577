//! Envoy itself goes, or changes.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration_tests::trial::{self, DRAIN_SECONDS, Expected, Gateway, Harm, LISTENER};
use serde_json::json;

use crate::effort;

/// What goes is Envoy's connections; whoever comes through is treated as ever.
const GOES: Expected = Expected { harm: Harm::None, cuts: true };

/// If this failed, a change of configuration would be an outage, or let somebody through.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_changed_under_load() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-reload-{workers}"), workers, |_| ()).await?;
        let changes = async |gateway: &mut Gateway| {
            for number in 0..4 {
                let mut next = trial::configuration();
                next["realm"] = json!(format!("realm-{number}"));
                ensure!(
                    gateway.envoy.reconfigure(LISTENER, &next).await?,
                    "a good configuration was refused"
                );
                next["rules"] = json!("none");
                ensure!(!gateway.envoy.reconfigure(LISTENER, &next).await?, "a bad configuration was taken");
            }
            tokio::time::sleep(DRAINED).await;
            Ok(())
        };
        gateway.run("Envoy is reconfigured", effort::usual(), GOES, changes).await?.write()
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
            ensure!(gateway.envoy.traps().is_empty(), "{:?}", gateway.envoy.traps());
            gateway.envoy.restart("restarted").await
        };
        gateway.run("Envoy is drained and restarted", effort::usual(), GOES, deployment).await?.write()
    })
    .await
}

/// If this failed, a crash would be worse than the time until Envoy is back.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_killed_and_started_again() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-kill-{workers}"), workers, |_| ()).await?;
        let crash = async |gateway: &mut Gateway| gateway.envoy.restart("restarted").await;
        gateway.run("Envoy is killed and restarted", effort::usual(), GOES, crash).await?.write()
    })
    .await
}

/// Longer than Envoy keeps what it lets go.
const DRAINED: Duration = Duration::from_millis(DRAIN_SECONDS as u64 * 1000 + 500);
