//! Recorded behavior of authorization servers, and the expected output of `probe` for each: `servers.yaml`.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use integration_tests::json::merged;
use integration_tests::jwt;
use integration_tests::scripted_server::{self, Introspection, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// The tokens that a server knows. It knows no others.
pub const ACCESS: &str = "the-access-token-of-a-user";
pub const REFRESH: &str = "the-refresh-token-of-a-user";

/// A secret with the characters that generators use.
pub const SECRET: &str = "s3cret with:all+of/them%";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    #[serde(rename = "server")]
    pub name: String,
    /// Edits of the usual configuration (RFC 7396).
    #[serde(default)]
    pub edits: Value,
    /// The first answer that matches a request is returned. If none does, the token is not active.
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default = "sound")]
    pub says: Vec<String>,
    #[serde(default = "unsound")]
    pub never: Vec<String>,
    /// The lines of configuration that `probe` suggests.
    #[serde(default = "nothing")]
    pub follows: Value,
    #[serde(default = "yes")]
    pub is_fine: bool,
}

/// An answer, and the conditions that a request has to meet for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// The request is about one of these tokens.
    #[serde(default)]
    to: Vec<Token>,
    accept: Option<String>,
    /// Whether the request has `token_type_hint`.
    hint: Option<bool>,
    basic: Option<bool>,
    /// Whether Basic contains the secret unencoded.
    raw_secret: Option<bool>,
    /// Whether the form contains the secret.
    posted_secret: Option<bool>,
    /// Active, with these edits of the usual response for alice's token.
    user: Option<Value>,
    /// Active, with these edits of what all servers return.
    active: Option<Value>,
    json: Option<Value>,
    /// The claims of an introspection response as a JWT (RFC 9701).
    signed: Option<Value>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(rename = "type")]
    media_type: Option<String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Token {
    Access,
    Refresh,
}

impl Server {
    pub fn all() -> Result<Vec<Self>> {
        serde_saphyr::from_str(include_str!("servers.yaml")).context("servers.yaml")
    }

    /// Starts the server and returns its port.
    pub fn start(self) -> Result<u16> {
        scripted_server::serve(move |asked| {
            let answer = self.answers.iter().find(|answer| answer.fits(&asked));
            answer.map_or_else(inactive, Answer::response)
        })
    }
}

impl Answer {
    fn fits(&self, asked: &Introspection) -> bool {
        let is = |expected: Option<bool>, got: bool| expected.is_none_or(|expected| expected == got);
        let basic = asked.field("authorization").and_then(|value| value.strip_prefix("Basic "));
        let secret = basic.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
        (self.to.is_empty() || self.to.iter().any(|token| token.text() == asked.token()))
            && self.accept.as_deref().is_none_or(|accept| asked.field("accept") == Some(accept))
            && is(self.hint, !asked.parameter("token_type_hint").is_empty())
            && is(self.basic, basic.is_some())
            && is(self.raw_secret, secret.is_some_and(|secret| secret == format!("gateway:{SECRET}")))
            && is(self.posted_secret, asked.parameter("client_secret") == SECRET)
    }

    fn response(&self) -> Response {
        let exp = json!({"exp": jwt::now() + 600});
        let usual = || merged(&exp, json!({"active": true, "client_id": "app", "scope": "orders:read"}));
        let alice = || {
            let user = json!({"sub": "alice", "iss": ISSUER, "aud": "orders-api", "token_type": "Bearer"});
            merged(&usual(), user)
        };
        let json = match (&self.user, &self.active) {
            (Some(edits), _) => Some(merged(&alice(), edits.clone())),
            (_, Some(edits)) => Some(merged(&usual(), edits.clone())),
            _ => self.json.clone(),
        };
        let (media_type, body) = match (json, &self.signed) {
            (Some(json), _) => (Some("application/json"), json.to_string()),
            (None, Some(claims)) => {
                let header = json!({"alg": "ES256", "typ": "token-introspection+jwt"});
                (Some("application/jwt"), jwt::signed(&header, &merged(&exp, claims.clone())))
            }
            (None, None) => (None, self.body.clone()),
        };
        let response = Response::untyped(self.status, body.replace("{jwt}", &jwt::valid()));
        let response = response.header("cache-control", "no-store");
        match self.media_type.as_deref().or(media_type) {
            Some(media_type) => response.header("content-type", media_type),
            None => response,
        }
    }
}

impl Token {
    fn text(&self) -> &'static str {
        match self {
            Self::Access => ACCESS,
            Self::Refresh => REFRESH,
        }
    }
}

pub fn inactive() -> Response {
    Response::json(&json!({"active": false})).header("cache-control", "no-store")
}

/// What `probe` reports about a server without faults.
fn sound() -> Vec<String> {
    ["accepted: the token given is active", "token        good"].map(str::to_owned).into()
}

fn unsound() -> Vec<String> {
    ["credentials  refused (", "not refused"].map(str::to_owned).into()
}

fn nothing() -> Value {
    json!({})
}

fn yes() -> bool {
    true
}

fn ok() -> u16 {
    200
}

pub const ISSUER: &str = "https://login.example.com";
