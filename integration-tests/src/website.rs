//! Websites on loopback, each with its own origin, whose page makes the calls of a test in a real browser and reports what it
//! could read.

use std::collections::HashMap;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server;

/// A website that serves one page.
pub struct Website {
    port: u16,
}

/// A call that the page makes by `fetch`.
#[derive(Clone, Debug)]
pub struct Call {
    url: String,
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    cookie: Option<String>,
}

/// What the page could learn about a response.
#[derive(Clone, Debug)]
pub enum Finding {
    /// The page could read the response.
    Answer {
        status: u64,
        /// The header fields that the page could see.
        headers: HashMap<String, String>,
        /// The body, null if it is not JSON.
        body: Value,
    },
    /// The browser did not let the page read anything, and `fetch` rejected with this error.
    Nothing(String),
}

impl Website {
    pub fn start() -> Result<Self> {
        let script = ([(header::CONTENT_TYPE, "text/javascript")], include_str!("../browser/page.js"));
        let app = Router::new()
            .route("/", get(Html(include_str!("../browser/index.html"))))
            .route("/page.js", get(script));
        Ok(Self { port: server::serve(app)? })
    }

    /// The website's origin, as browsers write it.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Opens the page in a browser whose log has this name, and lets it make these calls one after the other. Returns the finding of each.
    pub async fn visit(&self, name: &str, calls: &[Call]) -> Result<Vec<Finding>> {
        let browser = Browser::open(name).await?;
        browser.visit(&self.origin()).await?;
        let calls = json!(calls.iter().map(Call::to_json).collect::<Vec<_>>());
        let findings = browser.evaluate(&format!("makeCalls({calls})")).await?;
        browser.close().await?;
        findings.as_array().context("no findings")?.iter().map(Finding::read).collect()
    }
}

impl Call {
    /// A GET request. A page may send it without a preflight.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), method: "GET", headers: Vec::new(), cookie: None }
    }

    /// A DELETE request. The browser sends a preflight first.
    pub fn delete(url: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(url) }
    }

    /// Adds `Authorization: Bearer token`. The browser sends a preflight first.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a field. The browser sends a preflight first, unless any form could send the field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Changes the request to POST with an empty body.
    #[must_use]
    pub fn posted(self) -> Self {
        Self { method: "POST", ..self }
    }

    /// Includes credentials, among them this cookie, which the browser keeps for all ports of the host.
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
