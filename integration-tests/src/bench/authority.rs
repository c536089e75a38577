//! The server that responds immediately to the introspections of the filter and the checks of `ext_authz`. Its script takes no lock: it
//! reads a map that never changes and counts requests for each token.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use super::credentials::Credentials;
use crate::scripted_server::{self, Introspection, Response};

pub struct Authority {
    port: u16,
    answers: Arc<HashMap<String, Answer>>,
}

/// What the server answers about a token.
struct Answer {
    credentials: String,
    introspection: Response,
    check: Response,
    asked: AtomicU64,
}

impl Authority {
    /// Starts a server that knows all opaque tokens of these credentials.
    pub fn start(credentials: &Credentials) -> Result<Self> {
        let grants = credentials.grants().into_iter();
        let answers: HashMap<_, _> = grants.map(|(token, jwt)| (token, Answer::new(&jwt))).collect();
        let answers = Arc::new(answers);
        let script = Arc::clone(&answers);
        Ok(Self { port: scripted_server::serve(move |request| respond(&script, &request))?, answers })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `Authorization` that services should receive for a token.
    pub fn credentials_for(&self, token: &str) -> Option<&str> {
        self.answers.get(token).map(|answer| answer.credentials.as_str())
    }

    /// How many requests the server received so far.
    pub fn asked(&self) -> u64 {
        self.answers.values().map(|answer| answer.asked.load(Ordering::Relaxed)).sum()
    }

    /// How many requests about a token the server received so far.
    pub fn asked_about(&self, token: &str) -> u64 {
        self.answers.get(token).map(|answer| answer.asked.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

impl Answer {
    fn new(jwt: &str) -> Self {
        let credentials = format!("Bearer {jwt}");
        let check = Response::untyped(200, "").header("authorization", &credentials);
        Self { credentials, introspection: Response::jwt(jwt), check, asked: AtomicU64::new(0) }
    }
}

/// Responds to an introspection, which has a form (RFC 7662 §2.1), or to a check, which has only the client's headers.
fn respond(answers: &HashMap<String, Answer>, request: &Introspection) -> Response {
    let answer = answers.get(request.token());
    if let Some(answer) = answer {
        answer.asked.fetch_add(1, Ordering::Relaxed);
    }
    match (answer, request.form.is_empty()) {
        (Some(answer), false) => answer.introspection.clone(),
        (Some(answer), true) => answer.check.clone(),
        (None, false) => Response::inactive(),
        (None, true) => Response::status(401),
    }
}
