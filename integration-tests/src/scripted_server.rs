//! An authorization server that follows a script: for faults that a real one cannot be made to show. The response depends on
//! the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response as HttpResponse;
use axum::routing::{get, post};
use futures::stream;
use serde_json::Value;
use tokio::sync::watch;

use crate::eventually::eventually;
use crate::{secrets, server};

/// The server, running.
#[derive(Clone)]
pub struct ScriptedServer {
    port: u16,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    responses: HashMap<String, Response>,
    busy: Arc<()>,
    requests: HashMap<String, Vec<Introspection>>,
}

/// An introspection request as it arrived.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The header fields.
    pub headers: HeaderMap,
    pub form: Vec<(String, String)>,
}

/// What the server answers about a token.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    gate: Option<watch::Receiver<()>>,
    closes_early: bool,
}

/// What a response waits for; dropping it lets the response go.
#[derive(Debug)]
pub struct Gate(watch::Sender<()>);

impl Gate {
    /// Lets the responses go that it held back, and those that are still to come.
    pub fn open(self) {
        drop(self.0);
    }
}

impl Response {
    /// A response with a body of this media type.
    pub fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::untyped(status, body).header("content-type", media_type)
    }

    /// A response without a media type.
    pub fn untyped(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = Vec::new();
        Self { status, headers, body: body.into(), delay: Duration::ZERO, gate: None, closes_early: false }
    }

    pub fn jwt(jwt: &str) -> Self {
        Self::new(200, "application/jwt", jwt)
    }

    /// 200 with this JSON.
    pub fn json(body: &Value) -> Self {
        Self::new(200, "application/json", body.to_string())
    }

    /// The token is not active.
    pub fn inactive() -> Self {
        Self::status(204)
    }

    /// A response without a body.
    pub fn status(status: u16) -> Self {
        Self::new(status, "text/plain", "")
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes at least this long, so that a request waits. What is shown must not depend on that it does: for that, there is a gate.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Holds the response back until the gate is opened.
    pub fn held(mut self) -> (Self, Gate) {
        let (gate, closed) = watch::channel(());
        self.gate = Some(closed);
        (self, Gate(gate))
    }

    /// Closes the connection behind the body, which is not at its end.
    #[must_use]
    pub fn closing_early(self) -> Self {
        Self { closes_early: true, ..self }
    }
}

impl ScriptedServer {
    /// Starts it. A token that no response is for is not active.
    pub fn start() -> Result<Self> {
        let script = Arc::<Mutex<Script>>::default();
        let app = Router::new().route("/introspect", post(introspect)).route("/userinfo", get(user_info));
        let app = app.with_state(Arc::clone(&script));
        Ok(Self { port: server::serve(app)?, script })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers this whenever it is asked about `token`.
    pub fn respond(&self, token: &str, response: Response) {
        self.script().responses.insert(token.to_owned(), response);
    }

    /// How many requests it is working at. One whose client has gone away is none any more.
    pub fn busy(&self) -> usize {
        Arc::strong_count(&self.script().busy) - 1
    }

    /// Waits until it was asked about `token` this often, or more.
    ///
    /// # Errors
    /// It was not, after a long time.
    pub async fn asked(&self, token: &str, times: usize) -> Result<()> {
        let is_asked = async || Ok(self.introspections(token).len() >= times);
        eventually(&format!("{times} introspections of a token"), is_asked).await
    }

    /// What it was asked about `token` so far.
    pub fn introspections(&self, token: &str) -> Vec<Introspection> {
        self.script().requests.get(token).cloned().unwrap_or_default()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

impl Introspection {
    /// The value of a parameter of the form, empty if it is not there exactly once.
    pub fn parameter(&self, name: &str) -> &str {
        let mut values = self.form.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none()).unwrap_or_default()
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().expect("nobody panics with the script in hand")
}

async fn introspect(
    State(script): State<Arc<Mutex<Script>>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<HttpResponse, StatusCode> {
    if let Some(credentials) = headers.get("authorization").and_then(|value| value.to_str().ok()) {
        secrets::noted_credentials(credentials);
    }
    for (_, assertion) in form.iter().filter(|(name, _)| name == "client_assertion") {
        secrets::noted(assertion.clone());
    }
    let token = form.iter().find(|(name, _)| name == "token").map(|(_, token)| token.clone());
    let token = token.ok_or(StatusCode::BAD_REQUEST)?;
    answer(script, token, Introspection { headers, form }).await
}

/// Answers about a token that is the credentials of the request.
async fn user_info(
    State(script): State<Arc<Mutex<Script>>>,
    headers: HeaderMap,
) -> Result<HttpResponse, StatusCode> {
    let credentials = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = credentials.and_then(|credentials| credentials.strip_prefix("Bearer "));
    let token = token.ok_or(StatusCode::BAD_REQUEST)?.to_owned();
    answer(script, token, Introspection { headers, form: Vec::new() }).await
}

async fn answer(
    script: Arc<Mutex<Script>>,
    token: String,
    introspection: Introspection,
) -> Result<HttpResponse, StatusCode> {
    let (mut response, _busy) = {
        let mut script = lock(&script);
        script.requests.entry(token.clone()).or_default().push(introspection);
        let response = script.responses.get(&token).cloned().unwrap_or_else(Response::inactive);
        (response, Arc::clone(&script.busy))
    };
    tokio::time::sleep(response.delay).await;
    if let Some(gate) = &mut response.gate {
        // It only ever changes by being dropped.
        while gate.changed().await.is_ok() {}
    }
    let mut http = HttpResponse::builder().status(response.status);
    for (name, value) in &response.headers {
        http = http.header(name, value);
    }
    let body = match response.closes_early {
        false => Body::from(response.body),
        true => {
            let end = Err(std::io::Error::other("the script says so"));
            Body::from_stream(stream::iter([Ok(response.body), end]))
        }
    };
    http.body(body).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
