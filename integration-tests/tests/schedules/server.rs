//! The authorization server: the tokens that there are, and what it has said of them.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use integration_tests::deterministic_host::{Answer, Behaviour, ContextKey};
use integration_tests::jwt;
use serde_json::json;

use crate::bounds::{AUDIENCE, Bounds, ISSUER};

/// An opaque token.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub subject: String,
    pub scope: &'static str,
    pub expires: Duration,
    /// Whether the server ever issued it.
    pub is_known: bool,
    pub revoked: Option<Duration>,
    /// Whether its JWT is for another API.
    pub is_for_others: bool,
}

/// What the server said of a token.
#[derive(Clone, Debug)]
pub struct Statement {
    /// In which step.
    pub step: u64,
    /// To which worker.
    pub worker: usize,
    /// To which configuration there.
    pub root: ContextKey,
    /// Whether the answer arrives: who asked may be gone.
    pub is_heard: bool,
    pub at: Duration,
    pub meaning: Meaning,
}

/// A question that is answered, or never will be.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub token: usize,
    /// In which step.
    pub step: u64,
    /// Who asked.
    pub worker: usize,
    pub root: ContextKey,
    /// Whether the answer arrives: who asked may be gone.
    pub is_heard: bool,
    pub now: Duration,
}

#[derive(Clone, Debug)]
pub enum Meaning {
    Active {
        expires: Duration,
        storage: Storage,
    },
    Inactive,
    /// It said nothing, or nothing that makes sense; the status that clients are to get.
    Failure(u16),
}

/// What HTTP says of keeping an answer.
#[derive(Clone, Copy, Debug)]
pub enum Storage {
    Unsaid,
    For(Duration),
    Forbidden,
}

/// Everything that it knows.
pub struct Server {
    behaviour: Behaviour,
    pub tokens: Vec<Token>,
    statements: HashMap<usize, Vec<Statement>>,
    /// Whom each JWT was issued for, and by which statement.
    issued: HashMap<String, (usize, usize)>,
}

impl Server {
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, tokens: Vec::new(), statements: HashMap::new(), issued: HashMap::new() }
    }

    /// Issues a token, or makes one up.
    pub fn add_token(&mut self, now: Duration, rng: &mut Rng) {
        let number = self.tokens.len();
        let lifetime = [2, 60, 600, 36_000, 360_000][rng.usize(..5)];
        self.tokens.push(Token {
            text: format!("opaque-{number}-{:016x}", rng.u64(..)),
            subject: format!("user-{number}"),
            scope: ["orders:read", "orders:read orders:write", "orders:write orders:read-all profile"]
                [rng.usize(..3)],
            expires: Duration::from_secs(now.as_secs() + lifetime),
            is_known: rng.u8(..8) != 0,
            revoked: None,
            is_for_others: rng.u8(..12) == 0,
        });
    }

    /// The token of this text.
    pub fn find(&self, text: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token.text == text)
    }

    /// What was said of a token, in its order.
    pub fn statements(&self, token: usize) -> &[Statement] {
        self.statements.get(&token).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whom a JWT was issued for, and what was said with it.
    pub fn issued(&self, jwt: &str) -> Option<(usize, &Statement)> {
        let (token, statement) = self.issued.get(jwt)?;
        Some((*token, self.statements.get(token)?.get(*statement)?))
    }

    /// Whether the server failed after this was said.
    pub fn has_failed_since(&self, token: usize, said: &Statement) -> bool {
        let later = self.statements(token).iter().filter(|other| other.step > said.step);
        later.into_iter().any(|other| matches!(other.meaning, Meaning::Failure(_)))
    }

    /// Whether its last word to this configuration of a worker, about whichever token, was a failure.
    pub fn has_failed_last(&self, root: ContextKey) -> bool {
        let to_root = self.statements.values().flatten().filter(|said| said.is_heard && said.root == root);
        let last = to_root.max_by_key(|said| said.step);
        last.is_some_and(|said| matches!(said.meaning, Meaning::Failure(_)))
    }

    /// Whether it said to this configuration of a worker, later than this, that the token is not active.
    pub fn has_taken_back(&self, token: usize, said: &Statement, root: ContextKey) -> bool {
        let is_later = |other: &&Statement| other.is_heard && other.root == root && other.step > said.step;
        let mut later = self.statements(token).iter().filter(is_later);
        later.any(|other| matches!(other.meaning, Meaning::Inactive))
    }

    /// Answers a question about a token, in one of many ways: mostly as the truth is.
    pub fn answer(&mut self, question: Question, rng: &mut Rng) -> Answer {
        let Question { token, step, worker, root, is_heard, now } = question;
        let (answer, meaning, jwt) = match rng.u8(..10) {
            0..6 => self.truth(token, now, rng),
            6 => self.silence(rng),
            _ => self.failure(token, now, rng),
        };
        let statements = self.statements.entry(token).or_default();
        if let Some(jwt) = jwt {
            self.issued.insert(jwt, (token, statements.len()));
        }
        statements.push(Statement { step, worker, root, is_heard, at: now, meaning });
        answer
    }

    /// The server does not answer in time.
    pub fn time_out(&mut self, question: Question) -> Answer {
        let Question { token, step, worker, root, is_heard, now } = question;
        let statement = Statement { step, worker, root, is_heard, at: now, meaning: self.no_answer() };
        self.statements.entry(token).or_default().push(statement);
        Answer::TimedOut
    }

    fn truth(&self, token: usize, now: Duration, rng: &mut Rng) -> (Answer, Meaning, Option<String>) {
        let Token { is_known, revoked, expires, .. } = self.tokens[token];
        // The server's clock may be late.
        if !is_known || revoked.is_some() || (expires <= now && rng.u8(..4) != 0) {
            return Self::inactive(&self.jwt(token, now, rng), rng);
        }
        let jwt = self.jwt(token, now, rng);
        let storage = match rng.u8(..4) {
            0 => Storage::Forbidden,
            1 => Storage::For(Duration::from_secs(rng.u64(1..120))),
            _ => Storage::Unsaid,
        };
        let answer = Answer::jwt(&jwt);
        let answer = match storage {
            Storage::Unsaid => answer,
            Storage::For(age) => {
                answer.header("cache-control", &format!("private, max-age={}", age.as_secs()))
            }
            Storage::Forbidden => answer.header("cache-control", "no-store"),
        };
        (answer, Meaning::Active { expires, storage }, Some(jwt))
    }

    fn inactive(jwt: &str, rng: &mut Rng) -> (Answer, Meaning, Option<String>) {
        let answer = match rng.u8(..4) {
            0 => Answer::response(200, "application/json", r#"{"active":false}"#),
            1 => Answer::response(200, "application/json", json!({"active": false, "jwt": jwt}).to_string()),
            2 => Answer::response(400, "application/json", r#"{"error":"unsupported_token_type"}"#),
            _ => Answer::response(204, "", ""),
        };
        (answer, Meaning::Inactive, None)
    }

    fn silence(&self, rng: &mut Rng) -> (Answer, Meaning, Option<String>) {
        match rng.u8(..3) {
            0 => (Answer::TimedOut, self.no_answer(), None),
            1 => (Answer::Refused, Meaning::Failure(503), None),
            _ => (Answer::Reset, Meaning::Failure(503), None),
        }
    }

    /// What it comes to when an answer does not come in time: not every host tells it from other failures.
    fn no_answer(&self) -> Meaning {
        Meaning::Failure(if self.behaviour == Behaviour::Envoy { 504 } else { 503 })
    }

    fn failure(&self, token: usize, now: Duration, rng: &mut Rng) -> (Answer, Meaning, Option<String>) {
        let jwt = self.jwt(token, now, rng);
        let json = |body: &str| Answer::response(200, "application/json", body);
        let (answer, status) = match rng.u8(..14) {
            0 => (Answer::response(500, "text/plain", "oops"), 503),
            1 => (Answer::response(503, "application/json", "{}"), 503),
            2 => (Answer::response(429, "", ""), 503),
            3 => (Answer::response(401, "application/json", r#"{"error":"invalid_client"}"#), 502),
            4 => (
                Answer::response(302, "text/html", "").header("location", "https://elsewhere.example.com"),
                502,
            ),
            5 => (Answer::response(404, "application/jwt", jwt), 502),
            6 => (Answer::response(200, "text/html", jwt), 502),
            7 => (Answer::response(200, "", jwt), 502),
            8 => (Answer::jwt("not.a.jwt"), 502),
            9 => (Answer::response(200, "application/jwt", vec![0xff; 40]), 502),
            10 => (Answer::response(200, "application/jwt", vec![b'e'; 200_000]), 502),
            11 => (json("{}"), 502),
            12 => (json(r#"{"active":"true"}"#), 502),
            _ => (json(r#"{"active":true}"#), 502),
        };
        (answer, Meaning::Failure(status), None)
    }

    /// A JWT for a token that nobody got before.
    fn jwt(&self, token: usize, now: Duration, rng: &mut Rng) -> String {
        let Token { subject, scope, expires, is_for_others, .. } = &self.tokens[token];
        let audience = if *is_for_others { "billing-api" } else { AUDIENCE };
        let claims = json!({
            "iss": ISSUER, "aud": audience, "sub": subject, "client_id": "app", "scope": scope,
            "iat": now.as_secs(), "exp": expires.as_secs(), "jti": rng.u64(..).to_string(),
        });
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "test"});
        let signature = URL_SAFE_NO_PAD.encode(rng.u64(..).to_be_bytes());
        format!("{}.{}.{signature}", jwt::encoded(&header), jwt::encoded(&claims))
    }
}

impl Statement {
    /// Until when it counts for requests that did not wait for it; never, if it does not.
    pub fn fresh_until(&self, bounds: &Bounds) -> Duration {
        let Meaning::Active { expires, storage } = self.meaning else { return Duration::ZERO };
        let limit = match storage {
            Storage::Unsaid => bounds.max_ttl,
            Storage::For(age) => age.min(bounds.max_ttl),
            Storage::Forbidden => bounds.no_store_ttl,
        };
        expires.min(self.at + limit)
    }

    /// Until when it counts while the server fails: never past the token's end, and not where HTTP forbids to keep it.
    pub fn usable_until(&self, bounds: &Bounds) -> Duration {
        match self.meaning {
            Meaning::Active { expires, storage: Storage::Unsaid | Storage::For(_) } => {
                expires.min(self.fresh_until(bounds) + bounds.stale_if_error)
            }
            _ => self.fresh_until(bounds),
        }
    }

    /// Whether it says that the token has expired, or soon will have.
    pub fn has_expired(&self, now: Duration, leeway: Duration) -> bool {
        matches!(self.meaning, Meaning::Active { expires, .. } if expires + leeway <= now)
    }
}
