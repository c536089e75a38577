//! The server, called by the filter's own engine: identical requests are sent only once, whatever the configuration.

use phantom_token_core::driver::{Driver, Outcome, Request, Response as Answer};
use phantom_token_core::{Call, Callout, Reason, Timestamp};
use serde_json::json;

use super::client::{Client, Exchange, url};
use super::draft::Draft;
use super::{answer, rules};
use crate::local_host::LocalHost;

/// The server, and all that it has answered.
pub struct Server {
    client: Client,
    now: Timestamp,
    /// The URL that is asked about tokens; anything else that is fetched is a document.
    endpoint: Option<String>,
    asked: Vec<Asked>,
}

struct Asked {
    callout: Callout,
    exchange: Exchange,
}

/// What became of a token.
pub struct Judgement {
    /// What became of the request.
    pub outcome: Outcome,
    introspection: Option<usize>,
    documents: Vec<usize>,
}

/// What is put in the place of an answer.
pub type Edit<'e> = &'e dyn Fn(&Answer) -> Answer;

impl Server {
    /// Nothing was asked yet.
    pub fn new(client: Client, now: Timestamp, endpoint: Option<String>) -> Self {
        Self { client, now, endpoint, asked: Vec::new() }
    }

    /// Lets a token through the filter as this configuration has it, whatever its rules ask; none, where it cannot be like this.
    pub fn judge(&mut self, draft: &Draft, token: &str) -> Option<Judgement> {
        self.judge_edited(draft, token, &Answer::clone)
    }

    /// The same, if the answer about the token were another.
    pub fn judge_edited(&mut self, draft: &Draft, token: &str, edit: Edit<'_>) -> Option<Judgement> {
        let settings = draft.for_any_request().ok()?;
        let local = LocalHost::default();
        let mut driver = Driver::new(settings, local.at(self.now));
        Some(self.process(&mut driver, &local, &rules::request(&json!({"path": "/"}), token), edit))
    }

    /// Lets a request through the filter.
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

    /// What it answered about the token.
    pub fn introspection(&self, judgement: &Judgement) -> Option<&Exchange> {
        self.asked.get(judgement.introspection?).map(|asked| &asked.exchange)
    }

    /// The documents that were fetched, by their URLs.
    pub fn documents(&self, judgement: &Judgement) -> impl Iterator<Item = (String, &Exchange)> {
        let asked = judgement.documents.iter().filter_map(|place| self.asked.get(*place));
        asked.map(|asked| (url(&asked.callout), &asked.exchange))
    }

    /// The answer about the token in a few words: how it came, and what it is.
    pub fn summary(&self, judgement: &Judgement) -> String {
        let Some(exchange) = self.introspection(judgement) else { return "it was not asked".to_owned() };
        let summary = answer::summary(exchange);
        match &exchange.failure {
            Some(_) => summary,
            None => format!("{summary}, {}", answer::Content::of(&exchange.answer).summary()),
        }
    }

    /// Where the answer to a callout is, which is sent if none like it was.
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
    /// Whether services got the request.
    pub fn is_forwarded(&self) -> bool {
        matches!(self.outcome, Outcome::Forwarded { .. })
    }

    /// Why it was refused, if it was.
    pub fn reason(&self) -> Option<Reason> {
        self.outcome.reason()
    }

    /// Whether the answer could be read and calls the token active: what is refused then, is the token.
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

    /// The status and the reason, as clients and operators see them.
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
