//! An authorization server that follows a script: for faults that a real one cannot be made to show. What it answers
//! depends on the token that it is asked about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use futures::stream;
use tokio::sync::watch;

use crate::eventually::eventually;
use crate::{secrets, server};

/// The server, running.
#[derive(Clone)]
pub struct ScriptedServer {
    port: u16,
    state: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    plays: HashMap<String, Play>,
    busy: Arc<()>,
    requests: HashMap<String, Vec<Introspection>>,
}

/// An introspection request as it arrived.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The header fields.
    pub headers: HeaderMap,
    /// The form.
    pub form: Vec<(String, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Play {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    delay: Duration,
    gate: Option<watch::Receiver<()>>,
    breaks_off: bool,
}

/// What a play waits for; dropping it lets the play go on.
#[derive(Debug)]
pub struct Gate(watch::Sender<()>);

impl Gate {
    /// Lets the answers go that it held back, and those that are still to come.
    pub fn open(self) {
        drop(self.0);
    }
}

impl Play {
    /// An answer with a body of this media type.
    pub fn answer(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { status, headers, body: body.into(), delay: Duration::ZERO, gate: None, breaks_off: false }
    }

    /// 200 with a JWT.
    pub fn jwt(jwt: &str) -> Self {
        Self::answer(200, "application/jwt", jwt)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Takes at least this long, so that a request waits. What is shown must not depend on that it does: for that, there is a gate.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Holds the answer back until the gate is opened.
    pub fn held(mut self) -> (Self, Gate) {
        let (gate, closed) = watch::channel(());
        self.gate = Some(closed);
        (self, Gate(gate))
    }

    /// Closes the connection behind the body, which is not at its end.
    #[must_use]
    pub fn breaking_off(mut self) -> Self {
        self.breaks_off = true;
        self
    }
}

impl ScriptedServer {
    /// Starts it. A token that no play is for is not active.
    pub fn start() -> Result<Self> {
        let state = Arc::<Mutex<Script>>::default();
        let app = Router::new().route("/introspect", post(introspect)).with_state(Arc::clone(&state));
        Ok(Self { port: server::serve(app)?, state })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Plays this whenever it is asked about `token`.
    pub fn play(&self, token: &str, play: Play) -> Result<()> {
        let mut script = self.state.lock().ok().context("a test panicked with the script in hand")?;
        script.plays.insert(token.to_owned(), play);
        Ok(())
    }

    /// How many requests it is working at. One whose client has gone away is none any more.
    pub fn busy(&self) -> usize {
        self.state.lock().map(|script| Arc::strong_count(&script.busy) - 1).unwrap_or_default()
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
        self.state
            .lock()
            .map(|script| script.requests.get(token).cloned().unwrap_or_default())
            .unwrap_or_default()
    }
}

impl Introspection {
    /// The value of a parameter of the form, empty if it is not there exactly once.
    pub fn parameter(&self, name: &str) -> &str {
        let mut values = self.form.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none()).unwrap_or_default()
    }
}

async fn introspect(
    State(state): State<Arc<Mutex<Script>>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, StatusCode> {
    if let Some(credentials) = headers.get("authorization").and_then(|value| value.to_str().ok()) {
        secrets::noted_credentials(credentials);
    }
    for (_, assertion) in form.iter().filter(|(name, _)| name == "client_assertion") {
        secrets::noted(assertion.clone());
    }
    let token = form.iter().find(|(name, _)| name == "token").map(|(_, token)| token.clone());
    let token = token.ok_or(StatusCode::BAD_REQUEST)?;
    let (mut play, _busy) = {
        let mut script = state.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        script.requests.entry(token.clone()).or_default().push(Introspection { headers, form });
        let play = script.plays.get(&token).cloned().unwrap_or_else(|| Play::answer(204, "text/plain", ""));
        (play, Arc::clone(&script.busy))
    };
    tokio::time::sleep(play.delay).await;
    if let Some(gate) = &mut play.gate {
        // It only ever changes by being dropped.
        while gate.changed().await.is_ok() {}
    }
    let mut response = Response::builder().status(play.status);
    for (name, value) in &play.headers {
        response = response.header(*name, value);
    }
    let body = match play.breaks_off {
        false => Body::from(play.body),
        true => {
            let end = Err(std::io::Error::other("the script says so"));
            Body::from_stream(stream::iter([Ok(play.body), end]))
        }
    };
    response.body(body).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
