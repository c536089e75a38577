//! The authorization server: the existing tokens, and what it has said about them.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use integration_tests::deterministic_host::{Answer, Behaviour, ContextKey};
use integration_tests::jwt;
use serde_json::{Value, json};

use crate::bounds::{AUDIENCE, Bounds, ISSUER};
use crate::format::Format;
use crate::moment::Moment;
use crate::published_keys::{PublishedKeys, Signature};
use crate::signer::Signer;

#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub subject: String,
    pub scope: &'static str,
    pub expires: Duration,
    /// Whether the server has issued the token.
    pub is_known: bool,
    pub revoked: Option<Moment>,
    /// Whether the token is for another API.
    pub is_for_others: bool,
    /// The number and thumbprint of the key to which the token is bound.
    pub binding: Option<(usize, String)>,
}

/// What the server said about a token.
#[derive(Clone, Debug)]
pub struct Statement {
    pub step: u64,
    pub worker: usize,
    /// The root context that asked.
    pub root: ContextKey,
    /// Whether the response is received: the context that sent the callout may no longer exist.
    pub is_received: bool,
    pub at: Moment,
    pub meaning: Meaning,
}

/// An introspection that is answered or times out.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub token: usize,
    /// The requested format, and whether signatures are verified.
    pub format: Format,
    pub is_verified: bool,
    pub step: u64,
    pub worker: usize,
    pub root: ContextKey,
    /// Whether the response is received: the context that sent the callout may no longer exist.
    pub is_received: bool,
    pub now: Moment,
}

#[derive(Clone, Debug)]
pub enum Meaning {
    Active {
        expires: Duration,
        storage: Storage,
        signature: Signature,
        jwt: Option<String>,
    },
    Inactive,
    /// No response, or an invalid one, with the status that clients get.
    Failure(u16),
}

/// What HTTP says about storing a response.
#[derive(Clone, Copy, Debug)]
pub enum Storage {
    Unsaid,
    For(Duration),
    Forbidden,
}

pub struct Server {
    behaviour: Behaviour,
    pub tokens: Vec<Token>,
    /// The tokens that clients have. Invented ones are not among them.
    pub issued: Vec<usize>,
    pub keys: PublishedKeys,
    statements: HashMap<usize, Vec<Statement>>,
    /// The token and the statement of each response, by its `jti`.
    answers: HashMap<String, (usize, usize)>,
}

impl Server {
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            tokens: Vec::new(),
            issued: Vec::new(),
            keys: PublishedKeys::new(),
            statements: HashMap::new(),
            answers: HashMap::new(),
        }
    }

    /// Adds a token of a client, bound to this key if there is one. Some are unknown to the server, which clients cannot tell.
    pub fn add_token(&mut self, binding: Option<(usize, String)>, now: Duration, rng: &mut Rng) {
        let lifetime = [2, 60, 600, 36_000, 360_000][rng.usize(..5)];
        let scope = ["orders:read", "orders:read orders:write", "orders:write orders:read-all profile"]
            [rng.usize(..3)];
        let expires = Duration::from_secs(now.as_secs() + lifetime);
        let (is_known, is_for_others) = (rng.u8(..8) != 0, rng.u8(..12) == 0);
        self.issued.push(self.tokens.len());
        self.add(Token { scope, expires, is_known, is_for_others, binding, ..self.blank(rng) });
    }

    /// Adds a token that a client has invented. Returns its number.
    pub fn make_up_token(&mut self, rng: &mut Rng) -> usize {
        self.add(self.blank(rng));
        self.tokens.len() - 1
    }

    pub fn find(&self, text: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token.text == text)
    }

    /// What was said about a token, in order.
    pub fn statements(&self, token: usize) -> &[Statement] {
        self.statements.get(&token).map(Vec::as_slice).unwrap_or_default()
    }

    /// The token that a response was about, and what was said with it.
    pub fn answered(&self, id: &str) -> Option<(usize, &Statement)> {
        let (token, statement) = self.answers.get(id)?;
        Some((*token, self.statements.get(token)?.get(*statement)?))
    }

    /// Whether the server failed after this was said.
    pub fn has_failed_since(&self, token: usize, said: &Statement) -> bool {
        let later = self.statements(token).iter().filter(|other| other.step > said.step);
        later.into_iter().any(|other| matches!(other.meaning, Meaning::Failure(_)))
    }

    /// Whether the last response to this root context, about any token, was a failure.
    pub fn has_failed_last(&self, root: ContextKey) -> bool {
        let to_root = self.statements.values().flatten().filter(|said| said.is_received && said.root == root);
        let last = to_root.max_by_key(|said| said.step);
        last.is_some_and(|said| matches!(said.meaning, Meaning::Failure(_)))
    }

    /// Whether a later response to this root context said that the token is not active.
    pub fn has_taken_back(&self, token: usize, said: &Statement, root: ContextKey) -> bool {
        let is_later = |other: &&Statement| other.is_received && other.root == root && other.step > said.step;
        let mut later = self.statements(token).iter().filter(is_later);
        later.any(|other| matches!(other.meaning, Meaning::Inactive))
    }

    /// Whether this root context has to know that a token is active: the last response about it was one that it caches, and the cache has
    /// room for all.
    pub fn is_known(&self, token: usize, root: ContextKey, bounds: &Bounds) -> bool {
        let is_word = |said: &&Statement| {
            said.root == root && said.is_received && !matches!(said.meaning, Meaning::Failure(_))
        };
        let last = self.statements(token).iter().rev().find(is_word);
        let is_kept = last.is_some_and(|said| {
            let later = self.statements(token).iter().filter(|other| other.step > said.step);
            let is_taken_back = later.into_iter().any(|other| matches!(other.meaning, Meaning::Inactive));
            said.at.clock < said.fresh_until(bounds) && !is_taken_back
        });
        is_kept && bounds.keys.is_none() && bounds.max_entries > self.tokens.len()
    }

    /// Answers an introspection in one of many ways, mostly truthfully.
    pub fn answer(&mut self, question: Question, rng: &mut Rng) -> Answer {
        let (answer, meaning) = match rng.u8(..10) {
            0..6 => self.truth(question, rng),
            6 => self.silence(rng),
            _ => self.failure(question, rng),
        };
        self.note(question, meaning);
        answer
    }

    /// Lets an introspection time out.
    pub fn time_out(&mut self, question: Question) -> Answer {
        self.note(question, self.no_answer());
        Answer::TimedOut
    }

    fn note(&mut self, question: Question, meaning: Meaning) {
        let Question { token, step, worker, root, is_received, now, .. } = question;
        let statements = self.statements.entry(token).or_default();
        if matches!(meaning, Meaning::Active { .. }) {
            self.answers.insert(id(token, statements.len()), (token, statements.len()));
        }
        statements.push(Statement { step, worker, root, is_received, at: now, meaning });
    }

    fn truth(&self, question: Question, rng: &mut Rng) -> (Answer, Meaning) {
        let Question { token, format, now: Moment { clock: now, .. }, is_verified, .. } = question;
        let Token { is_known, revoked, expires, .. } = self.tokens[token];
        let claims = self.claims(token, now);
        // The server's clock may be slow.
        if !is_known || revoked.is_some() || (expires <= now && rng.u8(..4) != 0) {
            let answer = format.inactive(&claims, now.as_secs(), &Signer::new(1), rng);
            return (answer, Meaning::Inactive);
        }
        let mut signature = Signature::Unverified;
        let (answer, body) = format.active(&claims, now.as_secs(), |media_type, claims| {
            let (jwt, signer) = if is_verified {
                self.keys.sign(media_type, claims, rng)
            } else {
                unsigned(media_type, claims, rng)
            };
            signature = signer;
            jwt
        });
        let (answer, storage) = match rng.u8(..4) {
            0 => (answer.header("cache-control", "no-store"), Storage::Forbidden),
            1 => {
                let age = rng.u64(1..120);
                let field = format!("private, max-age={age}");
                (answer.header("cache-control", &field), Storage::For(Duration::from_secs(age)))
            }
            _ => (answer, Storage::Unsaid),
        };
        let jwt = (format == Format::Jwt).then_some(body);
        (answer, Meaning::Active { expires, storage, signature, jwt })
    }

    fn silence(&self, rng: &mut Rng) -> (Answer, Meaning) {
        match rng.u8(..3) {
            0 => (Answer::TimedOut, self.no_answer()),
            1 => (Answer::Refused, Meaning::Failure(503)),
            _ => (Answer::Reset, Meaning::Failure(503)),
        }
    }

    /// The meaning of a timeout: not every host distinguishes it from other failures.
    fn no_answer(&self) -> Meaning {
        Meaning::Failure(if self.behaviour == Behaviour::Envoy { 504 } else { 503 })
    }

    fn failure(&self, question: Question, rng: &mut Rng) -> (Answer, Meaning) {
        let Question { token, format, now: Moment { clock: now, .. }, .. } = question;
        let claims = self.claims(token, now);
        let (answer, status) = match rng.u8(..14) {
            0 => (Answer::response(500, "text/plain", "oops"), 503),
            1 => (Answer::response(503, "application/json", "{}"), 503),
            2 => (Answer::response(429, "", ""), 503),
            3 => (Answer::response(401, "application/json", r#"{"error":"invalid_client"}"#), 502),
            4 => (
                Answer::response(302, "text/html", "").header("location", "https://elsewhere.example.com"),
                502,
            ),
            5 => (Answer::response(200, "text/html", jwt::with_claims(&claims)), 502),
            6 => (Answer::response(200, "", jwt::with_claims(&claims)), 502),
            7 => (Answer::response(200, "application/json", "{}"), 502),
            8 => (Answer::response(200, "application/json", r#"{"active":"true"}"#), 502),
            9 => (Answer::response(200, format.media_type(), "not.a.jwt"), 502),
            _ => (format.misplaced(&claims, now.as_secs(), &Signer::new(1), rng), 502),
        };
        (answer, Meaning::Failure(status))
    }

    /// The claims of the next response about a token. Their `jti` is unique.
    fn claims(&self, token: usize, now: Duration) -> Value {
        let Token { subject, scope, expires, is_for_others, binding, .. } = &self.tokens[token];
        let audience = if *is_for_others { "billing-api" } else { AUDIENCE };
        let mut claims = json!({
            "iss": ISSUER, "aud": audience, "sub": subject, "client_id": "app", "scope": scope,
            "iat": now.as_secs(), "exp": expires.as_secs(), "jti": id(token, self.statements(token).len()),
        });
        if let Some((_, thumbprint)) = binding {
            claims["cnf"] = json!({"jkt": thumbprint});
        }
        claims
    }

    fn blank(&self, rng: &mut Rng) -> Token {
        let number = self.tokens.len();
        Token {
            text: format!("opaque-{number}-{:016x}", rng.u64(..)),
            subject: format!("user-{number}"),
            scope: "",
            expires: Duration::ZERO,
            is_known: false,
            revoked: None,
            is_for_others: false,
            binding: None,
        }
    }

    fn add(&mut self, token: Token) {
        self.tokens.push(token);
    }
}

impl Token {
    /// The number of the key to which the token is bound.
    pub fn key(&self) -> Option<usize> {
        self.binding.as_ref().map(|(key, _)| *key)
    }
}

impl Statement {
    /// When the token expires. `None` if it is not active.
    pub fn expires(&self) -> Option<Duration> {
        match self.meaning {
            Meaning::Active { expires, .. } => Some(expires),
            _ => None,
        }
    }

    /// Until when the statement counts for requests that did not wait for it. Zero if it does not.
    pub fn fresh_until(&self, bounds: &Bounds) -> Duration {
        let Meaning::Active { expires, storage, .. } = self.meaning else { return Duration::ZERO };
        let limit = match storage {
            Storage::Unsaid => bounds.max_ttl,
            Storage::For(age) => age.min(bounds.max_ttl),
            Storage::Forbidden => bounds.no_store_ttl,
        };
        expires.min(self.at.clock + limit)
    }

    /// Until when the statement counts while the server fails: never past the token's expiry, and no longer where HTTP forbids to store it.
    pub fn usable_until(&self, bounds: &Bounds) -> Duration {
        match self.meaning {
            Meaning::Active { expires, storage: Storage::Unsaid | Storage::For(_), .. } => {
                expires.min(self.fresh_until(bounds) + bounds.stale_if_error)
            }
            _ => self.fresh_until(bounds),
        }
    }

    /// Whether the token has expired, allowing for the leeway.
    pub fn has_expired(&self, now: Duration, leeway: Duration) -> bool {
        self.expires().is_some_and(|expires| expires + leeway <= now)
    }
}

/// The `jti` of a response about a token.
fn id(token: usize, statement: usize) -> String {
    format!("answer-{token}-{statement}")
}

/// A JWT whose signature is not verified.
fn unsigned(media_type: &str, claims: &Value, rng: &mut Rng) -> (String, Signature) {
    let header = json!({"alg": "ES256", "typ": media_type, "kid": "test"});
    let signature = URL_SAFE_NO_PAD.encode(rng.u64(..).to_be_bytes());
    (format!("{}.{}.{signature}", jwt::encoded(&header), jwt::encoded(claims)), Signature::Unverified)
}
