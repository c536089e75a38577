//! Clients that send requests continuously while something happens to the server, and the results.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::testkit::World;

/// The number of requests by status and reason.
pub type Seen = BTreeMap<(u16, String), u64>;

/// Clients of one listener, each with one of these tokens.
pub struct Load<'w> {
    world: &'w World,
    listener: &'static str,
    tokens: &'w [String],
    seen: Mutex<Seen>,
}

impl<'w> Load<'w> {
    pub fn at(world: &'w World, listener: &'static str, tokens: &'w [String]) -> Self {
        Self { world, listener, tokens, seen: Mutex::default() }
    }

    /// The results so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Waits until this many more requests have ended with this status.
    pub async fn sees(&self, status: u16, more: u64) -> Result<()> {
        let count = || {
            self.seen().iter().filter(|((seen, _), _)| *seen == status).map(|(_, count)| count).sum::<u64>()
        };
        let least = count() + more;
        eventually(&format!("{least} times {status} at {}", self.listener), async || Ok(count() >= least))
            .await
    }

    async fn call(&self, token: &str, is_over: &AtomicBool) -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            let outcome = self.world.orders(token).at(self.listener).await?;
            let status = outcome.status;
            let reason = outcome.has_status(status).reason().to_owned();
            if let Ok(mut seen) = self.seen.lock() {
                *seen.entry((status, reason)).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// Runs something while all these clients send requests.
pub async fn under(loads: &[&Load<'_>], happens: impl Future<Output = Result<()>>) -> Result<()> {
    let is_over = AtomicBool::new(false);
    let clients = loads.iter().flat_map(|load| load.tokens.iter().map(|token| load.call(token, &is_over)));
    let happens = async {
        let result = happens.await;
        is_over.store(true, Ordering::Relaxed);
        result
    };
    let (clients, happened) = tokio::join!(futures::future::try_join_all(clients), happens);
    clients?;
    happened
}
