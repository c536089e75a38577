//! Pages in a real browser: headless Chromium, and websites on loopback, each with its own origin, whose page makes the calls
//! of a test and reports what it could read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::eventually::soon;
use crate::process::Process;
use crate::{paths, server};

/// A website that serves one page.
pub struct Website {
    port: u16,
    visits: Visits,
    count: AtomicUsize,
}

/// A call that the page makes by `fetch`.
#[derive(Clone, Debug)]
pub struct Call {
    url: String,
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    cookie: Option<String>,
}

/// What the page could know of an answer.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It could read it.
    Answer {
        /// The status code.
        status: u64,
        /// The header fields that it was shown.
        headers: HashMap<String, String>,
        /// The body, null if it is not JSON.
        body: Value,
    },
    /// The browser did not let it read anything, and `fetch` rejected with this.
    Nothing(String),
}

/// The visits that are under way, by their numbers.
type Visits = Arc<Mutex<HashMap<usize, Visit>>>;

struct Visit {
    calls: Vec<Call>,
    report: oneshot::Sender<Vec<Value>>,
}

impl Website {
    /// Starts it on a free port of loopback.
    pub fn start() -> Result<Self> {
        let visits = Visits::default();
        let app = Router::new()
            .route("/{visit}", get(Html(include_str!("../browser/index.html"))))
            .route("/page.js", get(script))
            .route("/{visit}/calls", get(calls))
            .route("/{visit}/findings", post(findings))
            .with_state(Arc::clone(&visits));
        Ok(Self { port: server::serve(app)?, visits, count: AtomicUsize::new(0) })
    }

    /// Its origin, as browsers write it.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Opens the page in a browser whose log is `name`'s, and lets it make these calls, one after the other. What it found,
    /// call by call.
    pub async fn visit(&self, name: &str, calls: &[Call]) -> Result<Vec<Finding>> {
        let (report, findings) = oneshot::channel();
        let visit = self.count.fetch_add(1, Ordering::Relaxed);
        self.visits
            .lock()
            .ok()
            .context("a test panicked with the visits in hand")?
            .insert(visit, Visit { calls: calls.to_vec(), report });
        let _browser = Browser::open(name, &[&format!("{}/{visit}", self.origin())])?;
        let findings = soon(&format!("the page's report, see {name}-chromium.log"), findings).await?;
        findings?.iter().map(Finding::read).collect()
    }
}

impl Call {
    /// GET. A page may make it without asking first.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), method: "GET", headers: Vec::new(), cookie: None }
    }

    /// DELETE. The browser asks first, by a preflight.
    pub fn delete(url: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(url) }
    }

    /// Adds `Authorization: Bearer token`. The browser asks first, by a preflight.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a field. The browser asks first, by a preflight, unless any form could send it.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// POST instead, with an empty body.
    #[must_use]
    pub fn posted(self) -> Self {
        Self { method: "POST", ..self }
    }

    /// Sends what the browser knows of the host beside, this cookie among it, which it keeps for all ports of the host.
    #[must_use]
    pub fn with_cookie(self, cookie: String) -> Self {
        Self { cookie: Some(cookie), ..self }
    }

    fn to_json(&self) -> Value {
        let headers: HashMap<_, _> = self.headers.iter().map(|(name, value)| (*name, value)).collect();
        json!({"url": self.url, "method": self.method, "headers": headers, "cookie": self.cookie})
    }
}

impl Finding {
    fn read(finding: &Value) -> Result<Self> {
        if let Some(error) = finding["error"].as_str() {
            return Ok(Self::Nothing(error.to_owned()));
        }
        let status = finding["status"].as_u64().context("a finding without a status")?;
        let headers = finding["headers"].as_object().context("a finding without header fields")?;
        let field = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let headers = headers.iter().filter_map(field).collect();
        let body = finding["body"].as_str().context("a finding without a body")?;
        Ok(Self::Answer { status, headers, body: serde_json::from_str(body).unwrap_or_default() })
    }
}

/// Chromium; dropping it ends it.
pub struct Browser {
    _process: Process,
    profile: TempDir,
}

impl Browser {
    /// Starts it with a profile of its own and these arguments; its log is `name`'s.
    pub fn open(name: &str, arguments: &[&str]) -> Result<Self> {
        let profile = TempDir::new()?;
        let folder = profile.path().to_str().context("a path that is not UTF-8")?;
        let log = paths::logs()?.join(format!("{name}-chromium.log"));
        let user_data = format!("--user-data-dir={folder}");
        let arguments = [FLAGS, &[&user_data], arguments].concat();
        let environment = [("HOME", folder), ("TMPDIR", folder)];
        let process = Process::start(&paths::chromium()?, &arguments, &environment, &log)?;
        Ok(Self { _process: process, profile })
    }

    /// Where its profile is.
    pub fn profile(&self) -> &std::path::Path {
        self.profile.path()
    }
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript")], include_str!("../browser/page.js"))
}

async fn calls(State(visits): State<Visits>, Path(visit): Path<usize>) -> Result<Json<Value>, StatusCode> {
    let visits = visits.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let visit = visits.get(&visit).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(visit.calls.iter().map(Call::to_json).collect()))
}

async fn findings(
    State(visits): State<Visits>,
    Path(visit): Path<usize>,
    Json(findings): Json<Vec<Value>>,
) -> StatusCode {
    let visit = visits.lock().ok().and_then(|mut visits| visits.remove(&visit));
    match visit.map(|visit| visit.report.send(findings)) {
        Some(Ok(())) => StatusCode::NO_CONTENT,
        _ => StatusCode::NOT_FOUND,
    }
}

/// It draws nothing, calls only loopback, and logs why it keeps a response from a page.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
];
