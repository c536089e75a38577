//! Waits for a state, never for a moment: on a busy machine, anything may take long.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};

/// Looks again and again, until it is so.
///
/// # Errors
/// It is not so after a long time; `what` says what was waited for.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let look = async {
        while !is_so().await? {
            tokio::time::sleep(INTERVAL).await;
        }
        anyhow::Ok(())
    };
    soon(what, look).await?
}

/// Waits for the end of something.
///
/// # Errors
/// It has none after a long time; `what` says what was waited for.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("never happened: {what}"))
}

/// The one deadline of whatever a test waits for: longer than any timeout that is configured, and than a busy machine stands still.
pub const PATIENCE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(20);
