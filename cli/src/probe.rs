//! `probe`: queries a real authorization server as the filter would. The filter's own code judges the responses.

mod answer;
mod client;
mod credentials;
mod draft;
mod formats;
mod plaintext;
mod quirks;
mod refresh_token;
mod report;
mod rules;
mod server;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phantom_token_core::driver::{Driver, Outcome, Response as Answer};
use phantom_token_core::{Randomness, Reason, Reply, Timestamp, UnusableKey};
use serde_json::Value;

pub use client::Route;

use crate::jws;
use crate::local_host::{LocalHost, Random};
use client::Client;
use credentials::{Credentials, Tokens};
use draft::{Change, Draft};
use report::Report;
use server::{Judgement, Server};

/// What to try, and how.
pub struct Trial<'t> {
    /// The configuration.
    pub text: &'t str,
    /// The name of the server, if there are several.
    pub server: Option<&'t str>,
    /// A token that a client got.
    pub token: Option<&'t str>,
    /// A refresh token of a client.
    pub refresh_token: Option<&'t str>,
    /// Whether the report may show the values of claims.
    pub shows_values: bool,
    /// The time.
    pub now: Timestamp,
    /// Whether credentials may travel in plaintext beyond this machine.
    pub is_insecure: bool,
    /// Warns the operator before anything is sent.
    pub warn: &'t dyn Fn(&str),
}

/// The findings of a probe.
pub struct Findings {
    /// The report for people.
    pub text: String,
    /// The report for programs.
    pub json: Value,
    /// Whether the filter works with this server as configured.
    pub is_fine: bool,
}

/// Probes a server.
///
/// # Errors
/// The reason why the server cannot be probed.
pub fn probe(trial: &Trial<'_>, route: &Route) -> Result<Findings, String> {
    let written: Value = serde_json::from_str(trial.text).map_err(|error| error.to_string())?;
    let settings = draft::parse(&written)?;
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
    let tried = settings.servers.get(place).ok_or("there is no authorization server")?;
    let draft = Draft::new(trial.text, tried.name.clone().map(|name| (place, name)))?;
    let mut report = Report::of_server(tried.name.as_deref());
    let target = tried.introspection.as_ref().map(|introspection| &introspection.endpoint.target);
    let endpoint = target.map(|target| {
        let (path, _query) = target.path.split_once('?').unwrap_or((&target.path, ""));
        format!("{}://{}{path}", target.scheme, target.authority)
    });
    if let Some(target) = target {
        plaintext::guard(target, trial, route)?;
    }
    report
        .note("server", endpoint.as_deref().unwrap_or("is not asked about tokens: its keys verify its JWTs"));
    let is_plaintext = target.is_some_and(|target| target.scheme == "http");
    let server = Server::new(Client::new(route, is_plaintext)?, trial.now, endpoint);
    let random = Random.bytes().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default();
    let timeout = target.map(|target| target.timeout);
    let mut probe = Probe { trial, server, draft, report, timeout, place };
    probe.run(Tokens { random: &random, given: trial.token });
    let report = probe.report;
    Ok(Findings { text: report.text(), json: report.json(), is_fine: report.is_fine() })
}

struct Probe<'t> {
    trial: &'t Trial<'t>,
    server: Server,
    draft: Draft,
    report: Report,
    timeout: Option<Duration>,
    /// The index of the server in the settings.
    place: usize,
}

impl Probe<'_> {
    /// Continues after an unexpected response, since later steps may show its cause. Stops only if the server cannot be asked.
    fn run(&mut self, tokens: Tokens<'_>) {
        if let Some(timeout) = self.timeout {
            let (server, report) = (&mut self.server, &mut self.report);
            let found = credentials::try_credentials(server, &self.draft, tokens, report);
            let Some(Credentials { is_proven, change }) = found else { return };
            self.follow(change.as_slice());
            self.note_time(tokens.random, timeout);
            if is_proven {
                credentials::try_dead_token(&mut self.server, &self.draft, tokens.random, &mut self.report);
            }
        }
        if let Some(token) = tokens.given {
            self.try_token(token);
            if self.draft.get("introspection").is_some() && self.is_known(token) {
                let changes = formats::try_formats(&mut self.server, &self.draft, tokens, &mut self.report);
                self.follow(&changes);
            }
            self.note_claims(token);
            let changes = quirks::remedies(&mut self.server, &self.draft, token, self.trial.shows_values);
            self.follow(&changes);
            self.note_quirks(token);
        }
        if let Some(token) = self.trial.refresh_token {
            let (server, report) = (&mut self.server, &mut self.report);
            let changes = refresh_token::try_refresh_token(server, &self.draft, token, tokens.given, report);
            self.follow(&changes);
        }
        if let Some(token) = tokens.given {
            self.try_rules(token);
        }
    }

    /// Applies changes to the configuration for all further steps, and reports them.
    fn follow(&mut self, changes: &[Change]) {
        self.draft = self.draft.with(changes);
        self.report.follow(changes);
    }

    fn note_time(&mut self, random: &str, timeout: Duration) {
        let Some(judgement) = self.server.judge(&self.draft, random) else { return };
        let elapsed = self.server.introspection(&judgement).map(|exchange| exchange.elapsed);
        if let Some(elapsed) = elapsed.filter(|elapsed| *elapsed > timeout) {
            let text = format!("{} ms is longer than timeout: clients get 504", elapsed.as_millis());
            self.report.judge(false, "time", text);
        }
    }

    /// Whether the server may know a token: it neither calls the token inactive nor refuses the gateway.
    fn is_known(&mut self, token: &str) -> bool {
        let judgement = self.server.judge(&self.draft, token);
        let reason = judgement.and_then(|judgement| judgement.reason());
        !matches!(reason, Some(Reason::Inactive | Reason::GatewayCredentialsRefused))
    }

    /// Reports what the server says about a client's token, and whether the filter accepts the token, whatever rules require.
    fn try_token(&mut self, token: &str) {
        let Some(judgement) = self.server.judge(&self.draft, token) else { return };
        let cause = quirks::cause(&mut self.server, &self.draft, token);
        let cause = cause.map(|cause| format!(", {cause}")).unwrap_or_default();
        let summary = match self.server.introspection(&judgement) {
            Some(_) => format!(" ({})", self.server.summary(&judgement)),
            None => String::new(),
        };
        self.report.judge(
            judgement.is_forwarded(),
            "token",
            format!("{}{cause}{summary}", judgement.summary()),
        );
        self.note_keys(&judgement);
    }

    /// Reports the documents that were fetched, and the keys of each set that are left out.
    fn note_keys(&mut self, judgement: &Judgement) {
        let settings = self.draft.settings().ok();
        let server = settings.as_ref().and_then(|settings| settings.servers.get(self.place));
        for (url, exchange) in self.server.documents(judgement) {
            self.report.note("keys", format!("{url}: {}", answer::summary(exchange)));
            let Answer::Complete { status: 200, body, .. } = &exchange.answer else { continue };
            quirks::compare_metadata(&self.draft, &url, body, &mut self.report);
            let Some(set) = server.and_then(|server| server.key_set(body)) else { continue };
            let unusable = set.unusable_keys();
            for UnusableKey { index, kid, reason } in unusable {
                let kid = kid.as_ref().map(|kid| format!(" (kid {kid})")).unwrap_or_default();
                self.report.note("keys", format!("keys[{index}]{kid} is left out: {reason}"));
            }
            if set.is_empty() {
                self.report.judge(false, "keys", "no key of the set is usable");
            }
        }
    }

    /// Reports the claims that decide about the token, from the response in the format that the filter can use, and compares them with the
    /// configuration.
    fn note_claims(&mut self, token: &str) {
        let Some(judgement) = self.server.judge(&self.draft, token) else { return };
        let Some(token_claims) = quirks::token_claims(&self.server, &self.draft, &judgement, token) else {
            return;
        };
        if judgement.reason() == Some(Reason::Inactive) {
            return;
        }
        if self.trial.shows_values {
            let hidden = self.hidden(token);
            let line = |(name, value)| format!("{name}: {}", shown(value, &hidden));
            token_claims.claims.iter().map(line).for_each(|line| self.report.note("claim", line));
        } else {
            self.report.note("claims", token_claims.names());
        }
        match token_claims.jwt.as_deref() {
            Some(jwt) => self.note_signature(jwt, judgement.reason()),
            None if jws::header(token).is_some() => {
                let text = "the token given is one itself, which does not matter here: the answer decides";
                self.report.note("JWT", text);
            }
            None => {}
        }
        if judgement.is_read() {
            quirks::compare(&self.draft, &token_claims, &mut self.report);
        }
    }

    /// Returns the tokens and secrets that the report hides wherever they occur.
    fn hidden(&self, token: &str) -> Vec<String> {
        let secrets = ["client_secret", "bearer_token"].map(|name| format!("introspection.{name}"));
        let secrets = secrets.iter().filter_map(|path| self.draft.text(path));
        let tokens = [Some(token), self.trial.refresh_token].into_iter().flatten().map(str::to_owned);
        secrets.chain(tokens).filter(|text| !text.is_empty()).collect()
    }

    fn note_signature(&mut self, jwt: &str, reason: Option<Reason>) {
        let Some(header) = jws::header(jwt) else { return };
        let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or("none").to_owned();
        let signature = match (self.draft.get("keys"), reason) {
            (None, _) => "not verified here: no keys are configured",
            (_, Some(Reason::ResponseSignatureInvalid | Reason::InvalidSignature)) => {
                "not signed by one of the keys"
            }
            (_, Some(Reason::JwksUnavailable)) => "not verified: there are no keys",
            (_, None) => "verified by the keys",
            (_, Some(_)) => "refused before its signature counts",
        };
        self.report.note("JWT", format!("alg {}, kid {}, {signature}", text("alg"), text("kid")));
    }

    /// Reports what an operator has to know about the responses, apart from refusals.
    fn note_quirks(&mut self, token: &str) {
        let Some(judgement) = self.server.judge(&self.draft, token) else { return };
        let token_claims = quirks::token_claims(&self.server, &self.draft, &judgement, token);
        if let Some(token_claims) = token_claims.filter(|_| judgement.is_read()) {
            quirks::note_claims(&self.draft, &token_claims, judgement.reason(), &mut self.report);
        }
        if let Some(exchange) = self.server.introspection(&judgement).filter(|_| judgement.is_forwarded()) {
            quirks::note_caching(&self.draft, &exchange.answer, &mut self.report);
        }
        if self.report.has_changes() {
            let text = match judgement.is_forwarded() {
                true => "the lines below, the token is valid, and rules are checked with them".to_owned(),
                false => format!("the lines below, the token is still refused: {}", judgement.summary()),
            };
            self.report.note("with", text);
        }
    }

    /// Reports what each rule decides about the token.
    fn try_rules(&mut self, token: &str) {
        let Ok(settings) = self.draft.settings() else { return };
        let local = LocalHost::default();
        let mut driver = Driver::new(settings, local.at(self.trial.now));
        for (place, rule) in self.draft.rules().iter().enumerate() {
            let request = rules::request(rule, token);
            let judgement = self.server.process(&mut driver, &local, &request, &Answer::clone);
            let (is_fine, text) = match &judgement.outcome {
                Outcome::Forwarded { .. } => (true, "forwarded".to_owned()),
                Outcome::Answered(Reply { reason: Some(reason), status, .. }) => {
                    (false, format!("{status} {reason}"))
                }
                Outcome::Answered(Reply { reason: None, status, .. }) => {
                    (true, format!("{status} by the gateway itself"))
                }
                Outcome::Waiting => (false, "not decided".to_owned()),
            };
            let text = format!("{}: {text}", rules::summary(&request));
            self.report.judge(is_fine, format!("rules[{place}]"), text);
        }
    }
}

/// Formats a value without tokens, and without secrets that a server repeats.
fn shown(value: &Value, hidden: &[String]) -> String {
    match value {
        Value::String(text) if jws::header(text).is_some() => "[JWT]".to_owned(),
        Value::String(text) if hidden.iter().any(|secret| repeats(text, secret)) => "[hidden]".to_owned(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| shown(value, hidden)).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), shown(value, hidden))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        value => value.to_string(),
    }
}

/// Whether a text repeats a secret. A short secret has to be the whole text, since many texts contain it by accident.
fn repeats(text: &str, secret: &str) -> bool {
    text == secret || (secret.len() >= 8 && text.contains(secret))
}
