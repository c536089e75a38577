//! Waiting for a state, never for a fixed time: on a busy machine, anything may take long.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};

/// Checks a condition repeatedly until it holds.
///
/// # Errors
/// If the condition does not hold after a long time. `what` describes it.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let look = async {
        while !is_so().await? {
            tokio::time::sleep(INTERVAL).await;
        }
        anyhow::Ok(())
    };
    soon(what, look).await?
}

/// Waits for a future.
///
/// # Errors
/// If the future is not ready after a long time. `what` describes it.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("never happened: {what}"))
}

/// The one deadline for whatever a test waits for: longer than any configured timeout, and longer than a busy machine ever stalls.
pub const PATIENCE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(20);
