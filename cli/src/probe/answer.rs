//! Classifies a response by its content, not by its media type, and lists its claims. This is for people: the core judges the
//! response.

use phantom_token_core::driver::Response as Answer;
use serde_json::{Map, Value};

use super::client::Exchange;
use crate::jws;

/// The content of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// No body.
    Nothing,
    /// A JWT that may be an access token.
    Jwt(String),
    /// An introspection response as a JWT, with its members.
    Signed(String, Map<String, Value>),
    /// A JSON object.
    Json(Map<String, Value>),
    /// A web page.
    Page,
    /// Something else.
    Other,
}

/// The claims that decide about a token, and where they come from.
pub struct TokenClaims {
    /// The source of the claims, in the words of the report.
    pub whose: &'static str,
    /// The claims.
    pub claims: Map<String, Value>,
    /// The members of the response beside the JWT, which can only narrow what the JWT says.
    pub beside: Map<String, Value>,
    /// The JWT that contains the claims.
    pub jwt: Option<String>,
}

impl Content {
    /// Returns the content of a response.
    pub fn of(answer: &Answer) -> Self {
        let Answer::Complete { body, .. } = answer else { return Self::Nothing };
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        if text.is_empty() {
            return Self::Nothing;
        }
        if let Some(payload) = jws::payload(text) {
            let inside = payload.get("token_introspection").and_then(Value::as_object);
            return match inside.cloned().or_else(|| payload.contains_key("active").then_some(payload)) {
                Some(response) => Self::Signed(text.to_owned(), response),
                None => Self::Jwt(text.to_owned()),
            };
        }
        match serde_json::from_str(text) {
            Ok(members) => Self::Json(members),
            Err(_) if text.starts_with('<') => Self::Page,
            Err(_) => Self::Other,
        }
    }

    /// Describes the content in a few words.
    pub fn summary(&self) -> String {
        let of_response = |response: &Map<String, Value>| match response.get("active") {
            Some(Value::Bool(true)) => "active",
            Some(Value::Bool(false)) => "not active",
            Some(_) => "active is neither true nor false",
            None => "without active",
        };
        match self {
            Self::Nothing => "empty".to_owned(),
            Self::Jwt(_) => "a JWT".to_owned(),
            Self::Signed(_, response) => {
                format!("an introspection response as a JWT, no access token: {}", of_response(response))
            }
            Self::Json(members) if members.contains_key("error") => {
                format!("error {}", self.error().unwrap_or("of a name of its own"))
            }
            Self::Json(members) => of_response(members).to_owned(),
            Self::Page => "a page for people".to_owned(),
            Self::Other => "neither JSON nor a JWT".to_owned(),
        }
    }

    /// Returns the error code, if it is a known one. Any other value could be anything.
    pub fn error(&self) -> Option<&'static str> {
        let Self::Json(members) = self else { return None };
        let said = members.get("error")?.as_str()?;
        ERRORS.iter().copied().find(|error| *error == said)
    }

    /// Whether the response calls the token active, so that the server knows the token and accepts the gateway.
    pub fn is_active(&self) -> bool {
        match self {
            Self::Jwt(_) => true,
            Self::Signed(_, members) | Self::Json(members) => {
                members.get("active") == Some(&Value::Bool(true))
            }
            Self::Nothing | Self::Page | Self::Other => false,
        }
    }

    /// Returns the claims that decide. `jwt_field` is the member of a JSON response with the JWT.
    pub fn token_claims(&self, jwt_field: Option<&str>) -> Option<TokenClaims> {
        match self {
            Self::Jwt(jwt) => Some(TokenClaims::of_jwt("the JWT", jwt, Map::new())),
            Self::Signed(_, response) => Some(TokenClaims::of_answer(response)),
            Self::Json(members) => {
                let jwt = jwt_field.and_then(|name| members.get(name)).and_then(Value::as_str);
                match jwt.filter(|text| jws::payload(text).is_some()) {
                    Some(jwt) => Some(TokenClaims::of_jwt("the JWT", jwt, members.clone())),
                    // A UserInfo response says which user the token is about, and nothing else about the token.
                    None if members.contains_key("active") || members.contains_key("sub") => {
                        Some(TokenClaims::of_answer(members))
                    }
                    None => None,
                }
            }
            Self::Nothing | Self::Page | Self::Other => None,
        }
    }

    /// Returns the names of the JSON members that hold JWTs other than the token itself.
    pub fn members_with_jwt(&self, token: &str) -> Vec<&str> {
        let Self::Json(members) = self else { return Vec::new() };
        let is_jwt = |text: &str| text != token && jws::header(text).is_some();
        let holding = members.iter().filter(|(_, value)| value.as_str().is_some_and(is_jwt));
        holding.map(|(name, _)| name.as_str()).collect()
    }
}

impl TokenClaims {
    /// Returns the claims of a JWT, with the members beside it.
    pub fn of_jwt(whose: &'static str, jwt: &str, beside: Map<String, Value>) -> Self {
        let claims = jws::payload(jwt).unwrap_or_default();
        Self { whose, claims, beside, jwt: Some(jwt.to_owned()) }
    }

    fn of_answer(members: &Map<String, Value>) -> Self {
        Self { whose: "the answer", claims: members.clone(), beside: Map::new(), jwt: None }
    }

    /// Lists the names of all claims.
    pub fn names(&self) -> String {
        jws::names(&self.claims)
    }
}

/// Describes an exchange in a few words, without the body.
pub fn summary(exchange: &Exchange) -> String {
    let milliseconds = exchange.elapsed.as_millis();
    match (&exchange.answer, &exchange.failure) {
        (_, Some(failure)) => failure.clone(),
        (Answer::Complete { status, .. }, None) => {
            let media_type = media_type(&exchange.answer);
            let space = if media_type.is_empty() { "" } else { " " };
            format!("{status}{space}{media_type}, {milliseconds} ms")
        }
        (Answer::Oversized, None) => "its answer is too long".to_owned(),
        (Answer::Lost, None) => "no answer".to_owned(),
    }
}

/// Returns the status code, or `None` if the response is not complete.
pub fn status(answer: &Answer) -> Option<u16> {
    if let Answer::Complete { status, .. } = answer { Some(*status) } else { None }
}

/// Returns the value of a header field.
pub fn field(answer: &Answer, name: &str) -> Option<String> {
    let Answer::Complete { fields, .. } = answer else { return None };
    let (_, value) = fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Returns the media type, without its parameters.
pub fn media_type(answer: &Answer) -> String {
    let text = field(answer, "content-type").unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

/// The error codes of RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7009 §2.2.1, and others that servers use.
const ERRORS: &[&str] = &[
    "access_denied",
    "insufficient_scope",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
];
