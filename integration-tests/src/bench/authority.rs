//! One server that responds at once to the introspections of the filter and the checks of `ext_authz`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::credentials::Credentials;
use crate::server;

/// The server, running.
pub struct Authority {
    port: u16,
    answers: Arc<HashMap<String, Answer>>,
}

/// What it says of a token.
struct Answer {
    jwt: HeaderValue,
    asked: AtomicU64,
}

impl Authority {
    /// Starts one that knows all opaque tokens of these credentials.
    pub fn start(credentials: &Credentials) -> Result<Self> {
        let mut answers = HashMap::new();
        for (token, jwt) in credentials.grants() {
            let jwt = HeaderValue::from_str(&format!("Bearer {jwt}"))?;
            answers.insert(token, Answer { jwt, asked: AtomicU64::new(0) });
        }
        let answers = Arc::new(answers);
        let app = Router::new()
            .route("/introspect", post(introspect))
            .fallback(check)
            .with_state(Arc::clone(&answers));
        Ok(Self { port: server::serve(app)?, answers })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What services shall receive as `Authorization` for a token.
    pub fn credentials_for(&self, token: &str) -> Option<&str> {
        self.answers.get(token)?.jwt.to_str().ok()
    }

    /// How often it was asked so far.
    pub fn asked(&self) -> u64 {
        self.answers.values().map(|answer| answer.asked.load(Ordering::Relaxed)).sum()
    }

    /// How often it was asked about a token so far.
    pub fn asked_about(&self, token: &str) -> u64 {
        self.answers.get(token).map(|answer| answer.asked.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

/// RFC 7662 §2, and the answer of a phantom token's server: its JWT.
async fn introspect(
    State(answers): State<Arc<HashMap<String, Answer>>>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let token = form.iter().find(|(name, _)| name == "token");
    let credentials = token.and_then(|(_, token)| asked(&answers, token));
    let jwt = credentials.as_ref().and_then(|credentials| credentials.as_bytes().strip_prefix(BEARER));
    match jwt {
        Some(jwt) => ([(header::CONTENT_TYPE, "application/jwt")], jwt.to_vec()).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// The check of a request, whose path and credentials are those of the client: 200, and what goes into `Authorization`.
async fn check(State(answers): State<Arc<HashMap<String, Answer>>>, headers: HeaderMap) -> Response {
    let sent = headers.get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok());
    let token = sent.and_then(|sent| sent.strip_prefix("Bearer "));
    match token.and_then(|token| asked(&answers, token)) {
        Some(credentials) => [(header::AUTHORIZATION, credentials)].into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn asked(answers: &HashMap<String, Answer>, token: &str) -> Option<HeaderValue> {
    let answer = answers.get(token)?;
    answer.asked.fetch_add(1, Ordering::Relaxed);
    Some(answer.jwt.clone())
}

const BEARER: &[u8] = b"Bearer ";
