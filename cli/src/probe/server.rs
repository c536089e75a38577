//! The server, called by the filter's own engine: identical requests are sent only once, whatever the configuration.

use phantom_token_core::driver::{Driver, Outcome, Request, Response as Answer};
use phantom_token_core::{Call, Callout, Reason, Timestamp};
use serde_json::json;

use super::client::{Client, Exchange, url};
use super::draft::Draft;
use super::{answer, rules};
use crate::local_host::LocalHost;

/// The server, with all its responses so far.
pub struct Server {
    client: Client,
    now: Timestamp,
    /// The URL of the introspection or UserInfo endpoint. Anything fetched from elsewhere is a document.
    endpoint: Option<String>,
    asked: Vec<Asked>,
}

struct Asked {
    callout: Callout,
    exchange: Exchange,
}

/// The filter's decision about a token.
pub struct Judgement {
    /// The outcome of the request.
    pub outcome: Outcome,
    introspection: Option<usize>,
    documents: Vec<usize>,
}

/// Replaces a response.
pub type Edit<'e> = &'e dyn Fn(&Answer) -> Answer;

impl Server {
    /// Creates the server, before any request to it.
    pub fn new(client: Client, now: Timestamp, endpoint: Option<String>) -> Self {
        Self { client, now, endpoint, asked: Vec::new() }
    }

    /// Runs a token through the filter with this configuration, ignoring its rules. Returns `None` if the configuration is invalid.
    pub fn judge(&mut self, draft: &Draft, token: &str) -> Option<Judgement> {
        self.judge_edited(draft, token, &Answer::clone)
    }

    /// Does the same with the response about the token replaced.
    pub fn judge_edited(&mut self, draft: &Draft, token: &str, edit: Edit<'_>) -> Option<Judgement> {
        let settings = draft.for_any_request().ok()?;
        let local = LocalHost::default();
        let mut driver = Driver::new(settings, local.at(self.now));
        Some(self.process(&mut driver, &local, &rules::request(&json!({"path": "/"}), token), edit))
    }

    /// Runs a request through the filter.
    pub fn process(
        &mut self,
        driver: &mut Driver,
        local: &LocalHost,
        request: &Request,
        edit: Edit<'_>,
    ) -> Judgement {
        let (mut introspection, mut documents) = (None, Vec::new());
        let outcome = driver.process(request, local.at(self.now), &mut |call: &Call| {
            let place = self.place(&call.request, call.max_response_bytes);
            let answer = &self.asked.get(place)?.exchange.answer;
            if self.endpoint.as_deref() != Some(&url(&call.request)) {
                documents.push(place);
                return Some(answer.clone());
            }
            introspection = Some(place);
            Some(edit(answer))
        });
        Judgement { outcome, introspection, documents }
    }

    /// Returns the exchange about the token.
    pub fn introspection(&self, judgement: &Judgement) -> Option<&Exchange> {
        self.asked.get(judgement.introspection?).map(|asked| &asked.exchange)
    }

    /// Returns the documents that were fetched, with their URLs.
    pub fn documents(&self, judgement: &Judgement) -> impl Iterator<Item = (String, &Exchange)> {
        let asked = judgement.documents.iter().filter_map(|place| self.asked.get(*place));
        asked.map(|asked| (url(&asked.callout), &asked.exchange))
    }

    /// Describes the response about the token in a few words: how it arrived, and its content.
    pub fn summary(&self, judgement: &Judgement) -> String {
        let Some(exchange) = self.introspection(judgement) else { return "it was not asked".to_owned() };
        let summary = answer::summary(exchange);
        match &exchange.failure {
            Some(_) => summary,
            None => format!("{summary}, {}", answer::Content::of(&exchange.answer).summary()),
        }
    }

    /// Returns the index of the exchange for a callout. Sends the callout unless an identical one was sent before.
    fn place(&mut self, callout: &Callout, limit: usize) -> usize {
        if let Some(place) = self.asked.iter().position(|asked| is_same(&asked.callout, callout)) {
            return place;
        }
        let exchange = self.client.send(callout, limit);
        self.asked.push(Asked { callout: callout.clone(), exchange });
        self.asked.len() - 1
    }
}

impl Judgement {
    /// Whether the request was forwarded to services.
    pub fn is_forwarded(&self) -> bool {
        matches!(self.outcome, Outcome::Forwarded { .. })
    }

    /// Returns the reason for the refusal, if the request was refused.
    pub fn reason(&self) -> Option<Reason> {
        self.outcome.reason()
    }

    /// Whether the response could be read and calls the token active, so that any refusal concerns the token itself.
    pub fn is_read(&self) -> bool {
        match &self.outcome {
            Outcome::Forwarded { .. } => true,
            Outcome::Answered(reply) => match self.reason() {
                Some(Reason::Inactive) => false,
                Some(Reason::MissingSubject) => true,
                _ => reply.status < 500,
            },
            Outcome::Waiting => false,
        }
    }

    /// Describes the decision by status and reason, as clients and operators see them.
    pub fn summary(&self) -> String {
        match &self.outcome {
            Outcome::Forwarded { .. } => "good".to_owned(),
            Outcome::Answered(reply) => format!("{} {}", reply.status, reply.reason.unwrap_or_default()),
            Outcome::Waiting => "the gateway cannot introspect it".to_owned(),
        }
    }
}

fn is_same(one: &Callout, other: &Callout) -> bool {
    one.body() == other.body() && one.headers().eq(other.headers())
}
