//! The log of one configuration: a line for each decision, if requested, and messages for operators. Several configurations can share a
//! process, so each has its own level. A line that could repeat with every request is written once in a few seconds at most, with the
//! number of suppressed ones.
//!
//! *Invariant:* no line contains a token, a secret or text from outside, except for the media type of a response. Tokens appear as keyed
//! tags.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use log::{Level, LevelFilter};

use super::decision::Decision;
use super::query_result::{IntrospectionResult, QueryResult};
use crate::host::Randomness;
use crate::jwt::UnusableKey;
use crate::refusal::{Fault, Reason, Rejection, TokenError};
use crate::server::circuit_breaker::CircuitChange;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token_key::TokenKey;

/// The log of one configuration on one worker.
pub struct DecisionLog {
    /// `log_level`.
    level: LevelFilter,
    /// The key of the tags that stand for tokens. Empty if there are no tags.
    tag_key: Vec<u8>,
    sink: Box<dyn LogSink>,
    repeated: RefCell<BTreeMap<&'static str, Repetition>>,
}

/// The host's log.
pub trait LogSink {
    /// Writes a line.
    fn write(&self, level: Level, line: &str);

    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The last occurrence of a line that was written.
struct Repetition {
    written_at: Timestamp,
    suppressed: u64,
}

impl DecisionLog {
    /// Creates a log. Without a configured key, tags are made with a random one.
    pub fn new(settings: &Settings, randomness: &dyn Randomness, sink: Box<dyn LogSink>) -> Self {
        let tag_key = match &settings.log_key {
            Some(key) => key.expose().as_bytes().to_vec(),
            None => randomness.bytes().map(Vec::from).unwrap_or_default(),
        };
        Self { level: settings.log_level, tag_key, sink, repeated: RefCell::default() }
    }

    /// Writes a line about a rare event.
    pub fn log(&self, level: Level, text: impl Display) {
        if self.writes(level) {
            self.write_line(level, &text);
        }
    }

    /// Writes a line for the decision about a request, if requested.
    pub(super) fn note_decision_of(&self, decision: &Decision) {
        if let Decision::ShadowDeny(rejection, _) = decision {
            let text = "shadow denied: the rule is report_only";
            self.log_limited(Level::Warn, text, rejection.reason.name());
        }
        if !self.writes(Level::Debug) {
            return;
        }
        match decision {
            Decision::Forward(headers) => match headers.token() {
                Some(token) => self.note_decision("allowed", None, Some(token)),
                None => self.note_decision("allowed_public", None, None),
            },
            Decision::ShadowDeny(rejection, _) => {
                self.note_decision("shadow_denied", Some(rejection), rejection.token.as_ref());
            }
            Decision::Answer(_) => self.note_decision("answered", None, None),
            Decision::Reject(rejection) => {
                self.note_decision("denied", Some(rejection), rejection.token.as_ref());
            }
        }
    }

    /// Writes the result of a call to an authorization server, with the response that caused it. Above the level `debug`, errors of clients
    /// are only counted.
    pub(super) fn note_result(&self, server: &str, answer: impl Display, result: &QueryResult) {
        let fault = |reason: Reason| format!("{}, server {server}: {answer}", reason.name());
        match result {
            QueryResult::Token(token) => {
                self.note_circuit(server, token.circuit);
                self.note_introspection(token, fault);
            }
            QueryResult::Document(Err(Reason::IntrospectionLimit), _) => {
                self.log(Level::Debug, "keys or metadata: a fetch is in flight or was made moments ago");
            }
            QueryResult::Document(Err(reason), unusable) => {
                let text = "the authorization server's keys or metadata cannot be used";
                self.log_limited(Level::Error, text, fault(*reason));
                self.note_unusable_keys(Level::Warn, server, unusable);
            }
            QueryResult::Document(Ok(()), unusable) => {
                self.log(
                    Level::Info,
                    format_args!("keys or metadata of authorization server {server} accepted"),
                );
                self.note_unusable_keys(Level::Info, server, unusable);
            }
        }
    }

    /// Writes which keys of a set are left out, and why. Keys are identified by their index, since a `kid` comes from outside.
    pub(super) fn note_unusable_keys(&self, level: Level, server: &str, keys: &[UnusableKey]) {
        let [_, ..] = keys else { return };
        let named = keys.iter().take(MAX_KEYS_NAMED);
        let named: Vec<_> = named.map(|key| format!("keys[{}]: {}", key.index, key.reason)).collect();
        let (count, named) = (keys.len(), named.join("; "));
        self.log(level, format_args!("authorization server {server}: keys left out ({count}): {named}"));
    }

    fn note_circuit(&self, server: &str, change: Option<CircuitChange>) {
        match change {
            Some(CircuitChange::Opened) => {
                self.log(
                    Level::Warn,
                    format_args!("circuit breaker opened for authorization server {server}"),
                );
            }
            Some(CircuitChange::Closed) => {
                self.log(
                    Level::Info,
                    format_args!("circuit breaker closed for authorization server {server}"),
                );
            }
            None => {}
        }
    }

    /// Writes the result of an introspection. An error of the server gets a line of its own.
    fn note_introspection(&self, token: &IntrospectionResult, fault: impl Fn(Reason) -> String) {
        let Some(TokenError { reason, member, .. }) = token.refusal() else {
            return self.log(Level::Debug, "introspection: active");
        };
        let place = member.map(|member| format!(" member={member}")).unwrap_or_default();
        self.log(Level::Debug, format_args!("introspection: {}{place}", reason.name()));
        let (level, text) = match reason {
            Reason::GatewayCredentialsRefused => (
                Level::Error,
                "the authorization server refuses the gateway's credentials: check client_id and its secret or key",
            ),
            Reason::Unavailable | Reason::IntrospectionTimeout | Reason::ServerRateLimited => {
                (Level::Warn, "the authorization server did not serve an introspection")
            }
            Reason::IntrospectionLimit | Reason::CircuitOpen => return,
            reason if reason.fault() == Fault::Client => return,
            _ => (Level::Error, "the authorization server sent an unexpected response to an introspection"),
        };
        self.log_limited(level, text, format_args!("{}{place}", fault(reason)));
    }

    /// Writes a line about an event that may repeat.
    pub fn log_limited(&self, level: Level, text: &'static str, detail: impl Display) {
        if !self.writes(level) {
            return;
        }
        let now = self.sink.now();
        let mut repeated = self.repeated.borrow_mut();
        let suppressed = match repeated.get_mut(text) {
            Some(one) if one.is_recent(now) => {
                one.suppressed = one.suppressed.saturating_add(1);
                return;
            }
            Some(one) => one.suppressed,
            None => 0,
        };
        repeated.insert(text, Repetition { written_at: now, suppressed: 0 });
        match suppressed {
            0 => self.log(level, format_args!("{text}: {detail}")),
            _ => self.log(
                level,
                format_args!("{text}: {detail} ({suppressed} more since the last line like this)"),
            ),
        }
    }

    fn note_decision(&self, decision: &str, rejection: Option<&Rejection>, token: Option<&TokenKey>) {
        let mut line = format!("decision={decision}");
        let tag = token.filter(|_| !self.tag_key.is_empty()).map(|token| token.tag(&self.tag_key));
        let reason = rejection.map(|rejection| rejection.reason.name().to_owned());
        let member = rejection.and_then(|rejection| rejection.member).map(str::to_owned);
        let facts = [("reason", reason), ("member", member), ("token", tag)];
        for (name, value) in facts {
            // Writing to a string does not fail.
            let _ = value.map(|value| write!(line, " {name}={value}"));
        }
        self.log(Level::Debug, line);
    }

    fn writes(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Compiled once for all types of text.
    #[inline(never)]
    fn write_line(&self, level: Level, text: &dyn Display) {
        self.sink.write(level, &text.to_string());
    }
}

impl Repetition {
    /// Whether the line was written recently. One with a time in the future was written before the clock was set back.
    fn is_recent(&self, now: Timestamp) -> bool {
        now >= self.written_at && now.since(self.written_at).as_secs() < PAUSE_SECONDS
    }
}

const PAUSE_SECONDS: u64 = 10;

/// The maximum number of keys in one line.
const MAX_KEYS_NAMED: usize = 16;

#[cfg(test)]
mod tests;
