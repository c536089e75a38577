//! A load: many concurrent clients that keep their connections and send one request after the other, some with valid tokens and some
//! without, and record what they see.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::http1::{Connection, Message};
use crate::load_token::{LoadToken, TokenKind};
use crate::recording_api;

/// The number of clients, and how they behave.
#[derive(Clone, Copy, Debug)]
pub struct LoadProfile {
    pub clients: usize,
    /// How long each client waits between a response and its next request.
    pub pause: Duration,
    /// How long each client waits for a response before it gives up.
    pub patience: Duration,
}

/// The clients, which send requests until they are stopped.
pub struct Load {
    clients: JoinSet<()>,
    is_over: watch::Sender<bool>,
    notes: Arc<Mutex<Vec<Observation>>>,
}

/// One request, and what its client saw.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    pub client: usize,
    pub request: u64,
    pub token: Option<LoadToken>,
    pub sent: Instant,
    /// When the client observed the result.
    pub seen: Instant,
    pub observed: Observed,
}

/// The result of a request as its client observes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    Answer {
        status: u16,
        is_challenge: bool,
        says_when: bool,
        /// Whether the response is the API's, to this very request.
        is_own: bool,
    },
    /// The connection was closed or refused.
    Cut,
    /// No response within the client's patience.
    Silence,
}

impl Load {
    /// Starts the clients, which call a port of loopback. Each first presents every known token.
    pub fn gather(port: u16, load: LoadProfile) -> Self {
        let (is_over, notes) = (watch::Sender::new(false), Arc::<Mutex<Vec<Observation>>>::default());
        let mut clients = JoinSet::new();
        for number in 0..load.clients {
            let client = Client { number, port, load, notes: Arc::clone(&notes), connection: None };
            clients.spawn(client.work(is_over.subscribe()));
        }
        Self { clients, is_over, notes }
    }

    /// Waits until every client was served with a cold token that it sent after this time.
    ///
    /// # Errors
    /// If some client was not served within this duration.
    pub async fn everyone_is_served(&self, since: Instant, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut waiting: HashSet<usize> = (0..self.clients.len()).collect();
        let mut looked_at = 0;
        while !waiting.is_empty() {
            ensure!(Instant::now() < deadline, "{} clients were not served again", waiting.len());
            tokio::time::sleep(INTERVAL).await;
            let notes = self.notes.lock().ok().context("a client panicked")?;
            for note in notes.iter().skip(looked_at).filter(|note| note.sent >= since && note.is_cold()) {
                if note.is_served() {
                    waiting.remove(&note.client);
                }
            }
            looked_at = notes.len();
        }
        Ok(())
    }

    /// Stops the clients once they have their last responses, and returns everything that they observed.
    pub async fn disperse(mut self) -> Result<Vec<Observation>> {
        self.is_over.send_replace(true);
        while let Some(end) = self.clients.join_next().await {
            end?;
        }
        Ok(std::mem::take(&mut *self.notes.lock().ok().context("a client panicked")?))
    }
}

impl Observation {
    pub fn is_served(&self) -> bool {
        matches!(self.observed, Observed::Answer { status: 200, is_own: true, .. })
    }

    /// Whether the token was valid, and new to the gateway.
    pub fn is_cold(&self) -> bool {
        self.token.is_some_and(|token| token.kind() == TokenKind::Cold)
    }
}

struct Client {
    number: usize,
    port: u16,
    load: LoadProfile,
    notes: Arc<Mutex<Vec<Observation>>>,
    connection: Option<Connection>,
}

impl Client {
    async fn work(mut self, is_over: watch::Receiver<bool>) {
        // Spreads the clients over time and over tokens.
        tokio::time::sleep(self.load.pause * self.number as u32 / self.load.clients as u32).await;
        let client = self.number;
        let introduction = (0..KNOWN).map(|number| Some(LoadToken::known(number)));
        let habits = (client..).map(|step| HABITS[step % HABITS.len()].credentials(client));
        for token in introduction.chain(habits) {
            if *is_over.borrow() {
                return;
            }
            let observation = self.ask(token).await;
            if let Ok(mut notes) = self.notes.lock() {
                notes.push(observation);
            }
            tokio::time::sleep(self.load.pause).await;
        }
    }

    async fn ask(&mut self, token: Option<LoadToken>) -> Observation {
        let (request, sent) = (next_request(), Instant::now());
        // A connection is not reused if its response was not read completely, or announced that it closes.
        let connection = self.connection.take();
        let exchange = exchange(connection, self.port, request, token);
        let observed = match tokio::time::timeout(self.load.patience, exchange).await {
            Err(_) => Observed::Silence,
            Ok(Err(_)) => Observed::Cut,
            Ok(Ok((connection, answer))) => {
                let has = |name| answer.fields(name).next().is_some();
                self.connection =
                    Some(connection).filter(|_| !answer.fields("connection").any(|value| value == "close"));
                Observed::Answer {
                    status: answer.status().unwrap_or_default(),
                    is_challenge: has("www-authenticate"),
                    says_when: has("retry-after"),
                    is_own: answer.body == request.to_string().as_bytes(),
                }
            }
        };
        Observation { client: self.number, request, token, sent, seen: Instant::now(), observed }
    }
}

/// Returns a unique number for a request.
pub(crate) fn next_request() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Sends a request on this connection, or on a new one, and returns its response.
pub(crate) async fn exchange(
    connection: Option<Connection>,
    port: u16,
    request: u64,
    token: Option<LoadToken>,
) -> Result<(Connection, Message)> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::new(TcpStream::connect(("127.0.0.1", port)).await?),
    };
    let credentials = token.map(|token| format!("authorization: Bearer {}\r\n", token.text()));
    let path = recording_api::path(request, token);
    let credentials = credentials.unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\n{credentials}\r\n");
    connection.write(head.as_bytes()).await?;
    let answer = connection.read().await?.context("closed without an answer")?;
    Ok((connection, answer))
}

/// The kind of credentials that a client presents.
#[derive(Clone, Copy)]
enum Habit {
    Known,
    Fresh(TokenKind),
    Nothing,
}

impl Habit {
    fn credentials(self, client: usize) -> Option<LoadToken> {
        match self {
            Self::Known => Some(LoadToken::known(client as u64 % KNOWN)),
            Self::Fresh(kind) => Some(LoadToken::fresh(kind)),
            Self::Nothing => None,
        }
    }
}

const HABITS: [Habit; 8] = [
    Habit::Known,
    Habit::Fresh(TokenKind::Cold),
    Habit::Known,
    Habit::Fresh(TokenKind::Unknown),
    Habit::Known,
    Habit::Fresh(TokenKind::Cold),
    Habit::Known,
    Habit::Nothing,
];

const KNOWN: u64 = 4;
const INTERVAL: Duration = Duration::from_millis(10);
