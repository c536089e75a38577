//! What must be true of every request, whatever happened: each outcome has to be justified by what the client sent and the server
//! said. The model does not foresee what the filter does; it judges what it did, so that it need not change with each new way
//! of asking less, or sooner.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};
use integration_tests::deterministic_host::{Behaviour, ContextKey, HeaderMap, Host, State, StreamId};

use crate::bounds::{Bounds, SECRET, USER};
use crate::limits::Limits;
use crate::server::{Meaning, Server, Statement};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Public,
    Orders,
    /// Orders, to be changed.
    Changes,
    Profile,
    /// What no rule exposes.
    Internal,
}

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    None,
    /// Credentials of another scheme.
    Basic,
    /// A field that is none, though it begins like one.
    Malformed,
    /// A token that no server issues, by its characters alone.
    BadSyntax,
    Token(usize),
}

/// A request that was sent.
#[derive(Clone)]
pub struct Sent {
    pub stream: StreamId,
    pub worker: usize,
    pub place: Place,
    pub credentials: Credentials,
    pub bounds: Rc<Bounds>,
    /// In which step.
    pub step: u64,
    /// Under which configuration.
    pub generation: u32,
}

/// What the model is told, and what it has seen.
pub struct Model {
    behaviour: Behaviour,
    pub step: u64,
    /// How often the configuration has changed.
    pub generation: u32,
    /// Whether the host may have refused in this step what the filter asked of it.
    is_refusing: bool,
    waiting: Vec<Sent>,
    /// The configurations of workers at which requests waited when the step began, once for each.
    crowd: Vec<ContextKey>,
    limits: Limits,
    /// Whether the host loses what is written to its shared data, now and then.
    pub loses_writes: bool,
    /// The configurations of workers for which it has ever refused anything.
    doubted: BTreeSet<ContextKey>,
    /// How often each outcome was seen.
    pub tally: BTreeMap<&'static str, u32>,
}

enum Access {
    Public,
    Protected { scope: Option<&'static str> },
    Closed,
}

impl Model {
    pub fn new(behaviour: Behaviour, loses_writes: bool) -> Self {
        Self {
            behaviour,
            step: 0,
            generation: 0,
            is_refusing: false,
            waiting: Vec::new(),
            crowd: Vec::new(),
            limits: Limits::default(),
            loses_writes,
            doubted: BTreeSet::new(),
            tally: BTreeMap::new(),
        }
    }

    /// A step begins.
    pub fn begin(&mut self, host: &Host) {
        self.step += 1;
        self.is_refusing = host.is_refusing();
        self.crowd = self.waiting.iter().map(|sent| host.stream(sent.stream).root()).collect();
        self.limits.look(host);
    }

    /// A request was sent.
    pub fn sent(&mut self, sent: Sent, host: &Host) {
        self.limits.know(host.stream(sent.stream).root(), &sent.bounds, host);
        self.waiting.push(sent);
    }

    /// The streams that are paused.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Sent> {
        self.waiting.iter()
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// A step is over: whatever became of requests in it is judged.
    pub fn judge(&mut self, host: &Host, server: &Server) -> Result<()> {
        ensure!(host.violations().is_empty(), "the filter misuses the host: {:?}", host.violations());
        let awaited: Vec<Credentials> = self.waiting.iter().map(|sent| sent.credentials).collect();
        let is_awaited = |token| awaited.contains(&Credentials::Token(token));
        self.limits.judge_questions(host, server, is_awaited, &mut self.tally)?;
        let mut still_waiting = Vec::new();
        let mut settled = 0;
        for sent in std::mem::take(&mut self.waiting) {
            let state = host.stream(sent.stream).state().clone();
            if self.is_refusing && state != State::Paused {
                self.doubt(host.stream(sent.stream).root());
            }
            let verdict = match &state {
                State::Paused => self.judge_pause(&sent, host, server),
                State::Forwarded { headers } => self.judge_passage(&sent, headers, host, server),
                State::Replied { status, headers, body } => {
                    self.judge_reply(&sent, *status, headers, body, host, server)
                }
                State::Abandoned => Ok(()),
            };
            verdict.with_context(|| format!("{:?} with {:?}: {state:?}", sent.place, sent.credentials))?;
            if state == State::Paused {
                still_waiting.push(sent);
            } else if sent.step != self.step {
                settled += 1;
            }
        }
        if settled > 1 {
            self.count("requests that shared an answer");
        }
        self.waiting = still_waiting;
        Ok(())
    }

    /// Who waits has nothing to show, and an answer or a timer to wait for.
    fn judge_pause(&self, sent: &Sent, host: &Host, server: &Server) -> Result<()> {
        let Credentials::Token(token) = sent.credentials else { bail!("there is nothing to wait for") };
        ensure!(matches!(access(sent), Access::Protected { .. }), "this place needs no answer");
        let stream = host.stream(sent.stream);
        ensure!(stream.headers().get("authorization").is_none(), "it waits with its credentials");
        ensure!(!shows_token(stream.headers()), "it waits with its token");
        let text = &server.tokens[token].text;
        let is_awaited = host.open_callouts().into_iter().map(|id| host.callout(id)).any(|callout| {
            let is_about_it = callout.root() == stream.root() && callout.parameter("token") == *text;
            is_about_it
                && match self.behaviour {
                    Behaviour::Envoy => host.is_alive(callout.owner()),
                    Behaviour::NgxWasm => callout.owner() == stream.context(),
                }
        });
        ensure!(is_awaited || host.has_timer(stream.root()), "no answer will come");
        Ok(())
    }

    fn judge_passage(
        &mut self,
        sent: &Sent,
        headers: &HeaderMap,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        ensure!(!shows_token(headers), "the opaque token went on");
        let has_own = headers.iter().any(|(name, _)| name.starts_with("x-phantom-token"));
        ensure!(!has_own, "a field of the filter's own went on");
        let users: Vec<_> = headers.iter().filter(|(name, _)| name.replace('_', "-") == USER).collect();
        let scope = match access(sent) {
            Access::Closed => bail!("no rule exposes this"),
            Access::Public => {
                ensure!(users.is_empty(), "a client told services who it is");
                ensure!(!headers.text("authorization").contains("eyJ"), "a JWT was given away");
                self.count("public");
                return Ok(());
            }
            Access::Protected { scope } => scope,
        };
        let Credentials::Token(number) = sent.credentials else { bail!("nobody may pass without a token") };
        let token = &server.tokens[number];
        ensure!(headers.count("authorization") == 1, "not one set of credentials");
        let jwt = headers.text("authorization").strip_prefix("Bearer ").context("not a bearer token")?;
        let (owner, statement) = server.issued(jwt).context("nobody issued this JWT")?;
        ensure!(owner == number, "the JWT is for another token");
        ensure!(!token.is_for_others, "the JWT is for another API");
        ensure!(has_scope(token.scope, scope), "the JWT lacks the scope");
        let now = host.now();
        ensure!(!statement.has_expired(now, sent.bounds.leeway), "the JWT has expired");
        ensure!(users == [(USER, token.subject.as_bytes())], "services learn of another user: {users:?}");
        if statement.step == self.step {
            let is_old = sent.generation != self.generation;
            self.count(if is_old { "forwarded by an old configuration" } else { "forwarded after waiting" });
        } else {
            let root = host.stream(sent.stream).root();
            let is_taken_back = server.has_taken_back(number, statement, root);
            ensure!(self.loses_writes || !is_taken_back, "the server took this answer back");
            let is_stale = now >= statement.fresh_until(&sent.bounds);
            let is_failing = self.is_failing(number, statement, root, server);
            ensure!(!is_stale || is_failing, "the answer is too old, and the server does not fail");
            ensure!(now < statement.usable_until(&sent.bounds), "the answer is too old");
            self.count(match statement.worker == sent.worker {
                _ if is_stale => "forwarded by an old answer",
                true => "forwarded by a cache",
                false => "forwarded by another worker's answer",
            });
        }
        if let Some(revoked) = token.revoked {
            let longest = sent.bounds.max_ttl + sent.bounds.stale_if_error;
            ensure!(now <= revoked + longest, "the token was revoked {:?} ago", now - revoked);
            self.count("forwarded after the revocation");
        }
        Ok(())
    }

    fn judge_reply(
        &mut self,
        sent: &Sent,
        status: u16,
        headers: &HeaderMap,
        body: &str,
        host: &Host,
        server: &Server,
    ) -> Result<()> {
        ensure!(!shows_token(headers) && !is_confidential(body), "the answer shows a token");
        ensure!(headers.text("cache-control") == "no-store", "caches may keep the refusal");
        let challenge = headers.text("www-authenticate");
        ensure!(challenge.is_empty() || challenge.starts_with("Bearer realm="), "{challenge:?}");
        match status {
            401 => ensure!(!challenge.is_empty(), "a client is not told what would do"),
            500.. => ensure!(challenge.is_empty(), "a client is blamed for what is not its fault"),
            _ => {}
        }
        let outcome = match (status, access(sent), sent.credentials) {
            (400, Access::Protected { .. }, Credentials::Malformed) => "malformed",
            (401, Access::Protected { .. }, Credentials::None | Credentials::Basic) => "without credentials",
            (401, Access::Protected { .. }, Credentials::BadSyntax) => "of bad syntax",
            (401, Access::Protected { .. }, Credentials::Token(token)) => {
                let justified = self.is_invalid(token, sent, host, server);
                ensure!(justified, "the server did not say that this token is invalid");
                ensure!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
                "invalid token"
            }
            (403, Access::Closed, _) => "not exposed",
            (403, Access::Protected { scope }, Credentials::Token(token)) => {
                let is_active = server.statements(token).iter().any(|said| {
                    matches!(said.meaning, Meaning::Active { .. })
                        && (said.step == self.step || host.now() < said.usable_until(&sent.bounds))
                });
                ensure!(is_active && !has_scope(server.tokens[token].scope, scope), "it has the scope");
                ensure!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
                "insufficient scope"
            }
            (500.., _, _) => self.judge_failure(sent, status, host, server)?,
            _ => bail!("nothing justifies this status"),
        };
        self.count(outcome);
        Ok(())
    }

    /// Whether the server said of a token that it is not active, or what is not valid here.
    fn is_invalid(&self, token: usize, sent: &Sent, host: &Host, server: &Server) -> bool {
        let now = host.now();
        server.statements(token).iter().any(|said| match said.meaning {
            Meaning::Inactive => said.step == self.step || now < said.at + sent.bounds.inactive_ttl,
            Meaning::Active { .. } => {
                let counts = said.step == self.step || now < said.usable_until(&sent.bounds);
                let has_expired = said.has_expired(now, sent.bounds.leeway);
                counts && (has_expired || server.tokens[token].is_for_others)
            }
            Meaning::Failure(_) => false,
        })
    }

    /// Whether there is a reason to serve an old answer: the server fails, or is not asked.
    fn is_failing(&self, token: usize, said: &Statement, root: ContextKey, server: &Server) -> bool {
        server.has_failed_since(token, said)
            || server.has_failed_last(root)
            || self.is_refusing
            || self.doubted.contains(&root)
    }

    /// The host may have refused a question.
    fn doubt(&mut self, root: ContextKey) {
        self.doubted.insert(root);
        self.limits.doubt(root);
    }

    /// Whether as many requests wait as may.
    fn is_full(&self, sent: &Sent, root: ContextKey) -> bool {
        self.crowd.iter().filter(|other| **other == root).count() >= sent.bounds.max_waiting
    }

    /// A failure has to be the server's, or due to a limit, or the host's.
    fn judge_failure(
        &mut self,
        sent: &Sent,
        status: u16,
        host: &Host,
        server: &Server,
    ) -> Result<&'static str> {
        if self.is_refusing {
            return Ok("failed with the host");
        }
        let Credentials::Token(token) = sent.credentials else { bail!("a failure about nothing") };
        ensure!(matches!(access(sent), Access::Protected { .. }), "nobody had to be asked");
        let failed = server.statements(token).iter().rev().find_map(|said| match said.meaning {
            Meaning::Failure(status) if said.step == self.step => Some(status),
            _ => None,
        });
        if failed == Some(status) {
            return Ok(if status == 504 { "timed out" } else { "failed with the server" });
        }
        ensure!(status == 503, "the server failed in another way, or not at all");
        let root = host.stream(sent.stream).root();
        let has_failed = server.has_failed_last(root) || self.doubted.contains(&root);
        if sent.bounds.failures > 0 && has_failed {
            return Ok("withheld after failures");
        }
        ensure!(
            self.is_full(sent, root) || self.limits.is_reached(root),
            "no limit is reached, and no failure was seen"
        );
        Ok("withheld by a limit")
    }
}

/// What no log, metric or answer may show.
pub fn is_confidential(text: &str) -> bool {
    ["opaque-", "eyJ", SECRET, "Basic "].iter().any(|mark| text.contains(mark))
}

fn shows_token(headers: &HeaderMap) -> bool {
    headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("opaque-"))
}

fn access(sent: &Sent) -> Access {
    match sent.place {
        Place::Public => Access::Public,
        Place::Orders => Access::Protected { scope: Some("orders:read") },
        Place::Changes => Access::Protected { scope: Some("orders:write") },
        Place::Profile if sent.bounds.is_profile_public => Access::Public,
        Place::Profile => Access::Protected { scope: None },
        Place::Internal => Access::Closed,
    }
}

fn has_scope(scope: &str, required: Option<&str>) -> bool {
    required.is_none_or(|required| scope.split(' ').any(|token| token == required))
}
