//! Waiting for what takes its time.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::PATIENCE;

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
    tokio::time::timeout(PATIENCE, look).await.with_context(|| format!("never happened: {what}"))?
}

const INTERVAL: Duration = Duration::from_millis(20);
