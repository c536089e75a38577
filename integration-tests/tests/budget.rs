//! The cost of each kind of request, in a host that counts: the filter's host calls, one by one, and its work inside the VM. The numbers
//! are in `budget.json`; a change that makes a request more expensive has to update it.
//!
//! The work is counted in units of the interpreter: it charges for each block of instructions that is entered, whether or not all of them
//! run. The unit says nothing about time, but it is the same in every run, so that an increase by two percent is detected.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::deterministic_host::fixture::{self, ISSUER};
use integration_tests::deterministic_host::{
    Answer, Cost, Host, Request, Setup, State, module_compiler, module_size,
};
use integration_tests::dpop::{self, DpopKey};
use integration_tests::json::merged;
use integration_tests::{jwt, keys, paths};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{FieldBytes, SecretKey};
use serde_json::{Value, json};

/// If this failed, a change could make requests more expensive without notice.
#[test]
fn requests_cost_what_the_budget_says() -> Result<()> {
    let measured = measured()?;
    let size = module_size()?;
    if std::env::var_os("UPDATE_BUDGET").is_some() {
        return write(measured, size);
    }
    let text = std::fs::read_to_string(file()).context("there is no budget: `./justw budget` writes it")?;
    let budget: Value = serde_json::from_str(&text)?;
    let (then, now) = (budget["compiler"].as_str().unwrap_or_default(), module_compiler()?);
    let tolerance = if then == now { 2.0 } else { 20.0 };
    let compared = |name: &str, what, expected, got| compared(name, what, expected, got, tolerance);
    let mut overdrafts = Vec::new();
    overdrafts.extend(compared("the module", "bytes", budget["module_bytes"].as_u64(), size));
    for (name, cost) in measured {
        let expected = &budget["requests"][*name];
        overdrafts.extend(compared(name, "fuel", expected["fuel"].as_u64(), cost.fuel));
        if expected["calls"] != json!(cost.calls) {
            let (expected, got) = (&expected["calls"], json!(cost.calls));
            overdrafts.push(format!("{name}: calls\n  expected {expected}\n  got      {got}"));
        }
    }
    let names = budget["requests"].as_object().map(serde_json::Map::keys).into_iter().flatten();
    for name in names.filter(|name| !measured.iter().any(|(own, _)| own == name)) {
        overdrafts.push(format!("{name}: nobody measures it any more"));
    }
    let remedy = "if this is meant, `./justw budget` writes the budget anew";
    let compilers = format!("the budget is of rustc {then}, the module of {now}");
    assert!(overdrafts.is_empty(), "\n{}\n{remedy}; {compilers}", overdrafts.join("\n"));
    Ok(())
}

/// If this failed, a cache hit would cost more with every rule or token, or with every unused feature.
#[test]
fn hits_stay_cheap_whatever_the_compiler_does() -> Result<()> {
    let fuel = |name: &str| Ok::<_, anyhow::Error>(cost(name)?.fuel as f64);
    let calls = |name: &str| Ok::<_, anyhow::Error>(cost(name)?.call_count());
    let hit = fuel(HIT)?;
    for (dearer, factor) in [(MANY_RULES, 1.05), (MANY_TOKENS, 1.05), (MINTED, 1.1), (CLAIMS, 1.25)] {
        let got = fuel(dearer)?;
        assert!(got < factor * hit, "{dearer}: {got} is not below {factor} times {hit}, what a hit costs");
    }
    for (cheaper, dearer) in [(PUBLIC, HIT), (HIT, SHARED), (MISSING, SHARED), (SHARED, MISS)] {
        let (low, high) = (fuel(cheaper)?, fuel(dearer)?);
        assert!(low < high, "{cheaper} costs {low}, which is not less than {high} for: {dearer}");
    }
    for (name, most) in [(PUBLIC, 2), (HIT, 3), (MANY_RULES, 3), (MINTED, 3), (CLAIMS, 6), (SHARED, 4)] {
        let got = calls(name)?;
        assert!(got <= most, "{name}: {got} calls to the host, which are more than {most}");
    }
    Ok(())
}

/// If this failed, each request with a proof would pay for more than one signature.
#[test]
fn a_hit_with_a_proof_costs_one_verification_more_than_without() -> Result<()> {
    let verification = cost(PRESENTED)?.fuel - cost(PRESENTED_AGAIN)?.fuel;
    let proof = cost(PROVEN)?.fuel - cost(HIT)?.fuel;
    assert!(
        proof as f64 <= 1.5 * verification as f64,
        "{PROVEN}: the proof costs {proof}, where one verification is {verification}"
    );
    Ok(())
}

/// If this failed, any client could keep a worker busy with a few hundred requests per second: public routes, cached tokens and
/// all other listeners would wait for the verification of worthless signatures.
#[test]
fn r120_a_client_without_a_good_token_costs_no_signature() -> Result<()> {
    for name in [PROVEN_UNKNOWN, PRESENTED_EXPIRED] {
        let got = cost(name)?.fuel;
        assert!(got < 1_000_000, "{name}: {got} is what a signature costs");
    }
    Ok(())
}

/// If this failed, JWTs with invalid signatures could keep a worker busy, verifying each with four keys.
#[test]
fn r121_signatures_that_are_wrong_have_a_budget() -> Result<()> {
    let mut gateway = verifying_by(json!({"max_failed_verifications_per_second": 8}), 4)?;
    let verification = cost(PRESENTED)?.fuel - cost(PRESENTED_AGAIN)?.fuel;
    let (mut statuses, mut fuel) = (Vec::new(), 0);
    for round in 0..50 {
        let (status, cost) = gateway.refused(&gateway.forged(round))?;
        statuses.push(status);
        fuel += cost.fuel;
    }
    let (beyond, others) = (statuses.iter().filter(|status| **status == 503).count(), 50 * 1_000_000);
    assert_eq!((statuses[0], beyond), (401, 48), "{statuses:?}");
    assert!(fuel < 9 * verification + others, "{fuel}, where one verification is {verification}");
    gateway.host.advance(Duration::from_millis(500));
    gateway.host.tick()?;
    assert_eq!(gateway.host.counter("phantom_token_denied.verification_limit"), 48);
    assert_eq!(gateway.refused(&gateway.forged(50))?.0, 401, "the budget fills by the clock");
    Ok(())
}

/// If this failed, unknown tokens could keep a worker busy with signing assertions although the rate of introspections is limited.
#[test]
fn r122_assertions_leave_a_worker_time_for_its_requests() -> Result<()> {
    for (name, per_second) in [(ASSERTED, 100), (ASSERTED_BY_RSA, 20)] {
        let fuel = cost(name)?.fuel * per_second;
        assert!(fuel < FUEL_PER_SECOND / 2, "{name}: {per_second} in a second cost {fuel}");
    }
    Ok(())
}

/// The costs of all scenarios, measured once.
fn measured() -> Result<&'static [(&'static str, Cost)]> {
    static MEASURED: LazyLock<Result<Vec<(&'static str, Cost)>>> = LazyLock::new(measure);
    MEASURED.as_deref().map_err(|error| anyhow!("{error:#}"))
}

fn cost(name: &str) -> Result<&'static Cost> {
    let found = measured()?.iter().find(|(own, _)| *own == name);
    found.map(|(_, cost)| cost).with_context(|| format!("nobody measures: {name}"))
}

fn measure() -> Result<Vec<(&'static str, Cost)>> {
    let with = |edits: Value| Gateway::start(edits, 1);
    let plain = || with(json!({}));
    Ok(vec![
        (PUBLIC, plain()?.steady(|gateway, _| gateway.send(&Request::get("/public/index.html")))?),
        (HIT, plain()?.hit()?),
        (MANY_RULES, with(json!({"rules": many_rules()}))?.hit()?),
        (CLAIMS, with(json!({"claim_to_headers": claim_to_headers()}))?.hit()?),
        (MINTED, minting()?.hit()?),
        (PROVEN, proving()?.proven_hit()?),
        (PRESENTED, verifying()?.steady(|gateway, round| gateway.send(&gateway.presented(round)))?),
        (PRESENTED_AGAIN, verifying()?.steady(|gateway, _| gateway.send(&gateway.presented(0)))?),
        (PUBLISHED, publishing()?.steady(|gateway, _| gateway.send(&gateway.presented(0)))?),
        (SHARED, Gateway::start(json!({}), 2)?.shared_hit()?),
        (
            MANY_TOKENS,
            with(json!({"cache": {"max_entries": 20_000, "max_bytes": 64 << 20}}))?.hit_among_many()?,
        ),
        (PROVEN_UNKNOWN, proving()?.proven_unknown()?),
        (PRESENTED_FORGED, verifying_by(json!({}), 4)?.refusing(|gateway, _| gateway.forged(0), 1)?),
        (PRESENTED_EXPIRED, verifying()?.refusing(|gateway, _| gateway.expired(), 2)?),
        (ASSERTED, asserting(keys::p256_pem())?.steady(|gateway, round| gateway.send(&orders(round + 1)))?),
        (ASSERTED_BY_RSA, asserting(keys::rsa().to_string())?.asserted_once()?),
        (MISS, plain()?.steady(|gateway, round| gateway.send(&orders(round + 1)))?),
        (MISSING, plain()?.steady(|gateway, _| gateway.send(&Request::get("/orders")))?),
    ])
}

/// A host with the filter, and an authorization server that finds every token active.
struct Gateway {
    host: Host,
    worker: usize,
    /// The claims that the server returns for every token: about 1 KB as a JWT.
    claims: Value,
    /// Whether the server finds the tokens active.
    is_active: bool,
}

impl Gateway {
    /// Starts a gateway with these edits of the usual configuration.
    fn start(edits: Value, workers: usize) -> Result<Self> {
        let host = Host::start(Setup { workers, ..Setup::new(configured(edits)) })?;
        let now = host.now().as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": "orders-api", "sub": "alice", "client_id": "app", "scope": "orders:read profile",
            "iat": now, "exp": now + 86_400, "jti": "9f8e7d6c", "tenant": "acme", "roles": ["buyer", "clerk"],
            "note": "n".repeat(480),
        });
        Ok(Self { host, worker: 0, claims, is_active: true })
    }

    /// Returns the cost of the last of several requests: the first ones fill caches and grow memory.
    fn steady(mut self, send: impl Fn(&mut Self, usize) -> Result<Cost>) -> Result<Cost> {
        for round in 0..WARM_UP {
            send(&mut self, round)?;
        }
        let cost = send(&mut self, WARM_UP)?;
        ensure!(self.host.violations().is_empty(), "{:?}", self.host.violations());
        Ok(cost)
    }

    fn hit(self) -> Result<Cost> {
        self.steady(|gateway, _| gateway.send(&orders(0)))
    }

    fn hit_among_many(mut self) -> Result<Cost> {
        for number in 0..10_000 {
            self.send(&orders(number))?;
            self.host.advance(Duration::from_millis(5));
        }
        self.steady(|gateway, _| gateway.send(&orders(5_000)))
    }

    /// Returns the cost of a request to one worker for a token that another has just introspected.
    fn shared_hit(self) -> Result<Cost> {
        self.steady(|gateway, round| {
            gateway.worker = 0;
            gateway.send(&orders(round))?;
            gateway.worker = 1;
            gateway.send(&orders(round))
        })
    }

    fn proven_hit(mut self) -> Result<Cost> {
        let key = DpopKey::published()?;
        self.claims["cnf"] = json!({"jkt": key.thumbprint()});
        self.steady(|gateway, round| {
            let request = gateway.proven(0, &key.sign(&gateway.proof(0, round)));
            gateway.send(&request)
        })
    }

    /// Returns the cost of a proof with an invalid signature, for a token that the server does not know.
    fn proven_unknown(mut self) -> Result<Cost> {
        let key = DpopKey::published()?;
        self.is_active = false;
        let request = |gateway: &Self, round: usize| {
            let (proof, other) = (key.sign(&gateway.proof(round, round)), key.sign(&json!({})));
            let (message, _) = proof.rsplit_once('.').unwrap_or_default();
            let (_, signature) = other.rsplit_once('.').unwrap_or_default();
            gateway.proven(round, &format!("{message}.{signature}"))
        };
        self.refusing(request, WARM_UP)
    }

    /// The claims of a proof for this token.
    fn proof(&self, number: usize, round: usize) -> Value {
        let claims = dpop::claims("GET", "https://api.example.com/orders", &token(number));
        let (now, id) = (self.host.now().as_secs(), format!("proof-{round:04}"));
        merged(&claims, json!({"iat": now, "jti": id}))
    }

    fn proven(&self, number: usize, proof: &str) -> Request {
        let credentials = format!("DPoP {}", token(number));
        Request::get("/orders").header("authorization", credentials).header("dpop", proof)
    }

    /// Returns the cost of the last of this many requests, all of which are refused.
    fn refusing(mut self, request: impl Fn(&Self, usize) -> Request, rounds: usize) -> Result<Cost> {
        for round in 1..rounds {
            self.refused(&request(&self, round))?;
        }
        Ok(self.refused(&request(&self, rounds))?.1)
    }

    /// Like [`steady`](Self::steady), with one request as warm-up, since RSA is slow in the interpreter.
    fn asserted_once(mut self) -> Result<Cost> {
        self.send(&orders(0))?;
        self.send(&orders(1))
    }

    /// A JWT without `kid`, signed by a key that the server does not publish.
    fn forged(&self, round: usize) -> Request {
        let mut claims = self.claims.clone();
        claims["jti"] = json!(format!("{round:04}"));
        Request::get("/orders").bearer(&jwt::signed(&json!({"alg": "ES256", "typ": "at+jwt"}), &claims))
    }

    /// An expired JWT of the authorization server.
    fn expired(&self) -> Request {
        self.signed(json!({"exp": self.host.now().as_secs() - 60}))
    }

    /// A JWT of the authorization server with these edits of the usual claims.
    fn signed(&self, edits: Value) -> Request {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "key"});
        Request::get("/orders").bearer(&jwt::signed(&header, &merged(&self.claims, edits)))
    }

    /// Returns the status with which a request is refused, and the cost of that.
    fn refused(&mut self, request: &Request) -> Result<(u16, Cost)> {
        let root = self.host.root(self.worker);
        let before = self.host.spent_by(root);
        let id = self.host.request(self.worker, request)?;
        self.answer_all()?;
        let state = self.host.stream(id).state().clone();
        let State::Replied { status, .. } = state else { bail!("{state:?}\n{}", self.host.log().join("\n")) };
        Ok((status, self.host.spent(id).plus(&self.host.spent_by(root).since(&before))))
    }

    /// A request with a JWT signed by the authorization server.
    fn presented(&self, round: usize) -> Request {
        self.signed(json!({"jti": format!("{round:04}")}))
    }

    /// Returns the cost of a whole request, including the responses to its introspection, if there is one, and to itself, if it is
    /// forwarded.
    fn send(&mut self, request: &Request) -> Result<Cost> {
        let root = self.host.root(self.worker);
        let before = self.host.spent_by(root);
        let id = self.host.request(self.worker, request)?;
        self.answer_all()?;
        let state = self.host.stream(id).state().clone();
        match state {
            State::Forwarded { headers } => {
                let carries_jwt = headers.text("authorization").starts_with("Bearer eyJ");
                ensure!(carries_jwt == request.carries_credentials(), "forwarded as {headers:?}");
                self.host.respond(id, 200, &[("content-type", "application/json")])?;
            }
            State::Replied { status: 401, .. } if !request.carries_credentials() => {}
            other => bail!("{other:?}\n{}", self.host.log().join("\n")),
        }
        Ok(self.host.spent(id).plus(&self.host.spent_by(root).since(&before)))
    }

    fn answer_all(&mut self) -> Result<()> {
        for callout in self.host.open_callouts() {
            if !self.is_active {
                self.host.answer(callout, Answer::response(204, "application/jwt", ""))?;
                continue;
            }
            let media_type = self.host.callout(callout).headers.text("accept").to_owned();
            let mut claims = self.claims.clone();
            let body = match media_type.as_str() {
                _ if self.host.callout(callout).headers.text(":path") == "/jwks" => key_set().to_string(),
                "application/json" => {
                    claims["active"] = json!(true);
                    claims.to_string()
                }
                _ => phantom_token(&claims),
            };
            self.host.answer(
                callout,
                Answer::response(200, &media_type, body).header("cache-control", "max-age=3600"),
            )?;
        }
        Ok(())
    }
}

fn configured(edits: Value) -> Value {
    merged(&fixture::configuration(json!({"introspection": {"max_per_second": 1_000_000}})), edits)
}

fn many_rules() -> Value {
    let more = |number| json!({"path": format!("/services/{number}/orders"), "scopes": [format!("orders:{number}")]});
    let configuration = configured(json!({}));
    let rules = configuration["rules"].as_array().into_iter().flatten().cloned();
    rules.chain((0..997).map(more)).collect()
}

fn claim_to_headers() -> Value {
    json!([
        {"header": "x-user-id", "pointer": "/sub"},
        {"header": "x-tenant", "pointer": "/tenant"},
        {"header": "x-roles", "pointer": "/roles"},
    ])
}

fn minting() -> Result<Gateway> {
    let mint = json!({
        "issuer": "https://gateway.example.com",
        "audience": "orders-api",
        "keys": [{"private_key": keys::p256_pem()}],
    });
    let edits = json!({"introspection": {"response": {"accept": "application/json"}}, "mint": mint});
    Gateway::start(edits, 1)
}

fn proving() -> Result<Gateway> {
    let dpop = json!({"origins": ["https://api.example.com"]});
    Gateway::start(json!({"token": {"dpop": "allowed"}, "dpop": dpop}), 1)
}

fn verifying() -> Result<Gateway> {
    verifying_with(json!({}), key_set())
}

fn publishing() -> Result<Gateway> {
    let keys = json!({"jwks_uri": "https://login.example.com/jwks"});
    Gateway::start(json!({"token": {"jwts": "verify"}, "keys": keys}), 1)
}

fn key_set() -> Value {
    let mut key = keys::public(&keys::p256());
    key["kid"] = json!("key");
    json!({"keys": [key]})
}

/// Starts a gateway that verifies with this many keys, none of which signs what clients present.
fn verifying_by(token: Value, count: u8) -> Result<Gateway> {
    let key = |number| {
        let key = SecretKey::from_slice(&[number; 32])
            .map_err(|error| anyhow!("{error}"))?
            .public_key()
            .to_encoded_point(false);
        let coordinate = |bytes: Option<&FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let (x, y) = (coordinate(key.x()), coordinate(key.y()));
        Ok(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": format!("key-{number}")}))
    };
    verifying_with(token, json!({"keys": (1..=count).map(key).collect::<Result<Vec<_>>>()?}))
}

fn verifying_with(token: Value, set: Value) -> Result<Gateway> {
    let token = merged(&json!({"jwts": "verify"}), token);
    Gateway::start(json!({"token": token, "keys": {"jwks": set}}), 1)
}

fn asserting(private_key: String) -> Result<Gateway> {
    let introspection = json!({
        "client_secret": null, "max_per_second": null,
        "auth_method": "private_key_jwt", "private_key": private_key,
    });
    Gateway::start(json!({"introspection": introspection}), 1)
}

fn orders(number: usize) -> Request {
    Request::get("/orders").bearer(&token(number))
}

/// An opaque token of 45 bytes.
fn token(number: usize) -> String {
    format!("opaque-{number:038}")
}

/// A JWT that is not verified.
fn phantom_token(claims: &Value) -> String {
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "test"});
    format!("{}.{}.{}", jwt::encoded(&header), jwt::encoded(claims), "A".repeat(86))
}

/// Compares a cost with the budget: an increase by more than the tolerance is a regression. With another compiler, the tolerance is higher.
fn compared(name: &str, what: &str, expected: Option<u64>, got: u64, tolerance: f64) -> Option<String> {
    let Some(expected) = expected else { return Some(format!("{name}: no {what} in the budget, got {got}")) };
    let change = (got as f64 / expected as f64 - 1.0) * 100.0;
    let comparison = || format!("{name}: {what}\n  expected {expected}\n  got      {got} ({change:+.1} %)");
    if change > tolerance {
        Some(comparison())
    } else if change < -10.0 - tolerance {
        Some(format!("{}: it has become much cheaper, and the budget should say so", comparison()))
    } else {
        None
    }
}

fn write(measured: &[(&'static str, Cost)], size: u64) -> Result<()> {
    let entry =
        |(name, cost): &(&'static str, Cost)| (*name, json!({"fuel": cost.fuel, "calls": cost.calls}));
    let requests: BTreeMap<&str, Value> = measured.iter().map(entry).collect();
    let budget = json!({"compiler": module_compiler()?, "module_bytes": size, "requests": requests});
    Ok(std::fs::write(file(), format!("{budget:#}\n"))?)
}

fn file() -> PathBuf {
    paths::root().join("integration-tests/budget.json")
}

const PUBLIC: &str = "public route";
const HIT: &str = "hit in the VM";
const MANY_RULES: &str = "hit in the VM, 1000 rules";
const CLAIMS: &str = "hit in the VM, three claims as fields";
const MINTED: &str = "hit in the VM, minted JWT";
const PROVEN: &str = "hit in the VM, DPoP proof";
const MANY_TOKENS: &str = "hit in the VM, 10000 tokens cached";
const SHARED: &str = "hit in the shared data";
const PRESENTED: &str = "presented JWT";
const PRESENTED_AGAIN: &str = "presented JWT, the same again";
const PUBLISHED: &str = "presented JWT, the same again, published keys";
const PROVEN_UNKNOWN: &str = "unknown token, DPoP proof with a wrong signature";
const PRESENTED_FORGED: &str = "presented JWT, wrong signature, four keys and no kid";
const PRESENTED_EXPIRED: &str = "presented JWT, expired, the same again";
const ASSERTED: &str = "miss, with an assertion";
const ASSERTED_BY_RSA: &str = "miss, with an assertion by RSA";
const MISS: &str = "miss, with the answer";
const MISSING: &str = "no token";

const WARM_UP: usize = 40;

/// The fuel that a worker uses in a second, if a cache hit with a fuel of 47 544 takes 3.9 µs (docs/performance.md).
const FUEL_PER_SECOND: u64 = 12_000_000_000;
