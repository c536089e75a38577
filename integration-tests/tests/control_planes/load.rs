//! A load during a change by a control plane: every request of its clients has to be served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use integration_tests::client::Request;
use integration_tests::eventually::eventually;
use integration_tests::tls_client::TlsClient;
use tokio::task::JoinHandle;

use crate::entrance::Entrance;

/// Clients that send requests repeatedly, each with its own token: half of them on a new connection each time, half on one that they keep
/// until the gateway announces that it closes it.
pub struct Load {
    clients: Vec<JoinHandle<Result<()>>>,
    served: Arc<Vec<AtomicU64>>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Starts the clients, which call this ingress.
    pub async fn gather(entrance: &impl Entrance) -> Result<Self> {
        let world = entrance.world();
        let served: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| AtomicU64::new(0)).collect());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = TlsClient::of(world.client(), entrance.web(), None)?;
            let token = world.issue("orders:read").await?;
            let (served, is_over) = (Arc::clone(&served), Arc::clone(&is_over));
            clients.push(tokio::spawn(async move {
                let keeps = number % 2 == 0;
                let mut kept = None;
                while !is_over.load(Ordering::Relaxed) {
                    let mut connection = match kept.take() {
                        Some(connection) => connection,
                        None => client.connect().await?,
                    };
                    let answer = connection.send(Request::get("/orders").bearer(&token)).await?;
                    kept = Some(connection).filter(|_| keeps && answer.header("connection") != "close");
                    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
                    served[number].fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        Ok(Self { clients, served, is_over })
    }

    /// Waits until each client was served several more times, or failed.
    pub async fn goes_on(&self) -> Result<()> {
        let before: Vec<u64> = self.served.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        eventually("all clients are served", async || {
            let mut all = self.served.iter().zip(&before).zip(&self.clients);
            Ok(all.all(|((now, before), client)| {
                client.is_finished() || now.load(Ordering::Relaxed) >= before + TIMES
            }))
        })
        .await
    }

    /// Stops the clients.
    ///
    /// # Errors
    /// If a request got another status than 200, or no response.
    pub async fn disperse(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await??;
        }
        Ok(())
    }
}

const CLIENTS: usize = 8;
const TIMES: u64 = 10;
