//! Recorded behaviour of authorization servers, and the expected output of `probe` for each.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use integration_tests::{jwt, server};
use serde_json::{Value, json};

/// The tokens that a server knows; all others, it does not.
pub const ACCESS: &str = "the-access-token-of-a-user";
pub const REFRESH: &str = "the-refresh-token-of-a-user";

/// A secret with what generators make.
pub const SECRET: &str = "s3cret with:all+of/them%";

/// What a server answers to a question.
pub type Script = fn(&Question) -> Answer;

/// What is asked.
pub struct Question {
    pub accept: String,
    pub hint: Option<String>,
    pub token: String,
    /// What stands behind `Basic`, decoded from Base64.
    pub basic: Option<String>,
    /// The secret in the form.
    pub post: Option<String>,
}

/// An answer: status, media type, body.
pub type Answer = (u16, &'static str, String);

/// Starts a server, and gives its port.
pub fn start(script: Script) -> Result<u16> {
    server::serve(Router::new().route("/introspect", post(respond)).with_state(Arc::new(script)))
}

impl Question {
    /// Whether Basic has the secret as it is.
    pub fn has_raw_secret(&self) -> bool {
        self.basic.as_deref() == Some(&format!("gateway:{SECRET}"))
    }

    pub fn has_posted_secret(&self) -> bool {
        self.post.as_deref() == Some(SECRET)
    }

    pub fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    pub fn is_for_access(&self) -> bool {
        self.token == ACCESS
    }

    pub fn is_for_refresh(&self) -> bool {
        self.token == REFRESH
    }
}

pub fn ok(body: Value) -> Answer {
    (200, "application/json", body.to_string())
}

pub fn inactive() -> Answer {
    ok(json!({"active": false}))
}

pub fn refused() -> Answer {
    (401, "application/json", json!({"error": "invalid_client"}).to_string())
}

/// An active answer with what all have, and these members; null takes one away.
pub fn active(members: Value) -> Answer {
    let mut response =
        json!({"active": true, "client_id": "app", "scope": "orders:read", "exp": jwt::now() + 600});
    for (name, value) in members.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(response.as_object_mut().map(|response| response.remove(name))),
            value => response[name] = value.clone(),
        }
    }
    ok(response)
}

async fn respond(
    State(script): State<Arc<Script>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response<String>, StatusCode> {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let parameter = |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    let basic = field("authorization").and_then(|value| value.strip_prefix("Basic "));
    let basic = basic.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let question = Question {
        accept: field("accept").unwrap_or_default().to_owned(),
        hint: parameter("token_type_hint"),
        token: parameter("token").unwrap_or_default(),
        basic,
        post: parameter("client_secret"),
    };
    let (status, media_type, body) = script(&question);
    let response = Response::builder().status(status).header("cache-control", "no-store");
    let response = if media_type.is_empty() { response } else { response.header("content-type", media_type) };
    response.body(body).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
