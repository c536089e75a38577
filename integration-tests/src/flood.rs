//! A flood of valid tokens that are new to the gateway, mixed with a few cached ones, as fast as some connections carry them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::eventually::soon;
use crate::load::{exchange, next_request};
use crate::load_token::{LoadToken, TokenKind};

/// The number of tokens, and over how many connections they are sent.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    pub tokens: u64,
    /// The number of connections, each of which sends one request after the other.
    pub connections: usize,
}

/// The number of requests by the status of their responses.
pub type Statuses = BTreeMap<u16, u64>;

impl Flood {
    /// Sends the flood to a port of loopback, and waits until it is over.
    pub async fn pour(self, port: u16) -> Result<Statuses> {
        let poured = Arc::new(AtomicU64::new(0));
        let mut carriers = JoinSet::new();
        for _ in 0..self.connections {
            carriers.spawn(carry(port, self.tokens, Arc::clone(&poured)));
        }
        let mut statuses = Statuses::new();
        while let Some(carried) = carriers.join_next().await {
            for (status, count) in carried?? {
                *statuses.entry(status).or_default() += count;
            }
        }
        Ok(statuses)
    }
}

/// The tokens that are sent again and again.
pub fn hot_tokens() -> impl Iterator<Item = LoadToken> {
    (0..HOT).map(LoadToken::known)
}

async fn carry(port: u16, tokens: u64, poured: Arc<AtomicU64>) -> Result<Statuses> {
    let (mut connection, mut statuses) = (None, Statuses::new());
    loop {
        let number = poured.fetch_add(1, Ordering::Relaxed);
        if number >= tokens {
            return Ok(statuses);
        }
        let hot = number.is_multiple_of(APART).then(|| LoadToken::known(number / APART % HOT));
        for token in hot.into_iter().chain([LoadToken::fresh(TokenKind::Cold)]) {
            let exchange = exchange(connection, port, next_request(), Some(token));
            let (kept, answer) = soon("an answer", exchange).await??;
            connection = Some(kept);
            *statuses.entry(answer.status().unwrap_or_default()).or_default() += 1;
        }
    }
}

const HOT: u64 = 10;

/// The number of new tokens between two hot ones.
const APART: u64 = 20;
