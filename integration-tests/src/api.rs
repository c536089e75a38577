//! The API behind the ingress. It answers with what it received, and remembers every request by its `x-request-name`, so
//! that a test can ask whether a request ever arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::{Json, Router};
use serde_json::json;

use crate::server;

/// The API, running.
#[derive(Clone)]
pub struct Api {
    port: u16,
    received: Received,
}

/// The heads of the requests that arrived, by their names.
type Received = Arc<Mutex<HashMap<String, Vec<HeaderMap>>>>;

impl Api {
    /// Starts the API.
    pub fn start() -> Result<Self> {
        let received = Received::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&received));
        Ok(Self { port: server::serve(app)?, received })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests of this name that arrived.
    pub fn received(&self, name: &str) -> Vec<HeaderMap> {
        self.received
            .lock()
            .map(|received| received.get(name).cloned().unwrap_or_default())
            .unwrap_or_default()
    }
}

async fn answer(State(received): State<Received>, request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let name = head.headers.get("x-request-name").and_then(|name| name.to_str().ok()).unwrap_or_default();
    if let Ok(mut received) = received.lock() {
        received.entry(name.to_owned()).or_default().push(head.headers.clone());
    }
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authorization: Vec<String> = head.headers.get_all("authorization").iter().map(text).collect();
    Json(json!({
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "authorization": authorization,
        "body_length": body.len(),
    }))
}
