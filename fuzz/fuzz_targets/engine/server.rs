//! The authorization server: how it responds, and what it has said about tokens.

use phantom_token_core::CallResult;
use phantom_token_fuzz::{NOW, expand, key_set};
use serde_json::json;

use crate::client::{THUMBPRINT, TOKENS};

/// How the server responds to a call. To a request for keys, it returns its keys, an empty set or an error, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Active,
    /// Active for ten seconds.
    ActiveBriefly,
    /// Active, but already expired.
    Expired,
    /// Active, with `Cache-Control: no-store`.
    NotStored,
    Inactive,
    Forged,
    Failed,
    BusyFor,
    /// The server rejects the gateway's own credentials.
    Unauthorized,
    Oversized,
    Lost,
}

/// What the server said about a token.
pub struct Statement {
    pub token: usize,
    pub worker: usize,
    /// The number of the step in which it was said.
    pub step: usize,
    /// In milliseconds.
    pub at: u64,
    pub meaning: Meaning,
}

/// What an answer says about a token.
pub enum Meaning {
    Active {
        jwt: String,
        /// In milliseconds.
        expires: u64,
        is_stored: bool,
    },
    Inactive,
    /// A party other than the server signed that the token is active.
    Forged,
}

/// A response, in parts that can be borrowed.
pub struct Response {
    status: &'static str,
    media_type: &'static str,
    field: (&'static str, &'static str),
    body: String,
}

impl Answer {
    pub const ALL: [Self; 11] = [
        Self::Active,
        Self::ActiveBriefly,
        Self::Expired,
        Self::NotStored,
        Self::Inactive,
        Self::Forged,
        Self::Failed,
        Self::BusyFor,
        Self::Unauthorized,
        Self::Oversized,
        Self::Lost,
    ];

    /// Whether the server is unavailable.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Failed | Self::BusyFor | Self::Lost)
    }

    /// Returns what the answer says about a token, with a JWT of this number if it is active. `None` if it says nothing.
    pub fn meaning(self, token: usize, number: usize, now: u64) -> Option<Meaning> {
        let (seconds, key) = match self {
            Self::Active | Self::NotStored => (600, "e"),
            Self::ActiveBriefly => (10, "e"),
            Self::Expired => (0, "e"),
            Self::Forged => return Some(Meaning::Forged),
            Self::Inactive => return Some(Meaning::Inactive),
            _ => return None,
        };
        let expires = now / 1000 + seconds;
        let is_stored = self != Self::NotStored;
        Some(Meaning::Active { jwt: jwt(token, number, expires, key), expires: expires * 1000, is_stored })
    }

    /// Returns the response to an introspection that has this meaning. `None` if there is no response.
    pub fn response(self, token: usize, number: usize, meaning: Option<&Meaning>) -> Option<Response> {
        let field = match self {
            Self::NotStored => ("cache-control", "no-store"),
            Self::BusyFor => ("retry-after", "3"),
            _ => ("server", "test"),
        };
        let response = |status, body| Response { status, media_type: "application/jwt", field, body };
        Some(match (self, meaning) {
            (_, Some(Meaning::Active { jwt, .. })) => response("200", jwt.clone()),
            (Self::Forged, _) => response("200", jwt(token, number, NOW * 2, "x")),
            (Self::Inactive, _) => response("204", String::new()),
            (Self::Failed, _) => response("500", String::new()),
            (Self::BusyFor, _) => response("503", String::new()),
            (Self::Unauthorized, _) => response("401", String::new()),
            _ => return None,
        })
    }

    /// Returns the response to a request for keys. `None` if there is no response.
    pub fn keys(self) -> Option<Response> {
        let response = |status, body| Response {
            status,
            media_type: "application/json",
            field: ("server", "test"),
            body,
        };
        match self {
            Self::Failed | Self::BusyFor | Self::Unauthorized => Some(response("500", String::new())),
            Self::Oversized | Self::Lost => None,
            Self::Forged => Some(response("200", r#"{"keys":[]}"#.to_owned())),
            _ => Some(response("200", key_set().to_string())),
        }
    }
}

impl Response {
    /// Passes the response to the engine.
    pub fn show(&self, take: impl FnOnce(CallResult<'_>)) {
        let headers = [(":status", self.status), ("content-type", self.media_type), self.field];
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        take(CallResult::Response { headers: &headers, body: self.body.as_bytes() });
    }
}

fn jwt(token: usize, number: usize, expires: u64, key: &str) -> String {
    let token = &TOKENS[token];
    let mut claims = json!({
        "iss": ISSUER, "sub": token.user, "jti": number.to_string(), "exp": expires, "scope": token.scope,
    });
    if token.is_bound {
        claims["cnf"] = json!({"jkt": *THUMBPRINT});
    }
    let (jwt, _) = expand(format!(r#"<<{key}|{{"alg":"EdDSA","kid":"e"}}|{claims}>>"#).as_bytes());
    String::from_utf8(jwt).expect("a JWT")
}

pub const ISSUER: &str = "https://login.example.com";
pub const CLIENT_SECRET: &str = "the-secret-of-the-gateway";
/// How long an answer may be cached, in milliseconds.
pub const MAX_TTL: u64 = 60_000;
