//! The outcome of a request: the client's response and what services received. Beyond the test's own question, its assertions check what
//! holds for every request: a refused request arrives nowhere, no token is shown, and the status says who is at fault.

use std::ops::Deref;

use anyhow::{Context, Result, ensure};
use axum::http::HeaderMap;
use serde_json::Value;

use crate::client::Answer;
use crate::{jwt, secrets};

#[derive(Debug)]
pub struct Outcome {
    pub answer: Answer,
    /// The headers of the requests that services received.
    pub arrived: Vec<HeaderMap>,
    pub(super) what: String,
    pub(super) token: Option<String>,
}

impl Deref for Outcome {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

impl Outcome {
    /// Asserts that the request arrived once, without its opaque token, and got a response with 200.
    #[track_caller]
    pub fn is_served(self) -> Self {
        assert_eq!(self.status, 200, "{self}");
        assert_eq!(self.arrived.len(), 1, "{self}");
        let opaque = self.token.as_deref().filter(|token| !token.is_empty() && !token.starts_with("eyJ"));
        let shows_token = |value: &[u8]| opaque.is_some_and(|token| contains(value, token.as_bytes()));
        let shown =
            self.arrived.iter().flat_map(HeaderMap::values).any(|value| shows_token(value.as_bytes()));
        assert!(!shown && !shows_token(&self.body), "the opaque token arrived: {}", self.what);
        self
    }

    /// Asserts that the request was refused with this status and for this reason (docs/refusals.md).
    #[track_caller]
    pub fn is_refused(self, status: u16, reason: &str) -> Self {
        assert_eq!((self.status, self.reason()), (status, reason), "{self}");
        self.went_nowhere()
    }

    /// Asserts that the request was served if this is 200, else that it was refused with this status.
    #[track_caller]
    pub fn has_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        if status == 200 { self.is_served() } else { self.went_nowhere() }
    }

    /// Asserts that one of the challenges contains this text.
    #[track_caller]
    pub fn is_challenged_by(self, text: &str) -> Self {
        assert!(self.challenges().iter().any(|challenge| challenge.contains(text)), "{text}: {self}");
        self
    }

    /// The reason for which the filter refused the request (`RESPONSE_CODE_DETAILS`), empty if it did not.
    pub fn reason(&self) -> &str {
        let details = self.header(DETAILS);
        details.strip_prefix("phantom_token_denied{").and_then(|rest| rest.strip_suffix('}')).unwrap_or("")
    }

    /// The values of `WWW-Authenticate`.
    pub fn challenges(&self) -> Vec<String> {
        texts(&self.answer.headers, "www-authenticate")
    }

    /// The headers of the request that arrived.
    ///
    /// # Panics
    /// If no request arrived, or more than one.
    #[track_caller]
    pub fn head(&self) -> &HeaderMap {
        let [head] = self.arrived.as_slice() else {
            panic!("{} requests arrived: {self}", self.arrived.len())
        };
        head
    }

    /// The values of a field of the request that arrived.
    #[track_caller]
    pub fn received(&self, field: &str) -> Vec<String> {
        texts(self.head(), field)
    }

    /// The one JWT that arrived in `Authorization`.
    pub fn jwt(&self) -> Result<String> {
        let fields = self.received("authorization");
        ensure!(fields.len() == 1, "{} credentials arrived: {self}", fields.len());
        let jwt = fields[0].strip_prefix("Bearer ").context("another scheme than Bearer")?;
        Ok(secrets::noted(jwt.to_owned()))
    }

    /// The claims of the JWT that arrived, unverified.
    pub fn claims(&self) -> Result<Value> {
        jwt::claims(&self.jwt()?)
    }

    /// Asserts that the gateway itself replied, that only a client at fault is challenged, and that a 503 says when to retry.
    #[track_caller]
    pub fn went_nowhere(self) -> Self {
        assert_eq!(self.arrived.len(), 0, "it arrived: {self}");
        let token = self.token.as_deref().unwrap_or_default();
        assert!(
            token.is_empty() || !self.text().contains(token),
            "the answer shows the token: {}",
            self.what
        );
        if !self.reason().is_empty() {
            assert_eq!(self.header("cache-control"), "no-store", "{self}");
            let (is_challenged, may_retry) =
                (!self.challenges().is_empty(), self.answer.headers.contains_key("retry-after"));
            match self.status {
                401 => assert!(is_challenged && !may_retry, "{self}: {:?}", self.answer.headers),
                503 => assert!(!is_challenged && may_retry, "{self}: {:?}", self.answer.headers),
                500.. => assert!(!is_challenged && !may_retry, "{self}: {:?}", self.answer.headers),
                _ => {}
            }
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, status, reason) = (&self.what, self.status, self.reason());
        write!(formatter, "{what}: {status} {reason} {} {:?}", self.text(), self.challenges())
    }
}

fn texts(fields: &HeaderMap, name: &str) -> Vec<String> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.get_all(name).iter().map(text).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The response field with the details of a refusal.
pub(super) const DETAILS: &str = "x-response-code-details";
