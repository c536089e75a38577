//! `probe`: a real authorization server, asked as the filter asks it.

mod client;
mod rules;

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phantom_token_core::driver::{Driver, Fate, Request, Response as Answer};
use phantom_token_core::{Call, Callout, Randomness, Reason, Reply, Settings, Target, Timestamp};
use serde_json::{Map, Value, json};

pub use client::Route;
use client::{Client, Exchange, is_of_document, url};

use crate::jws;
use crate::local_host::{LocalHost, Random};
use crate::report::{BAD, BOLD, GOOD, plain};

/// What is tried.
pub struct Trial<'t> {
    /// The configuration.
    pub text: &'t str,
    /// The name of the server, where there are several.
    pub server: Option<&'t str>,
    /// A token that a client got.
    pub token: Option<&'t str>,
    /// Whether the values of claims may be seen.
    pub shows_values: bool,
    /// The time.
    pub now: Timestamp,
    /// Whether credentials may travel in plaintext beyond this machine.
    pub is_insecure: bool,
    /// Hears what the operator should know before anything is sent.
    pub warn: &'t dyn Fn(&str),
}

/// What came of it.
pub struct Findings {
    /// For people.
    pub text: String,
    /// Whether the filter could work like this.
    pub is_fine: bool,
}

/// Tries a server.
///
/// # Errors
/// Why it cannot be tried.
pub fn probe(trial: &Trial<'_>, route: &Route) -> Result<Findings, String> {
    let configuration: Value = serde_json::from_str(trial.text).map_err(|error| error.to_string())?;
    let settings = parse(&configuration)?;
    let names: Vec<&str> = settings.servers.iter().filter_map(|server| server.name.as_deref()).collect();
    let place = match trial.server {
        None if names.len() > 1 => return Err(format!("choose a server by --server: {}", names.join(", "))),
        None => 0,
        Some(name) => {
            let place = settings.servers.iter().position(|server| server.name.as_deref() == Some(name));
            let names = if names.is_empty() { "one without a name".to_owned() } else { names.join(", ") };
            place.ok_or_else(|| format!("--server: there is no {name}, only {names}"))?
        }
    };
    let server = settings.servers.get(place).ok_or("there is no authorization server")?;
    let only = parse(&of_one_rule(&configuration, server.name.as_deref()))?;
    let notes = Findings { text: String::new(), is_fine: true };
    let target = server.introspection.as_ref().map(|introspection| &introspection.endpoint.target);
    let is_plaintext = target.is_some_and(|target| target.scheme == "http");
    let client = Client::new(route, is_plaintext)?;
    let mut probe = Probe { trial, client, notes, asked: Vec::new() };
    match &server.introspection {
        Some(introspection) => {
            let target = &introspection.endpoint.target;
            plaintext(target, trial, route)?;
            let (path, _query) = target.path.split_once('?').unwrap_or((&target.path, ""));
            probe.note(None, "server", &format!("{}://{}{path}", target.scheme, target.authority));
            probe.try_credentials(&only, introspection.endpoint.target.timeout);
        }
        None => probe.note(None, "server", "is not asked about tokens: its JWTs are verified by its keys"),
    }
    if let Some(token) = trial.token.filter(|_| probe.notes.is_fine) {
        let reason = probe.try_token(token, &only);
        probe.compare_jwt(token, reason, &settings, place);
        probe.try_formats();
        probe.try_rules(token, &configuration, settings.clone());
    }
    Ok(probe.notes)
}

struct Probe<'t> {
    trial: &'t Trial<'t>,
    client: Client,
    notes: Findings,
    asked: Vec<Asked>,
}

/// What was asked, and what came of it.
struct Asked {
    callout: Callout,
    limit: usize,
    exchange: Exchange,
}

impl Probe<'_> {
    /// Introspects a random token: the response shows whether the gateway's credentials are accepted.
    fn try_credentials(&mut self, settings: &Settings, timeout: Duration) {
        let random_token = Random.bytes().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default();
        let fate = self.send(&random_token, settings);
        let Some(Asked { exchange, .. }) = self.asked.last() else { return };
        let (told, elapsed) = (told(exchange), exchange.elapsed);
        let (is_fine, text) = match (&fate, fate.reason()) {
            (_, Some(Reason::Inactive)) => (true, format!("accepted: a random token is not active ({told})")),
            (_, Some(Reason::GatewayCredentialsRefused)) => {
                (false, format!("refused ({told}): look at auth_method, client_id and its secret or key"))
            }
            (_, Some(Reason::Unavailable | Reason::IntrospectionTimeout)) => {
                (false, format!("the server is unavailable: {told}"))
            }
            (Fate::Forwarded { .. }, _) => {
                (false, "the server calls a random token active: it must not be used".to_owned())
            }
            (Fate::Answered(_), reason) => {
                let name = reason.map(Reason::name).unwrap_or_default();
                (false, format!("{name}: the answer is not what the configuration says ({told})"))
            }
            (Fate::Waiting, _) => (false, "the gateway cannot authenticate as it should".to_owned()),
        };
        self.note(Some(is_fine), "credentials", &text);
        if is_fine && elapsed > timeout {
            let text = format!("{} ms is longer than timeout: clients get 504", elapsed.as_millis());
            self.note(Some(false), "time", &text);
        }
    }

    /// A token that a client got: what the server says of it, and whether that serves, whatever rules ask.
    fn try_token(&mut self, token: &str, settings: &Settings) -> Option<Reason> {
        self.asked.clear();
        let fate = self.send(token, settings);
        let documents = self.asked.iter().filter(|asked| is_of_document(&asked.callout));
        let fetched: Vec<String> =
            documents.map(|asked| format!("{}: {}", url(&asked.callout), told(&asked.exchange))).collect();
        let introspection = self.asked.iter().find(|asked| !is_of_document(&asked.callout));
        let introspection = introspection.map(|asked| told(&asked.exchange));
        let claims = self.claims().or_else(|| jws::payload(token));
        let reason = fate.reason();
        let (is_fine, text) = match &fate {
            Fate::Forwarded { .. } => (true, "good".to_owned()),
            Fate::Answered(reply) => {
                (false, format!("{} {}", reply.status, reply.reason.unwrap_or_default()))
            }
            Fate::Waiting => (false, "the gateway cannot ask about it".to_owned()),
        };
        let told = introspection.map(|told| format!(" ({told})")).unwrap_or_default();
        self.note(Some(is_fine), "token", &format!("{text}{told}"));
        fetched.iter().for_each(|line| self.note(None, "keys", line));
        match claims {
            Some(claims) if self.trial.shows_values => {
                let told = |(name, value)| format!("{name}: {}", told_value(value));
                claims.iter().map(told).for_each(|line| self.note(None, "claim", &line));
            }
            Some(claims) => self.note(None, "claims", &jws::names(&claims)),
            None => {}
        }
        reason
    }

    /// What the JWT says that the configuration names.
    fn compare_jwt(&mut self, token: &str, reason: Option<Reason>, settings: &Settings, place: usize) {
        let jwt = self.jwt().unwrap_or_else(|| token.to_owned());
        let (Some(header), Some(payload), Some(server)) =
            (jws::header(&jwt), jws::payload(&jwt), settings.servers.get(place))
        else {
            return;
        };
        let text = |name: &str| header.get(name).and_then(Value::as_str).map_or("none".to_owned(), plain);
        let signature = match (&server.keys, reason) {
            (None, _) => "not verified here: no keys are configured",
            (_, Some(Reason::ResponseSignatureInvalid | Reason::InvalidSignature)) => {
                "not signed by one of the keys"
            }
            (_, Some(Reason::JwksUnavailable)) => "not verified: there are no keys",
            (Some(_), _) => "verified by the keys",
        };
        self.note(None, "JWT", &format!("alg {}, kid {}, {signature}", text("alg"), text("kid")));
        let policy = &server.token.policy;
        if let Some(issuer) = &policy.issuer {
            let is_same = payload.get("iss").and_then(Value::as_str) == Some(issuer);
            self.note(Some(is_same), "iss", if is_same { "is token.issuer" } else { "is not token.issuer" });
        }
        if !policy.audience.is_empty() {
            let is_one = |value: &Value| policy.audience.iter().any(|ours| value == ours.as_str());
            let is_in = match payload.get("aud") {
                Some(Value::Array(values)) => values.iter().any(is_one),
                value => value.is_some_and(is_one),
            };
            self.note(
                Some(is_in),
                "aud",
                if is_in { "is in token.audience" } else { "is not in token.audience" },
            );
        }
    }

    /// What the server answers to each media type, which tells the profile that fits.
    fn try_formats(&mut self) {
        let Some(asked) = self.asked.iter().find(|asked| !is_of_document(&asked.callout)) else { return };
        let mut answers = Vec::new();
        for accept in FORMATS {
            let exchange = self.client.send(&asked.callout, Some(accept), asked.limit);
            answers.push((*accept, exchange));
        }
        for (accept, exchange) in &answers {
            let jwts = members_with_jwt(&exchange.answer);
            let jwts =
                if jwts.is_empty() { String::new() } else { format!(", JWT in {}", plain(&jwts.join(", "))) };
            self.note(None, "format", &format!("{accept}: {}{jwts}", told(exchange)));
        }
        let fitting = answers.iter().find_map(|(accept, exchange)| fitting(accept, &exchange.answer));
        if let Some(fitting) = fitting {
            self.note(None, "fits", &fitting);
        }
    }

    /// What each rule says of the token.
    fn try_rules(&mut self, token: &str, configuration: &Value, settings: Settings) {
        let local = LocalHost::default();
        let mut driver = Driver::new(settings, local.at(self.trial.now));
        let rules = configuration.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        for (place, rule) in rules.iter().enumerate() {
            let request = rules::request(rule, token);
            let fate = self.process(&mut driver, &local, &request);
            let (is_fine, text) = match &fate {
                Fate::Forwarded { .. } => (true, "forwarded".to_owned()),
                Fate::Answered(Reply { reason: Some(reason), status, .. }) => {
                    (false, format!("{status} {reason}"))
                }
                Fate::Answered(Reply { reason: None, status, .. }) => {
                    (true, format!("{status} by the gateway itself"))
                }
                Fate::Waiting => (false, "not decided".to_owned()),
            };
            self.note(
                Some(is_fine),
                &format!("rules[{place}]"),
                &format!("{}: {text}", rules::told(&request)),
            );
        }
    }

    fn send(&mut self, token: &str, settings: &Settings) -> Fate {
        let local = LocalHost::default();
        let mut driver = Driver::new(settings.clone(), local.at(self.trial.now));
        self.process(&mut driver, &local, &rules::request(&json!({"path": "/"}), token))
    }

    /// Lets a request through the filter, which asks the server what it has not asked before.
    fn process(&mut self, driver: &mut Driver, local: &LocalHost, request: &Request) -> Fate {
        let Self { client, asked, trial, .. } = self;
        driver.process(request, local.at(trial.now), &mut |call: &Call| {
            let callout = call.request.clone();
            let place = url(&callout);
            let known =
                asked.iter().find(|asked| is_of_document(&asked.callout) && url(&asked.callout) == place);
            if let Some(known) = known {
                return Some(known.exchange.answer.clone());
            }
            let limit = call.max_response_bytes;
            let exchange = client.send(&callout, None, limit);
            let answer = exchange.answer.clone();
            asked.push(Asked { callout, limit, exchange });
            Some(answer)
        })
    }

    /// What the server claims of the token.
    fn claims(&self) -> Option<Map<String, Value>> {
        self.asked.iter().filter(|asked| !is_of_document(&asked.callout)).find_map(|asked| {
            let body = body(&asked.exchange.answer)?;
            let mut claims = jws::payload(body).or_else(|| serde_json::from_str(body).ok())?;
            if let Some(Value::Object(inside)) = claims.remove("token_introspection") {
                claims = inside;
            }
            Some(claims)
        })
    }

    /// The JWT in the server's answer.
    fn jwt(&self) -> Option<String> {
        self.asked.iter().filter(|asked| !is_of_document(&asked.callout)).find_map(|asked| {
            let body = body(&asked.exchange.answer)?;
            if jws::header(body).is_some() {
                return Some(body.to_owned());
            }
            let members: Map<String, Value> = serde_json::from_str(body).ok()?;
            members
                .values()
                .filter_map(Value::as_str)
                .find(|text| jws::header(text).is_some())
                .map(str::to_owned)
        })
    }

    fn note(&mut self, is_fine: Option<bool>, what: &str, text: &str) {
        let text = plain(text);
        let _ = match is_fine {
            None => writeln!(self.notes.text, "{BOLD}{what:<12}{BOLD:#} {text}"),
            Some(true) => writeln!(self.notes.text, "{BOLD}{what:<12}{BOLD:#} {GOOD}{text}{GOOD:#}"),
            Some(false) => writeln!(self.notes.text, "{BOLD}{what:<12}{BOLD:#} {BAD}{text}{BAD:#}"),
        };
        self.notes.is_fine &= is_fine != Some(false) || what.starts_with("rules[");
    }
}

/// Without TLS, the network can read the gateway's credentials and the token.
fn plaintext(target: &Target, trial: &Trial<'_>, route: &Route) -> Result<(), String> {
    if target.scheme != "http" {
        return Ok(());
    }
    let place = format!("http://{}", target.authority);
    let place = match &route.connect {
        Some(connect) => format!("{place} at {connect}"),
        None => place,
    };
    if !trial.is_insecure && !is_loopback(route.connect.as_ref().unwrap_or(&target.authority)) {
        return Err(format!(
            "{place} would be sent the gateway's credentials and the token in plaintext: use https, or --insecure"
        ));
    }
    (trial.warn)(&format!("{place} is sent the gateway's credentials and the token in plaintext"));
    Ok(())
}

/// Whether this host, with or without a port, is this machine. A name is what a resolver makes of it, but for the one that is
/// reserved (RFC 6761 §6.3).
fn is_loopback(place: &str) -> bool {
    let host = match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => place,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// The configuration with one rule, which asks for nothing but a good token of this server.
fn of_one_rule(configuration: &Value, server: Option<&str>) -> Value {
    let mut configuration = configuration.clone();
    let rule = match server {
        Some(name) => json!({"path": "/", "authorization_server": name}),
        None => json!({"path": "/"}),
    };
    if let Value::Object(members) = &mut configuration {
        members.insert("rules".to_owned(), json!([rule]));
        let servers = members.get_mut("authorization_servers").and_then(Value::as_array_mut);
        for server in servers.into_iter().flatten() {
            without_proofs(server);
        }
    }
    without_proofs(&mut configuration);
    configuration
}

fn without_proofs(server: &mut Value) {
    if let Some(token) = server.get_mut("token").and_then(Value::as_object_mut) {
        token.remove("dpop");
    }
}

fn parse(configuration: &Value) -> Result<Settings, String> {
    let environment = |name: &str| std::env::var(name).ok();
    Settings::parse(configuration.to_string().as_bytes(), &environment).map_err(|errors| errors.to_string())
}

/// An answer in a few words, without its body.
fn told(exchange: &Exchange) -> String {
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

fn media_type(answer: &Answer) -> String {
    let Answer::Complete { fields, .. } = answer else { return String::new() };
    let field = fields.iter().find(|(name, _)| name == "content-type");
    let text = field.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

fn body(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Complete { status: 200, body, .. } => std::str::from_utf8(body).ok(),
        _ => None,
    }
}

/// The members of a JSON answer that hold JWTs.
fn members_with_jwt(answer: &Answer) -> Vec<String> {
    let members: Option<Map<String, Value>> = body(answer).and_then(|body| serde_json::from_str(body).ok());
    let is_jwt = |value: &Value| value.as_str().is_some_and(|text| jws::header(text).is_some());
    members.into_iter().flatten().filter(|(_, value)| is_jwt(value)).map(|(name, _)| name).collect()
}

/// What to configure for a server that answers like this.
fn fitting(accept: &str, answer: &Answer) -> Option<String> {
    body(answer)?;
    match (accept, media_type(answer).as_str(), members_with_jwt(answer).first()) {
        (JWT, JWT, _) => Some(format!("response.accept {JWT}, as in the profile curity")),
        (_, JSON, Some(member)) => Some(format!("response.accept {accept} with jwt_field {}", plain(member))),
        (SIGNED, SIGNED, _) => Some(format!("response.accept {SIGNED}, as in the profile oidc-provider")),
        (JSON, JSON, None) => Some(format!("response.accept {JSON}, as in the profile okta")),
        _ => None,
    }
}

fn told_value(value: &Value) -> String {
    match value.as_str() {
        Some(text) if jws::header(text).is_some() => "[JWT]".to_owned(),
        _ => value.to_string(),
    }
}

const JWT: &str = "application/jwt";
const SIGNED: &str = "application/token-introspection+jwt";
const JSON: &str = "application/json";

/// In the order in which they are preferred.
const FORMATS: &[&str] = &[JWT, SIGNED, JSON];
