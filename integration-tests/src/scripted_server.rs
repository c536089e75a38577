//! An authorization server that follows a script: for faults that a real one cannot be made to show. The response depends on the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Form;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response as HttpResponse;
use futures::stream;
use serde_json::Value;
use tokio::sync::watch;

use crate::eventually::eventually;
use crate::{secrets, server};

/// Starts a server that follows this script on a free port of loopback. Returns the port.
pub fn serve(script: impl Fn(Introspection) -> Response + Send + Sync + 'static) -> Result<u16> {
    let script = Arc::new(script);
    let answer = async move |headers: HeaderMap, form: Result<Form<Vec<(String, String)>>, FormRejection>| {
        let form = form.map(|Form(form)| form).unwrap_or_default();
        script(Introspection { headers, form }).sent().await
    };
    server::serve(Router::new().fallback(answer))
}

/// A server whose script is a table of tokens, to which a test adds.
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

/// An introspection request as the server received it.
#[derive(Clone, Debug)]
pub struct Introspection {
    pub headers: HeaderMap,
    pub form: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
    gate: Option<watch::Receiver<()>>,
    closes_early: bool,
    /// Held until the response is sent or the client has disconnected.
    _busy: Option<Arc<()>>,
}

/// The gate that holds a response back. Dropping it releases the response.
#[derive(Debug)]
pub struct Gate(watch::Sender<()>);

impl Gate {
    /// Releases the responses that the gate holds back, and those that are still to come.
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
    ///
    /// # Panics
    /// If no HTTP status has this number.
    pub fn untyped(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::from(body.into()),
            delay: Duration::ZERO,
            gate: None,
            closes_early: false,
            _busy: None,
        }
    }

    pub fn jwt(jwt: &str) -> Self {
        Self::new(200, "application/jwt", jwt)
    }

    /// A response with status 200 and this JSON.
    pub fn json(body: &Value) -> Self {
        Self::new(200, "application/json", body.to_string())
    }

    /// The response for a token that is not active.
    pub fn inactive() -> Self {
        Self::status(204)
    }

    /// A response without a body.
    pub fn status(status: u16) -> Self {
        Self::new(status, "text/plain", "")
    }

    /// Adds a header field.
    ///
    /// # Panics
    /// If the name or value is not valid in HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a field");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("the value of a field"));
        self
    }

    /// Delays the response by this long, so that a request waits. No assertion may depend on the delay: that is what a gate is for.
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

    /// Closes the connection after the body, before the response is complete.
    #[must_use]
    pub fn closing_early(self) -> Self {
        Self { closes_early: true, ..self }
    }

    async fn sent(mut self) -> HttpResponse {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if let Some(gate) = &mut self.gate {
            // Nothing is ever sent on the channel: it only closes when the gate is dropped.
            while gate.changed().await.is_ok() {}
        }
        let body = match self.closes_early {
            false => Body::from(self.body),
            true => {
                let end = Err(std::io::Error::other("the script says so"));
                Body::from_stream(stream::iter([Ok(self.body), end]))
            }
        };
        let mut http = HttpResponse::new(body);
        *http.status_mut() = self.status;
        *http.headers_mut() = self.headers;
        http
    }
}

impl ScriptedServer {
    /// Starts the server. A token without a response is not active.
    pub fn start() -> Result<Self> {
        let script = Arc::<Mutex<Script>>::default();
        let followed = Arc::clone(&script);
        let port = serve(move |introspection| lock(&followed).answer(introspection))?;
        Ok(Self { port, script })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the response to every introspection of `token`.
    pub fn respond(&self, token: &str, response: Response) {
        self.script().responses.insert(token.to_owned(), response);
    }

    /// The number of requests in progress. One whose client has disconnected does not count.
    pub fn busy(&self) -> usize {
        Arc::strong_count(&self.script().busy) - 1
    }

    /// Waits until the server was asked about `token` at least this often.
    ///
    /// # Errors
    /// If it was not after a long time.
    pub async fn asked(&self, token: &str, times: usize) -> Result<()> {
        let is_asked = async || Ok(self.introspections(token).len() >= times);
        eventually(&format!("{times} introspections of a token"), is_asked).await
    }

    /// The introspections of `token` so far.
    pub fn introspections(&self, token: &str) -> Vec<Introspection> {
        self.script().requests.get(token).cloned().unwrap_or_default()
    }

    /// How often the server was asked about these tokens so far.
    pub fn asked_about(&self, tokens: &[impl AsRef<str>]) -> usize {
        tokens.iter().map(|token| self.introspections(token.as_ref()).len()).sum()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

impl Script {
    fn answer(&mut self, introspection: Introspection) -> Response {
        if let Some(credentials) = introspection.field("authorization") {
            secrets::noted_credentials(credentials);
        }
        for (_, assertion) in introspection.form.iter().filter(|(name, _)| name == "client_assertion") {
            secrets::noted(assertion.clone());
        }
        let token = introspection.token().to_owned();
        let response = self.responses.get(&token).cloned().unwrap_or_else(Response::inactive);
        self.requests.entry(token).or_default().push(introspection);
        Response { _busy: Some(Arc::clone(&self.busy)), ..response }
    }
}

impl Introspection {
    /// The value of a parameter of the form, empty unless it occurs exactly once.
    pub fn parameter(&self, name: &str) -> &str {
        let mut values = self.form.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none()).unwrap_or_default()
    }

    /// The first value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token that the introspection is about: a parameter, or the credentials if the request has no form.
    pub fn token(&self) -> &str {
        match self.form.is_empty() {
            false => self.parameter("token"),
            true => self
                .field("authorization")
                .and_then(|value| value.strip_prefix("Bearer "))
                .unwrap_or_default(),
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().expect("no panic while it is locked")
}
