//! The API behind the ingress. It responds with what it received and the caller in the JWT; the request selects the status and
//! `Cache-Control`.
//!
//! It lets pages of any origin call it and read its responses, so any restriction on a page comes from the gateway.

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Json, Router};
use phantom_token_core::SESSION_ID;
use serde_json::json;

use crate::jwt;
use crate::server::Service;

pub fn start() -> Result<Service> {
    Service::start(Router::new().fallback(answer))
}

/// The request field that selects the status of the API's response.
pub const ANSWER_STATUS: &str = "x-answer-status";

/// The request field that selects `Cache-Control` of the API's response.
pub const ANSWER_CACHE_CONTROL: &str = "x-answer-cache-control";

/// The request field that selects where the API redirects to.
pub const ANSWER_LOCATION: &str = "x-answer-location";

/// The request field that selects the MCP session id that the API assigns.
pub const ANSWER_SESSION: &str = "x-answer-session";

async fn answer(request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authorization: Vec<String> = head.headers.get_all("authorization").iter().map(text).collect();
    let claims = authorization.first().and_then(|field| jwt::claims(field.strip_prefix("Bearer ")?).ok());
    let answer = json!({
        "subject": claims.as_ref().and_then(|claims| claims["sub"].as_str()),
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "authorization": authorization,
        "body_length": body.len(),
    });
    let mut fields = permission(&head.headers);
    for (asked, name) in [
        (ANSWER_CACHE_CONTROL, header::CACHE_CONTROL),
        (ANSWER_LOCATION, header::LOCATION),
        (ANSWER_SESSION, HeaderName::from_static(SESSION_ID)),
    ] {
        head.headers.get_all(asked).iter().for_each(|value| _ = fields.append(&name, value.clone()));
    }
    (status(&head.headers), fields, Json(answer))
}

/// Returns the status that [`ANSWER_STATUS`] selects.
fn status(asked: &HeaderMap) -> StatusCode {
    let status = asked.get(ANSWER_STATUS).and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
    status.unwrap_or(StatusCode::OK)
}

/// Allows whatever a browser asks for (the CORS protocol, Fetch §3.2.3).
fn permission(asked: &HeaderMap) -> HeaderMap {
    let granted = |(asks, grants): (HeaderName, HeaderName)| Some((grants, asked.get(asks)?.clone()));
    PERMISSIONS.into_iter().filter_map(granted).collect()
}

const PERMISSIONS: [(HeaderName, HeaderName); 3] = [
    (header::ORIGIN, header::ACCESS_CONTROL_ALLOW_ORIGIN),
    (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
    (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
];
