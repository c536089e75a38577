//! What must be true of every request, whatever happened: each outcome has to be justified by what the client sent and the server said. The
//! model does not predict what the filter does; it judges the outcome, so that it need not change with each new way to introspect less or
//! sooner.
//!
//! `forwarded` judges forwarded requests, `refused` the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use integration_tests::deterministic_host::{Behaviour, ContextKey, HeaderMap, Host, State};

use crate::bounds::SECRET;
use crate::limits::Limits;
use crate::moment::Moment;
use crate::proofs::Proofs;
use crate::published_keys::KEYS_PATH;
use crate::sent::{Access, Credentials, Sent};
use crate::server::Server;

/// What the model knows and has observed.
pub struct Model {
    pub behaviour: Behaviour,
    pub step: u64,
    /// The time that has passed, however the clock was set.
    pub elapsed: Duration,
    /// How often the configuration has changed.
    pub generation: u32,
    /// Whether the host may have refused calls of the filter in this step.
    pub is_refusing: bool,
    waiting: Vec<Sent>,
    /// The root contexts of the requests that waited when the step began, one for each request.
    waiting_roots: Vec<ContextKey>,
    pub limits: Limits,
    /// Whether the host sometimes loses writes to shared data.
    pub loses_writes: bool,
    /// Whether the host has ever refused to update a metric.
    pub loses_counts: bool,
    /// The root contexts for which the host has ever refused anything.
    pub doubted: BTreeSet<ContextKey>,
    pub proofs: Proofs,
    /// How often each outcome was seen.
    pub tally: BTreeMap<&'static str, u32>,
}

impl Model {
    pub fn new(behaviour: Behaviour, loses_writes: bool) -> Self {
        Self {
            behaviour,
            step: 0,
            elapsed: Duration::ZERO,
            generation: 0,
            is_refusing: false,
            waiting: Vec::new(),
            waiting_roots: Vec::new(),
            limits: Limits::new(behaviour),
            loses_writes,
            loses_counts: false,
            doubted: BTreeSet::new(),
            proofs: Proofs::new(loses_writes),
            tally: BTreeMap::new(),
        }
    }

    pub fn begin(&mut self, host: &Host) {
        self.step += 1;
        self.is_refusing = host.is_refusing();
        self.waiting_roots = self.waiting.iter().map(|sent| host.stream(sent.stream).root()).collect();
        self.limits.look(host, self.now(host));
    }

    pub fn now(&self, host: &Host) -> Moment {
        Moment { clock: host.now(), elapsed: self.elapsed }
    }

    /// Records a request that was sent.
    pub fn sent(&mut self, sent: Sent, host: &Host) {
        self.limits.know(host.stream(sent.stream).root(), &sent.bounds, self.now(host));
        if let Credentials::Dpop(_, Some(proof)) = sent.credentials {
            self.proofs.note_sent(proof);
        }
        self.waiting.push(sent);
    }

    /// The streams that are paused.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Sent> {
        self.waiting.iter()
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Judges what happened to requests in a step.
    pub fn judge(&mut self, host: &Host, server: &Server) -> Result<()> {
        ensure!(host.violations().is_empty(), "the filter misuses the host: {:?}", host.violations());
        let awaited: BTreeSet<usize> =
            self.waiting.iter().filter_map(|sent| sent.credentials.token()).collect();
        let is_awaited = |token: usize| awaited.contains(&token);
        let now = self.now(host);
        self.limits.judge_queries(host, server, now, is_awaited, &mut self.tally)?;
        let mut still_waiting = Vec::new();
        let mut settled = 0;
        for sent in std::mem::take(&mut self.waiting) {
            let state = host.stream(sent.stream).state().clone();
            if self.is_refusing && state != State::Paused {
                self.doubt(host.stream(sent.stream).root(), now);
            }
            let verdict = match &state {
                State::Paused => self.judge_pause(&sent, host, server),
                State::Forwarded { headers } => self.judge_forwarded(&sent, headers, host, server),
                State::Replied { status, headers, body } => {
                    self.judge_refused(&sent, *status, headers, body, host, server)
                }
                State::Lost => Err(anyhow::anyhow!("the client hears nothing")),
                State::Abandoned => Ok(()),
            };
            verdict.with_context(|| format!("{:?} with {:?}: {state:?}", sent.place, sent.credentials))?;
            if state == State::Paused {
                still_waiting.push(sent);
            } else if state != State::Abandoned && sent.step != self.step {
                settled += 1;
            }
        }
        if settled > 1 {
            self.count("requests that shared an answer");
        }
        self.waiting = still_waiting;
        Ok(())
    }

    /// Judges the end, after all callouts have ended and the timers have fired: no request waits, and the gauges say so.
    pub fn judge_end(&self, host: &Host) -> Result<()> {
        ensure!(self.waiting.is_empty(), "requests wait though all is answered");
        let waiting = host.counter("phantom_token_requests_pending");
        ensure!(
            waiting == 0 || self.loses_counts,
            "{waiting} requests wait, the filter says, though none does"
        );
        let log = host.log();
        let shown = log.iter().find(|line| is_confidential(line));
        ensure!(shown.is_none(), "the log shows a token or a secret: {shown:?}");
        let names = host.metric_names();
        ensure!(!names.iter().any(|name| is_confidential(name)), "a metric shows a token");
        Ok(())
    }

    /// Checks that a waiting request shows no credentials, and has a response or a timer to wait for.
    fn judge_pause(&self, sent: &Sent, host: &Host, server: &Server) -> Result<()> {
        let Some(token) = sent.credentials.token() else { bail!("there is nothing to wait for") };
        ensure!(matches!(sent.access(), Access::Protected { .. }), "this place needs no answer");
        let stream = host.stream(sent.stream);
        ensure!(!stream.headers().has_value("authorization"), "it waits with its credentials");
        ensure!(!shows_token(stream.headers()), "it waits with its token");
        let text = &server.tokens[token].text;
        let is_awaited = host.open_callouts().into_iter().map(|id| host.callout(id)).any(|callout| {
            let is_for_it = callout.parameter("token") == *text
                || (sent.bounds.keys.is_some() && callout.headers.text(":path") == KEYS_PATH);
            let will_come = match self.behaviour {
                Behaviour::Envoy => host.is_alive(callout.owner()),
                Behaviour::NgxWasm => callout.owner() == stream.context(),
            };
            callout.root() == stream.root() && is_for_it && will_come
        });
        ensure!(is_awaited || host.has_timer(stream.root()), "no answer will come");
        Ok(())
    }

    /// Whether the maximum number of requests wait.
    pub fn is_full(&self, sent: &Sent, root: ContextKey) -> bool {
        self.waiting_roots.iter().filter(|other| **other == root).count() >= sent.bounds.max_waiting
    }

    /// Records that the host may have refused an introspection.
    fn doubt(&mut self, root: ContextKey, now: Moment) {
        self.doubted.insert(root);
        self.limits.doubt(root, now);
    }
}

/// Whether a text contains what no log, metric or reply may show.
pub fn is_confidential(text: &str) -> bool {
    ["opaque-", "eyJ", SECRET, "Basic "].iter().any(|mark| text.contains(mark))
}

pub fn shows_token(headers: &HeaderMap) -> bool {
    headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("opaque-"))
}
