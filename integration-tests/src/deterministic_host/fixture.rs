//! The fixture of the tests in this host: one configuration, one token, and an authorization server that calls it active.

use anyhow::Result;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::callout::Answer;
use super::configuration::Setup;
use super::host::Host;
use super::request::Request;
use super::stream::{State, StreamId};
use crate::json::merged;
use crate::jwt;

/// Returns the usual configuration with these edits, a merge patch (RFC 7396).
pub fn configuration(edits: Value) -> Value {
    let usual = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": SECRET,
        },
        "token": {"issuer": ISSUER, "audience": ["orders-api"]},
        "rules": [
            {"path": "/public", "access": "public"},
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/invoices", "scopes": ["invoices:read"]},
        ],
    });
    merged(&usual, edits)
}

/// Starts a host with this many workers and the usual configuration with these edits.
pub fn host(behaviour: Behaviour, workers: usize, edits: Value) -> Result<Host> {
    Host::start(Setup { behaviour, workers, ..Setup::new(configuration(edits)) })
}

/// A GET request for an order, with the usual token.
pub fn orders() -> Request {
    orders_of(TOKEN)
}

/// A GET request for an order, with this token.
pub fn orders_of(token: &str) -> Request {
    Request::get("/orders").bearer(token)
}

impl Host {
    /// Returns the claims of a token that is valid for an hour, with these edits.
    pub fn claims(&self, edits: Value) -> Value {
        let now = self.now().as_secs();
        let usual = json!({
            "iss": ISSUER, "aud": "orders-api", "sub": "alice", "client_id": "app", "scope": "orders:read",
            "iat": now, "exp": now + 3600,
        });
        merged(&usual, edits)
    }

    /// Returns the JWT with which the server currently answers every introspection.
    pub fn phantom_token(&self) -> String {
        jwt::with_claims(&self.claims(json!({})))
    }

    /// Ends all open callouts with this answer.
    pub fn answer_all(&mut self, answer: &Answer) -> Result<()> {
        self.open_callouts().into_iter().try_for_each(|callout| self.answer(callout, answer.clone()))
    }

    /// Answers all open callouts as a server that finds every token active.
    pub fn find_active(&mut self) -> Result<()> {
        self.answer_all(&Answer::jwt(&self.phantom_token()))
    }

    /// The `Authorization` that services receive, empty if they receive none.
    pub fn authorization(&self, id: StreamId) -> String {
        match self.stream(id).state() {
            State::Forwarded { headers } => headers.text("authorization").to_owned(),
            _ => String::new(),
        }
    }

    /// Whether services receive a JWT with the request.
    pub fn passes(&self, id: StreamId) -> bool {
        self.authorization(id).starts_with("Bearer eyJ")
    }

    /// The status of the reply to a request. `None` if there is no reply.
    pub fn status(&self, id: StreamId) -> Option<u16> {
        self.stream(id).state().status()
    }
}

/// The issuer of all tokens.
pub const ISSUER: &str = "https://login.example.com";

/// The usual token, with characters that a form has to escape.
pub const TOKEN: &str = "opaque+1/2~3==";

pub const SECRET: &str = "the-secret-of-the-gateway";
