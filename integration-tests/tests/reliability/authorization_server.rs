//! Failures of the authorization server.

use anyhow::Result;
use integration_tests::fault::{FAULTS, Fault, Harm};
use integration_tests::faulty_server::Behaviour;
use integration_tests::trial::Gateway;

use crate::effort;

/// If this failed, a fault of the authorization server would let a request in, keep one waiting forever, make clients discard valid tokens,
/// or outlast itself. All faults hit the same Envoy: if one left something behind, the next would show it.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_survives_every_server_fault() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-{workers}"), workers, |_| ()).await?;
        for fault in FAULTS {
            gateway.try_fault(fault.name, effort::usual(), fault).await?.write()?;
        }
        Ok(())
    })
    .await
}

/// If this failed, there would be no remedy for a server that closes connections just when the next request arrives: a retry may meet
/// another such connection, but not where Envoy keeps none.
#[tokio::test(flavor = "multi_thread")]
async fn without_connection_reuse_closed_connections_cause_no_failures() -> Result<()> {
    effort::with_workers(async |workers| {
        let name = format!("reliability-unkept-{workers}");
        let mut gateway = Gateway::start_without_kept_connections(&name, workers).await?;
        let (name, behaviour) =
            ("closes kept connections, and Envoy keeps none", Behaviour::ClosesKeptConnections);
        let fault = Fault { name, behaviour, harm: Harm::None };
        gateway.try_fault(name, effort::usual(), fault).await?.write()
    })
    .await
}

/// If this failed, the gateway would withstand faults only with few clients: all of these wait at once for a server that hangs, and return
/// at once when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_survive_a_hanging_server() -> Result<()> {
    let mut gateway = Gateway::start("reliability-crowded", 2, |_| ()).await?;
    let fault = Fault { name: "hangs", behaviour: Behaviour::Hangs, harm: Harm::Total };
    let row = gateway.try_fault("hangs, for a crowd of 500", effort::heavy(), fault).await?;
    row.write()
}
