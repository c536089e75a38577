//! The API behind a load. It records every request, and checks each for what must never arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri};

use crate::load_token::{self, LoadToken};
use crate::server;

pub struct RecordingApi {
    port: u16,
    account: Arc<Mutex<Account>>,
}

#[derive(Default)]
pub struct Account {
    /// How often each request arrived, by its number.
    pub arrivals: HashMap<u64, u32>,
    /// Violations, in sentences without secrets.
    pub complaints: Vec<String>,
}

impl RecordingApi {
    pub fn start() -> Result<Self> {
        let account = Arc::<Mutex<Account>>::default();
        let app = Router::new().fallback(record).with_state(Arc::clone(&account));
        Ok(Self { port: server::serve(app)?, account })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes what has arrived since the last call.
    pub fn take_account(&self) -> Account {
        self.account.lock().map(|mut account| std::mem::take(&mut *account)).unwrap_or_default()
    }
}

/// The path of a request, with its number and the name of its token, so that the API knows which JWT to expect.
pub(crate) fn path(request: u64, token: Option<LoadToken>) -> String {
    match token {
        Some(token) => format!("/orders/{request}/{token}"),
        None => format!("/orders/{request}/none"),
    }
}

async fn record(State(account): State<Arc<Mutex<Account>>>, target: Uri, fields: HeaderMap) -> String {
    let (number, complaint) = examine(target.path(), &fields);
    if let Ok(mut account) = account.lock() {
        *account.arrivals.entry(number).or_default() += 1;
        account.complaints.extend(complaint);
    }
    number.to_string()
}

/// Returns the request's number, and what is wrong with it.
fn examine(target: &str, fields: &HeaderMap) -> (u64, Option<String>) {
    let mut segments = target.split('/').skip(2);
    let number = segments.next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
    let name = segments.next().unwrap_or_default();
    let prefix = load_token::prefix().as_bytes();
    let shows_token = |text: &[u8]| text.windows(prefix.len()).any(|part| part == prefix);
    let is_shown =
        shows_token(target.as_bytes()) || fields.values().any(|value| shows_token(value.as_bytes()));
    let credentials: Vec<&[u8]> = fields.get_all("authorization").iter().map(HeaderValue::as_bytes).collect();
    let wrong = match name.parse::<LoadToken>() {
        Err(_) => Some("has no token"),
        Ok(token) if !token.is_active() => Some("has a token that is not active"),
        Ok(_) if is_shown => Some("came with its opaque token"),
        Ok(token) if credentials != [format!("Bearer {}", token.jwt()).as_bytes()] => {
            Some("came without the JWT of its token, or with more")
        }
        Ok(_) => None,
    };
    (number, wrong.map(|wrong| format!("the API received the request {number} ({name}), which {wrong}")))
}
