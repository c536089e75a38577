//! One configuration of the filter, and what it promises.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::format::Format;
use crate::minted::MintBounds;
use crate::proofs::DpopBounds;
use crate::published_keys::KeyBounds;

/// What one configuration promises. An option that the filter has not, or that is off, is zero or none.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How old an answer may be that still counts.
    pub max_ttl: Duration,
    /// How old one may be that HTTP forbids to keep; zero, if that is honoured.
    pub no_store_ttl: Duration,
    /// How long after its expiry a token still counts, for clocks that differ.
    pub leeway: Duration,
    /// How many questions one worker has open at one time.
    pub max_concurrent: usize,
    /// How many one worker asks in a second, and as many at once after a second of rest.
    pub max_per_second: u64,
    /// How long "not active" is remembered.
    pub inactive_ttl: Duration,
    /// How long before its end an answer is asked for anew.
    pub refresh_ahead: Duration,
    /// How long after it has become too old an answer still counts while the server fails.
    pub stale_if_error: Duration,
    /// After how many failures in a row the server is left alone; none for never.
    pub failures: u64,
    /// How long it is.
    pub open_for: Duration,
    /// How many requests of one worker wait at one time.
    pub max_waiting: usize,
    pub timeout: Duration,
    pub max_entries: usize,
    /// Whether `/profile` is open to all.
    pub is_profile_public: bool,
    /// Whether a scope that a token lacks is only reported.
    pub reports_only: bool,
    pub format: Format,
    /// Where its keys are, if signatures are verified.
    pub keys: Option<KeyBounds>,
    /// What the gateway mints of answers without a JWT; services receive only fields if it mints none.
    pub mint: Option<MintBounds>,
    /// What proofs have to be like, if tokens may be bound to a key of their sender.
    pub dpop: Option<DpopBounds>,
}

impl Bounds {
    /// A random configuration: small limits and short times are met more often.
    pub fn random(rng: &mut Rng) -> Self {
        let max_ttl = Duration::from_secs([10, 60, 300][rng.usize(..3)]);
        // Signatures cost the interpreter more than all else, so most configurations do without.
        let (format, is_verified) = match rng.u8(..12) {
            0 => (Format::Jwt, true),
            1 => (Format::Signed, true),
            2 => (Format::Json, false),
            _ => (Format::Jwt, false),
        };
        let mints = format != Format::Jwt && rng.bool();
        let has_proofs = rng.u8(..8) == 0;
        Self {
            max_ttl,
            no_store_ttl: if rng.u8(..4) == 0 { max_ttl / 2 } else { Duration::ZERO },
            leeway: Duration::from_secs([0, 5, 30][rng.usize(..3)]),
            max_concurrent: [1, 2, 3, 8, 256][rng.usize(..5)],
            max_per_second: [2, 16, 1000, 1000][rng.usize(..4)],
            inactive_ttl: Duration::from_secs([0, 2][rng.usize(..2)]),
            refresh_ahead: Duration::from_secs([0, 5, 60, 300][rng.usize(..4)]),
            stale_if_error: Duration::from_secs([0, 600, 36_000, 36_000][rng.usize(..4)]),
            failures: [0, 2, 5][rng.usize(..3)],
            open_for: Duration::from_secs([1, 5][rng.usize(..2)]),
            max_waiting: [1, 3, 1024][rng.usize(..3)],
            timeout: Duration::from_secs(2),
            max_entries: [16, 10_000][rng.usize(..2)],
            is_profile_public: rng.bool(),
            reports_only: rng.u8(..6) == 0,
            format,
            keys: is_verified.then(|| KeyBounds::random(rng)),
            mint: mints.then(|| MintBounds::random(rng)),
            dpop: has_proofs.then(|| DpopBounds::random(rng)),
        }
    }

    /// The configuration as the operator writes it.
    pub fn configuration(&self) -> Value {
        let time = |duration: Duration| format!("{}ms", duration.as_millis());
        let profile = match self.is_profile_public {
            true => json!({"path": "/profile", "access": "public"}),
            false => json!({"path": "/profile"}),
        };
        let mut configuration = json!({
            "introspection": {
                "endpoint": "https://login.example.com/introspect",
                "upstream": UPSTREAM,
                "client_id": "gateway",
                "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
                "timeout": time(self.timeout),
                "max_concurrent": self.max_concurrent,
                "max_per_second": self.max_per_second,
                "max_waiting": self.max_waiting,
                "circuit_breaker": {"failures": self.failures, "open_for": time(self.open_for)},
                "response": {"accept": self.format.media_type()},
            },
            "token": {"issuer": ISSUER, "audience": [AUDIENCE], "leeway": time(self.leeway)},
            "claim_to_headers": [{"header": USER, "pointer": "/sub"}, {"header": ANSWER, "pointer": "/jti"}],
            "report_only": self.reports_only,
            "cache": {
                "max_ttl": time(self.max_ttl),
                "max_entries": self.max_entries,
                "inactive_ttl": time(self.inactive_ttl),
                "refresh_ahead": time(self.refresh_ahead),
                "stale_if_error": time(self.stale_if_error),
            },
            "log_level": "trace",
            "rules": [
                {"path": "/public", "access": "public"},
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
                profile,
                {"path": "/trial", "scopes": ["orders:read"], "report_only": true},
            ],
        });
        if let Some(keys) = &self.keys {
            configuration["keys"] = keys.configuration(self.timeout);
        }
        if let Some(mint) = &self.mint {
            configuration["mint"] = mint.configuration();
        }
        if let Some(dpop) = &self.dpop {
            configuration["token"]["dpop"] = json!(if dpop.is_required { "required" } else { "allowed" });
            configuration["dpop"] = dpop.configuration();
        }
        if !self.no_store_ttl.is_zero() {
            configuration["cache"]["no_store_ttl"] = json!(time(self.no_store_ttl));
        }
        configuration
    }
}

pub const UPSTREAM: &str = "authorization-server";
pub const ISSUER: &str = "https://login.example.com";
pub const AUDIENCE: &str = "orders-api";
/// The field in which services receive the subject.
pub const USER: &str = "x-user";
/// The field in which they receive which answer they owe the request to: `jti`.
pub const ANSWER: &str = "x-answer";
pub const NONCE_SECRET_NAME: &str = "NONCE_SECRET";
pub const NONCE_SECRET: &str = "the-secret-of-nonces-is-32-bytes-long";
pub const SECRET: &str = "the-secret-of-the-gateway";
