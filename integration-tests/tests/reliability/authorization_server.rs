//! The authorization server fails.

use anyhow::Result;
use integration_tests::faulty_server::Behaviour;
use integration_tests::trial::{Gateway, Harm};

use crate::effort;

/// If this failed, one fault of the authorization server would let somebody in, keep somebody waiting for ever, make clients throw
/// good tokens away, or outlast itself. All faults come to the same Envoy: had one left something behind, the next would show it.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_bears_every_fault_of_the_server() -> Result<()> {
    effort::with_workers(async |workers| {
        let mut gateway = Gateway::start(&format!("reliability-{workers}"), workers, |_| ()).await?;
        for (scenario, behaviour, harm) in FAULTS {
            gateway.try_server(scenario, effort::usual(), behaviour, harm).await?.write()?;
        }
        Ok(())
    })
    .await
}

/// If this failed, the gateway would bear faults only as long as few are there: all these wait at once for a server that
/// hangs, and come again at once when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_bear_a_server_that_hangs() -> Result<()> {
    let mut gateway = Gateway::start("reliability-crowded", 2, |_| ()).await?;
    let row = gateway
        .try_server("hangs, for a crowd of 500", effort::crowded(), Behaviour::Hangs, Harm::Total)
        .await?;
    row.write()
}

const FAULTS: [(&str, Behaviour, Harm); 15] = [
    ("hangs", Behaviour::Hangs, Harm::Total),
    ("resets in the middle of its answer", Behaviour::ResetsMidBody, Harm::Total),
    ("resets every connection", Behaviour::ResetsOnAccept, Harm::Total),
    ("answers with garbage", Behaviour::Garbage, Harm::Total),
    ("answers with 50 MiB", Behaviour::Floods, Harm::Total),
    ("sends a byte each 50 ms", Behaviour::Trickles, Harm::Total),
    ("announces more than it sends", Behaviour::PromisesTooMuch, Harm::Total),
    ("announces less than it sends", Behaviour::PromisesTooLittle, Harm::Total),
    ("answers twice", Behaviour::AnswersTwice, Harm::Maybe),
    ("closes kept connections", Behaviour::ClosesKeptConnections, Harm::Maybe),
    ("is up and down in turn", Behaviour::Flaps, Harm::Partial),
    ("refuses connections", Behaviour::Refuses, Harm::Total),
    ("answers 500", Behaviour::Answers(500), Harm::Total),
    ("answers 503", Behaviour::Answers(503), Harm::Total),
    ("answers 429", Behaviour::Answers(429), Harm::Total),
];
