//! Scenarios as data: `scenarios.yaml` lists requests, responses of the authorization server, and what client and service see. Three
//! drivers of the filter run them all: the core's, the deterministic host, and a real Envoy.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use phantom_token_core::driver::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::deterministic_host::fixture;
use crate::json::merged;
use crate::{jwt, keys, secrets};

/// One scenario, with its own gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    #[serde(default)]
    pub requirements: Vec<u32>,
    /// Edits of the usual configuration (RFC 7396).
    #[serde(default)]
    configuration: Value,
    /// Whether Kong's host has the features that the scenario needs.
    #[serde(default = "yes")]
    pub kong: bool,
    /// The JWTs that clients present, by name, as edits of the usual claims. Every other token that a step names is opaque.
    #[serde(default)]
    presented: BTreeMap<String, Value>,
    steps: Vec<Step>,
}

/// A request and its expected result. `{a}` in the path or a field stands for the token with that name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default = "get")]
    method: String,
    #[serde(default = "orders")]
    path: String,
    /// Several paths instead of one, each with its own request.
    #[serde(default)]
    paths: Vec<String>,
    /// How often the request is sent. If the server says that the token is active, the second one is a cache hit.
    #[serde(default = "once")]
    times: usize,
    host: Option<String>,
    /// The name of the token in `Authorization`.
    bearer: Option<String>,
    #[serde(default)]
    fields: Vec<(String, String)>,
    /// The server's answers about tokens from now on, by the token's name. Initially, no token is active.
    #[serde(default)]
    answers: BTreeMap<String, AnswerText>,
    /// The fields that services receive if the request is forwarded; null if they receive none of that name. Unless it is named here,
    /// `authorization` is the JWT in the answer about `bearer`.
    forwarded: Option<BTreeMap<String, Option<String>>>,
    /// Claims of the JWT that services receive; null if it has no such claim.
    claims: Option<BTreeMap<String, Value>>,
    /// Status and reason if the request is refused; only the status where the reason depends on the proxy.
    refused: Option<String>,
    /// The status if the gateway replies for another reason.
    answered: Option<u16>,
    /// Substrings of the fields of the client's response.
    #[serde(default)]
    response: BTreeMap<String, String>,
    /// A substring of the client's response body.
    body: Option<String>,
    /// How many requests the server has received so far.
    asked: Option<usize>,
}

/// An answer of the server: a phantom token if it is `active`, JSON, or anything else. In claims and JSON, `now+60` is a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerText {
    /// Edits of the usual claims.
    active: Option<Value>,
    /// Whether that JWT has a valid signature.
    #[serde(default)]
    signed: bool,
    /// JSON in which `{jwt}` stands for a JWT with the usual claims.
    json: Option<Value>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default, rename = "type")]
    media_type: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
}

/// An HTTP response of the authorization server.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
}

/// What client and service saw of one request.
#[derive(Debug)]
pub struct Seen {
    /// The status of the gateway's reply. `None` if the request was forwarded.
    pub status: Option<u16>,
    /// The reason of a refusal, empty if the request was not refused.
    pub reason: String,
    /// The header fields of the gateway's reply, or of the request that the service received.
    pub fields: Vec<(String, String)>,
    /// The body of the gateway's reply.
    pub body: String,
}

/// A gateway with one configuration, and the authorization server that it calls.
pub trait Driver {
    /// The time by the gateway's clock, in seconds since the epoch.
    fn now(&self) -> u64;

    /// Makes the server answer like this about a token from now on. It says of all other tokens that they are not active.
    fn respond(&mut self, token: &str, answer: Answer);

    /// Sends a request and returns its result.
    fn send(&mut self, request: Request) -> impl Future<Output = Result<Seen>>;

    /// How many requests about one of these tokens the server has received.
    fn asked(&self, tokens: &[&str]) -> usize;
}

/// The tokens of a scenario, by name, and the JWTs that services receive for them.
#[derive(Default)]
struct Tokens {
    presented: BTreeMap<String, String>,
    opaque: BTreeSet<String>,
    received: BTreeMap<String, String>,
}

impl Scenario {
    /// Returns all scenarios of `scenarios.yaml`.
    pub fn all() -> Result<Vec<Self>> {
        serde_saphyr::from_str(SCENARIOS).context("scenarios.yaml")
    }

    /// The configuration of the scenario's gateway, which calls the upstream `authorization-server`.
    pub fn configuration(&self) -> Value {
        with_keys(merged(&fixture::configuration(json!({"log_level": "debug"})), self.configuration.clone()))
    }

    /// Plays the scenario.
    ///
    /// # Errors
    /// If a step has another result than expected. The error contains the number of the step.
    pub async fn play(&self, driver: &mut impl Driver) -> Result<()> {
        let mut tokens = self.tokens(driver.now());
        for (number, step) in self.steps.iter().enumerate() {
            let played = step.play(&mut tokens, driver).await;
            played.with_context(|| {
                format!("{}, step {}: {} {}", self.name, number + 1, step.method, step.path)
            })?;
        }
        Ok(())
    }

    fn tokens(&self, now: u64) -> Tokens {
        let mut tokens = Tokens::default();
        for (name, edits) in &self.presented {
            let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": KEY_ID});
            tokens.presented.insert(name.clone(), jwt::signed(&header, &claims(edits, now)));
        }
        let named = self.steps.iter().flat_map(|step| step.bearer.iter().chain(step.answers.keys()));
        for name in named.filter(|name| !self.presented.contains_key(*name)) {
            tokens.presented.entry(name.clone()).or_insert_with(|| secrets::fresh_token(name));
            tokens.opaque.insert(name.clone());
        }
        tokens
    }
}

impl Step {
    async fn play(&self, tokens: &mut Tokens, driver: &mut impl Driver) -> Result<()> {
        for (name, answer) in &self.answers {
            let (answer, jwt) = answer.at(driver.now());
            tokens.received.insert(name.clone(), jwt);
            driver.respond(&tokens.presented[name], answer);
        }
        let paths = if self.paths.is_empty() { std::slice::from_ref(&self.path) } else { &self.paths };
        for path in paths.iter().flat_map(|path| std::iter::repeat_n(path, self.times)) {
            let seen = driver.send(self.request(path, tokens)).await?;
            self.check(&seen, tokens).with_context(|| format!("{path}: {seen:?}"))?;
        }
        if let Some(asked) = self.asked {
            let all: Vec<&str> = tokens.presented.values().map(String::as_str).collect();
            let got = driver.asked(&all);
            ensure!(got == asked, "the server had {got} requests instead of {asked}");
        }
        Ok(())
    }

    fn request(&self, path: &str, tokens: &Tokens) -> Request {
        let host = self.host.as_deref().unwrap_or("api.example.com");
        let pseudo =
            [(":method", &*self.method), (":scheme", "https"), (":authority", host), (":path", path)];
        let bearer = self.bearer.iter().map(|name| ("authorization", format!("Bearer {{{name}}}")));
        let fields = pseudo
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .chain(self.fields.iter().map(|(name, value)| (name.as_str(), value.clone())))
            .chain(bearer);
        let filled = |(name, value): (&str, String)| (name.to_owned(), tokens.filled_in(&value).into_bytes());
        Request { fields: fields.map(filled).collect(), ..Request::default() }
    }

    fn check(&self, seen: &Seen, tokens: &Tokens) -> Result<()> {
        let opaque: Vec<&str> = tokens.opaque.iter().map(|name| tokens.presented[name].as_str()).collect();
        let shows = |text: &str| opaque.iter().any(|token| text.contains(token));
        let is_shown = seen.fields.iter().any(|(_, value)| shows(value));
        ensure!(!is_shown && !shows(&seen.body), "it shows an opaque token");
        for (name, part) in &self.response {
            let values = seen.values(name).join(", ");
            ensure!(values.contains(part), "{name} is {values:?}, without {part:?}");
        }
        ensure!(self.body.iter().all(|part| seen.body.contains(part)), "the body is {:?}", seen.body);
        match (&self.forwarded, &self.refused, self.answered) {
            (Some(fields), None, None) => self.check_forwarded(fields, seen, tokens),
            (None, Some(refused), None) => {
                let status = seen.status.unwrap_or_default().to_string();
                let is_expected = refused.split_once(' ').map_or(status == *refused, |(expected, reason)| {
                    status == expected && seen.reason == reason
                });
                ensure!(is_expected, "{status} {} instead of {refused}", seen.reason);
                Ok(())
            }
            (None, None, Some(status)) => {
                ensure!(seen.status == Some(status) && seen.reason.is_empty(), "not answered with {status}");
                Ok(())
            }
            _ => bail!("a step is forwarded, refused or answered"),
        }
    }

    fn check_forwarded(
        &self,
        fields: &BTreeMap<String, Option<String>>,
        seen: &Seen,
        tokens: &Tokens,
    ) -> Result<()> {
        ensure!(seen.status.is_none(), "not forwarded");
        for (name, value) in fields {
            let expected: Vec<String> = value.iter().map(|value| tokens.filled_in(value)).collect();
            ensure!(
                seen.values(name) == expected,
                "{name} is {:?} instead of {expected:?}",
                seen.values(name)
            );
        }
        let credentials = seen.values("authorization");
        if let Some(claims) = &self.claims {
            let jwt = credentials.first().and_then(|value| value.strip_prefix("Bearer "));
            let received = jwt::claims(jwt.context("no JWT")?)?;
            for (name, value) in claims {
                ensure!(received[name] == *value, "{name} is {} instead of {value}", received[name]);
            }
        } else if !fields.contains_key("authorization") {
            let jwt = self.bearer.as_ref().and_then(|name| tokens.received.get(name));
            let expected: Vec<String> = jwt.iter().map(|jwt| format!("Bearer {jwt}")).collect();
            ensure!(credentials == expected, "the credentials are not the JWT of the answer");
        }
        Ok(())
    }
}

impl AnswerText {
    /// Returns the answer at this time, and the JWT in it.
    fn at(&self, now: u64) -> (Answer, String) {
        let claims = claims(self.active.as_ref().unwrap_or(&Value::Null), now);
        let jwt = match self.signed {
            true => jwt::signed(&json!({"alg": "ES256", "typ": "at+jwt", "kid": KEY_ID}), &claims),
            false => jwt::with_claims(&claims),
        };
        let (media_type, body) = match (&self.active, &self.json) {
            (Some(_), _) => ("application/jwt", jwt.clone()),
            (None, Some(json)) => ("application/json", dated(json.clone(), now).to_string()),
            (None, None) => (self.media_type.as_str(), self.body.clone()),
        };
        let media_type = if self.media_type.is_empty() { media_type } else { &self.media_type };
        let mut fields = self.fields.clone();
        if !media_type.is_empty() {
            fields.push(("content-type".to_owned(), media_type.to_owned()));
        }
        (Answer { status: self.status, fields, body: body.replace("{jwt}", &jwt) }, jwt)
    }
}

impl Answer {
    /// The answer that a token is not active.
    pub fn inactive() -> Self {
        Self { status: 204, fields: Vec::new(), body: String::new() }
    }
}

impl Seen {
    /// Returns a header field as text.
    pub fn field(name: &str, value: &[u8]) -> (String, String) {
        (name.to_owned(), String::from_utf8_lossy(value).into_owned())
    }

    /// The values of a field. Empty ones do not count, since some hosts empty fields instead of removing them.
    fn values(&self, name: &str) -> Vec<String> {
        let named =
            self.fields.iter().filter(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_empty());
        named.map(|(_, value)| value.clone()).collect()
    }
}

impl Tokens {
    fn filled_in(&self, text: &str) -> String {
        self.presented
            .iter()
            .fold(text.to_owned(), |text, (name, token)| text.replace(&format!("{{{name}}}"), token))
    }
}

/// Returns the token that a request to the server is about: in its form, or in `Authorization` (UserInfo).
pub fn asked_about(form: &[u8], authorization: Option<&str>) -> String {
    let form = String::from_utf8_lossy(form);
    let parameter = form.split('&').find_map(|pair| pair.strip_prefix("token="));
    let credentials = authorization.and_then(|value| value.strip_prefix("Bearer "));
    parameter.or(credentials).unwrap_or_default().to_owned()
}

/// The usual claims at this time, with these edits.
fn claims(edits: &Value, now: u64) -> Value {
    let usual = json!({
        "iss": fixture::ISSUER, "aud": "orders-api", "sub": "alice", "client_id": "app", "scope": "orders:read",
        "jti": "1", "iat": now, "exp": now + 3600,
    });
    merged(&usual, dated(edits.clone(), now))
}

/// Replaces `now+60` and `now-60` in a value with times.
fn dated(value: Value, now: u64) -> Value {
    replaced(value, &|text| {
        let offset: i64 = text.strip_prefix("now")?.parse().ok()?;
        Some(json!(now.saturating_add_signed(offset)))
    })
}

/// Replaces `{public key}` and `{private key}` in the configuration with the tests' key.
fn with_keys(configuration: Value) -> Value {
    replaced(configuration, &|text| match text {
        "{public key}" => Some(merged(&keys::public(&keys::p256()), json!({"kid": KEY_ID}))),
        "{private key}" => Some(json!(keys::p256_pem())),
        _ => None,
    })
}

/// Replaces strings in a value.
pub fn replaced(value: Value, replace: &impl Fn(&str) -> Option<Value>) -> Value {
    match value {
        Value::String(text) => replace(&text).unwrap_or(Value::String(text)),
        Value::Array(elements) => elements.into_iter().map(|element| replaced(element, replace)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, member)| (name, replaced(member, replace))).collect()
        }
        other => other,
    }
}

fn yes() -> bool {
    true
}

fn get() -> String {
    "GET".to_owned()
}

fn orders() -> String {
    "/orders".to_owned()
}

fn once() -> usize {
    1
}

fn ok() -> u16 {
    200
}

const KEY_ID: &str = "key";
const SCENARIOS: &str = include_str!("../scenarios.yaml");
