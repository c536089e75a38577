//! The browser application (`integration-tests/web-app/`), on its own origin: a page without a backend.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::{paths, server};

pub struct WebApp {
    port: u16,
    settings: Arc<OnceLock<Value>>,
}

impl WebApp {
    pub fn start() -> Result<Self> {
        let [page, script, library] = paths::web_app()?.map(std::fs::read_to_string);
        let (page, script, library) = (page?, script?, library?);
        let settings = Arc::new(OnceLock::new());
        let app = Router::new()
            .route("/", get(Html(page)))
            .route("/app.js", get((JAVASCRIPT, script)))
            .route("/oauth4webapi.js", get((JAVASCRIPT, library)))
            .route("/settings.json", get(answer_settings))
            .with_state(Arc::clone(&settings));
        Ok(Self { port: server::serve(app)?, settings })
    }

    /// The application's origin, as browsers write it.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("{}/", self.origin())
    }

    /// Configures the issuer of the users' authorization server, and the URL of the API.
    pub fn configure(&self, issuer: &str, api: &str) -> Result<()> {
        let settings = json!({"issuer": issuer, "api": api});
        ensure!(self.settings.set(settings).is_ok(), "the application was configured before");
        Ok(())
    }
}

const JAVASCRIPT: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/javascript")];

async fn answer_settings(State(settings): State<Arc<OnceLock<Value>>>) -> impl IntoResponse {
    settings.get().cloned().map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}
