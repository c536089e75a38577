//! Clients of one listener, whose connections stay open from turn to turn, so that a turn can be short and consists only of requests. Any
//! status but 200, or a broken connection, is an error: the cost of refusals is not measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use axum::http::{HeaderValue, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub struct LoadClient {
    connections: Vec<Connection>,
    credentials: Arc<Rotation>,
}

/// What clients did in a turn.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub requests: u64,
    /// The time from the first request to the last response.
    pub elapsed: Duration,
}

type Connection = SendRequest<Empty<Bytes>>;

impl LoadClient {
    /// Opens connections to a port of loopback. The requests have these tokens in turn, or none if there are none.
    pub async fn connect(port: u16, connections: usize, tokens: &[&str]) -> Result<Self> {
        let credentials = |token: &&str| HeaderValue::from_str(&format!("Bearer {token}"));
        let all = tokens.iter().map(credentials).collect::<Result<_, _>>()?;
        let credentials = Arc::new(Rotation { all, next: AtomicUsize::new(0) });
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(connect(port).await?);
        }
        Ok(Self { connections: open, credentials })
    }

    /// Keeps every connection busy for this long: the next request is sent when the previous response has arrived.
    pub async fn saturate(&mut self, path: &'static str, duration: Duration) -> Result<Load> {
        let began = Instant::now();
        let end = began + duration;
        self.until(path, move || Instant::now() < end).await
    }

    /// Sends each token this many times, or this many requests if there is no token.
    pub async fn send_all(&mut self, path: &'static str, times: usize) -> Result<Load> {
        let left = AtomicUsize::new(times * self.credentials.all.len().max(1));
        let take = |left: usize| left.checked_sub(1);
        self.until(path, move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()).await
    }

    /// Sends requests at this rate for this long, whether or not earlier ones are answered, and returns how long each took from the moment
    /// it was due. The time a request waits for a free connection counts.
    pub async fn pace(&mut self, path: &'static str, rate: u32, duration: Duration) -> Result<Vec<Duration>> {
        let (issue, issued) = mpsc::unbounded_channel();
        let issued = Arc::new(Mutex::new(issued));
        let pacer = std::thread::spawn(move || pace(rate, duration, &issue));
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (credentials, issued) = (Arc::clone(&self.credentials), Arc::clone(&issued));
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while let Some(due) = next(&issued).await {
                    exchange(&mut connection, credentials.request(path)?).await?;
                    latencies.push(due.elapsed());
                }
                anyhow::Ok((connection, latencies))
            });
        }
        let mut all = Vec::new();
        while let Some(task) = tasks.join_next().await {
            let (connection, latencies) = task??;
            self.connections.push(connection);
            all.extend(latencies);
        }
        pacer.join().map_err(|_| anyhow!("the pacer panicked"))?;
        Ok(all)
    }

    /// Keeps every connection busy while `has_more` returns true.
    async fn until(
        &mut self,
        path: &'static str,
        has_more: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Load> {
        let began = Instant::now();
        let has_more = Arc::new(has_more);
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (credentials, has_more) = (Arc::clone(&self.credentials), Arc::clone(&has_more));
            tasks.spawn(async move {
                let mut requests = 0;
                while has_more() {
                    exchange(&mut connection, credentials.request(path)?).await?;
                    requests += 1;
                }
                anyhow::Ok((connection, requests))
            });
        }
        let mut requests = 0;
        while let Some(task) = tasks.join_next().await {
            let (connection, answered): (_, u64) = task??;
            self.connections.push(connection);
            requests += answered;
        }
        Ok(Load { requests, elapsed: began.elapsed() })
    }
}

/// The credentials, which all connections use in turn.
struct Rotation {
    all: Vec<HeaderValue>,
    next: AtomicUsize,
}

impl Rotation {
    fn request(&self, path: &'static str) -> Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(path).header(header::HOST, HOST);
        let number = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.all.len());
        if let Some(credentials) = number.and_then(|number| self.all.get(number)) {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        Ok(request.body(Empty::new())?)
    }
}

async fn connect(port: u16) -> Result<Connection> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(connection: &mut Connection, request: Request<Empty<Bytes>>) -> Result<()> {
    connection.ready().await?;
    let response = connection.send_request(request).await.context("a connection broke")?;
    ensure!(response.status() == StatusCode::OK, "a request was answered with {}", response.status());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// Waits for the next request and returns when it was due. Idle connections wait here.
async fn next(issued: &Mutex<mpsc::UnboundedReceiver<Instant>>) -> Option<Instant> {
    issued.lock().await.recv().await
}

/// Issues a request whenever one is due, by a clock that waits for no response. If this thread itself is late, the request is due when it
/// is issued: that delay is not the gateway's.
fn pace(rate: u32, duration: Duration, issue: &mpsc::UnboundedSender<Instant>) {
    let began = Instant::now();
    let interval = Duration::from_secs(1) / rate.max(1);
    let mut due = began;
    while due < began + duration && issue.send(Instant::now()).is_ok() {
        due += interval;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

const HOST: &str = "api.example.com";
