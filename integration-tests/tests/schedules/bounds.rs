//! One configuration of the filter, and what it promises.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::format::Format;
use crate::minted::MintBounds;
use crate::proofs::DpopBounds;
use crate::published_keys::KeyBounds;

/// The promises of one configuration. An option that the filter lacks, or that is off, is zero or `None`.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long a response counts.
    pub max_ttl: Duration,
    /// How long a response counts that HTTP forbids to store. Zero if that is honored.
    pub no_store_ttl: Duration,
    /// How long after its expiry a token is still valid, for clocks that differ.
    pub leeway: Duration,
    /// The maximum number of concurrent introspections of one worker.
    pub max_concurrent: usize,
    /// The maximum rate of introspections of one worker per second, and of a burst after a second of rest.
    pub max_per_second: u64,
    /// How long it is remembered that a token is not active.
    pub inactive_ttl: Duration,
    /// How long before its expiry an entry is refreshed.
    pub refresh_ahead: Duration,
    /// How much longer a response counts while the server fails.
    pub stale_if_error: Duration,
    /// The number of consecutive failures that opens the circuit breaker. Zero if it never opens.
    pub failures: u64,
    /// How long the circuit breaker stays open.
    pub open_for: Duration,
    /// The maximum number of waiting requests of one worker.
    pub max_waiting: usize,
    pub timeout: Duration,
    pub max_entries: usize,
    /// Whether `/profile` is public.
    pub is_profile_public: bool,
    /// Whether a missing scope is only reported.
    pub reports_only: bool,
    pub format: Format,
    /// The source of keys. `None` if signatures are not verified.
    pub keys: Option<KeyBounds>,
    /// What the gateway mints for responses without a JWT. If it is `None`, services receive only fields.
    pub mint: Option<MintBounds>,
    /// The requirements for proofs. `None` if tokens cannot be bound to a key.
    pub dpop: Option<DpopBounds>,
}

impl Bounds {
    /// Returns a random configuration: small limits and short times are reached more often.
    pub fn random(rng: &mut Rng) -> Self {
        let max_ttl = Duration::from_secs([10, 60, 300][rng.usize(..3)]);
        // Verifying signatures takes the interpreter longer than everything else, so most configurations do without.
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

    /// The configuration as an operator writes it.
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
/// The field in which services receive the `jti` of the response by which the request was admitted.
pub const ANSWER: &str = "x-answer";
pub const NONCE_SECRET_NAME: &str = "NONCE_SECRET";
pub const NONCE_SECRET: &str = "the-secret-of-nonces-is-32-bytes-long";
pub const SECRET: &str = "the-secret-of-the-gateway";
