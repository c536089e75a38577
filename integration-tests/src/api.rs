//! The API behind the ingress. It answers with what it received.

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::{Json, Router};
use serde_json::json;

use crate::received::Received;
use crate::server;

/// The API, running.
#[derive(Clone)]
pub struct Api {
    port: u16,
    received: Received,
}

impl Api {
    /// Starts the API.
    pub fn start() -> Result<Self> {
        let (port, received) = server::serve_and_note(Router::new().fallback(answer))?;
        Ok(Self { port, received })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests of this name that arrived.
    pub fn received(&self, name: &str) -> Vec<HeaderMap> {
        self.received.named(name)
    }
}

async fn answer(request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authorization: Vec<String> = head.headers.get_all("authorization").iter().map(text).collect();
    Json(json!({
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "authorization": authorization,
        "body_length": body.len(),
    }))
}
