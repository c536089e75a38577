//! A story: a host with the filter, what was sent and issued in it, and what must be true at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::deterministic_host::fixture::{SECRET, configuration};
use integration_tests::deterministic_host::{
    Answer, Behaviour, CalloutId, HeaderMap, Host, Request, Setup, State, StreamId,
};
use integration_tests::json::merged;
use integration_tests::jwt;
use serde_json::{Value, json};

pub struct Story {
    pub host: Host,
    pub behaviour: Behaviour,
    /// The JWTs that services may receive.
    issued: BTreeSet<String>,
    /// Requests that may be forwarded without a JWT.
    bare: BTreeSet<StreamId>,
    /// Requests that may still wait at the end.
    waiting: BTreeSet<StreamId>,
    /// Whether the module was stopped, so that waiting requests may wait forever on some hosts.
    is_stopped: bool,
}

impl Story {
    /// A story with one worker and the configuration of [`configured`].
    pub fn new(behaviour: Behaviour, edits: Value) -> Result<Self> {
        Self::set_up(behaviour, |setup| setup.configuration = configured(edits))
    }

    /// A story with one worker and the usual configuration.
    pub fn usual(behaviour: Behaviour) -> Result<Self> {
        Self::new(behaviour, json!({}))
    }

    pub fn set_up(behaviour: Behaviour, change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let mut setup = Setup { behaviour, ..Setup::new(configured(json!({}))) };
        change(&mut setup);
        let host = Host::start(setup)?;
        let (issued, bare, waiting, is_stopped) = Default::default();
        Ok(Self { host, behaviour, issued, bare, waiting, is_stopped })
    }

    /// Sends a request to the first worker.
    pub fn send(&mut self, request: &Request) -> Result<StreamId> {
        self.send_to(0, request)
    }

    pub fn send_to(&mut self, worker: usize, request: &Request) -> Result<StreamId> {
        self.host.request(worker, request)
    }

    /// Sends a request with an opaque token, and ends all open callouts with this answer.
    pub fn ask(&mut self, request: &Request, answer: Answer) -> Result<StreamId> {
        let id = self.send(request)?;
        self.answer(answer)?;
        Ok(id)
    }

    /// Sends a request, and answers all open callouts that its token is active.
    pub fn ask_active(&mut self, request: &Request) -> Result<StreamId> {
        let active = self.active(json!({}));
        self.ask(request, active)
    }

    /// Sends a request whose token is active, and returns the JWT with which it is forwarded.
    pub fn serves(&mut self, request: &Request) -> Result<String> {
        let id = self.ask_active(request)?;
        self.passes(id)
    }

    /// Sends a request, and returns the JWT with which it is forwarded immediately.
    pub fn passes_at_once(&mut self, request: &Request) -> Result<String> {
        let id = self.send(request)?;
        self.passes(id)
    }

    /// Sends a request that is refused like this immediately.
    pub fn refuses(&mut self, request: &Request, status: u16, challenge: &str) -> Result<()> {
        let id = self.send(request)?;
        self.refused(id, status, challenge)
    }

    /// Sends a request that is refused like this once all open callouts end with this answer.
    pub fn refuses_after(
        &mut self,
        request: &Request,
        answer: Answer,
        status: u16,
        challenge: &str,
    ) -> Result<()> {
        let id = self.ask(request, answer)?;
        self.refused(id, status, challenge)
    }

    /// Answers all open callouts that their tokens are active.
    pub fn answer_active(&mut self) -> Result<()> {
        let active = self.active(json!({}));
        self.answer(active)
    }

    /// Ends all open callouts with this answer.
    pub fn answer(&mut self, answer: Answer) -> Result<()> {
        self.host.answer_all(&answer)
    }

    /// Returns the only open callout.
    pub fn question(&self) -> Result<CalloutId> {
        let open = self.host.open_callouts();
        let [question] = open[..] else { bail!("{} questions are open", open.len()) };
        Ok(question)
    }

    /// The number of callouts so far.
    pub fn questions(&self) -> usize {
        self.host.callouts().count()
    }

    /// Returns a JWT of the server, issued now, with these edits of the usual claims. Services may receive it.
    pub fn jwt(&mut self, edits: Value) -> String {
        let claims = self.claims(edits);
        self.issue(jwt::with_claims(&claims))
    }

    /// Returns the answer with such a JWT.
    pub fn active(&mut self, edits: Value) -> Answer {
        Answer::jwt(&self.jwt(edits))
    }

    /// Records a JWT that services may receive.
    pub fn issue(&mut self, jwt: String) -> String {
        self.issued.insert(jwt.clone());
        jwt
    }

    pub fn claims(&self, edits: Value) -> Value {
        merged(&self.host.claims(json!({"jti": self.questions().to_string()})), edits)
    }

    pub fn wait(&mut self, seconds: u64) {
        self.host.advance(Duration::from_secs(seconds));
    }

    /// Allows a request to be forwarded without a JWT, for a reason that the scenario gives.
    pub fn goes_on_bare(&mut self, id: StreamId) -> Result<()> {
        let headers = self.forwarded(id)?;
        ensure!(!headers.has_value("authorization"), "it goes on with credentials: {headers:?}");
        self.bare.insert(id);
        Ok(())
    }

    /// Allows a request to wait at the end, for a reason that the scenario gives.
    pub fn waits(&mut self, id: StreamId) -> Result<()> {
        ensure!(*self.host.stream(id).state() == State::Paused, "{:?}", self.host.stream(id).state());
        self.waiting.insert(id);
        Ok(())
    }

    /// Allows requests to wait forever where the host did not resume them when the module was stopped.
    pub fn judged_but_for_what_was_stopped(self) -> Self {
        Self { is_stopped: true, ..self }
    }

    /// Returns the header fields that services received.
    pub fn forwarded(&self, id: StreamId) -> Result<HeaderMap> {
        match self.host.stream(id).state() {
            State::Forwarded { headers } => Ok(headers.clone()),
            other => bail!("not forwarded: {other:?}\n{}", self.host.log().join("\n")),
        }
    }

    /// Returns the JWT with which a request was forwarded.
    pub fn passes(&self, id: StreamId) -> Result<String> {
        let headers = self.forwarded(id)?;
        let jwt = headers.text("authorization").strip_prefix("Bearer ");
        Ok(jwt.context("no JWT went on")?.to_owned())
    }

    /// Checks that a request was refused with this status and a challenge that contains this.
    pub fn refused(&self, id: StreamId, status: u16, challenge: &str) -> Result<()> {
        let State::Replied { status: got, headers, .. } = self.host.stream(id).state().clone() else {
            bail!("not refused: {:?}", self.host.stream(id).state())
        };
        ensure!(got == status, "{got} instead of {status}");
        let got = headers.text("www-authenticate");
        ensure!(got.contains(challenge), "the challenge is {got}, without {challenge}");
        Ok(())
    }

    /// Returns what is expected of the simulated host.
    pub fn on<T>(&self, envoy: T, ngx: T) -> T {
        match self.behaviour {
            Behaviour::Envoy => envoy,
            Behaviour::NgxWasm => ngx,
        }
    }

    /// Checks what must be true, whatever happened.
    pub fn judge(&self) -> Result<()> {
        for id in &self.host.streams().collect::<Vec<_>>() {
            let stream = self.host.stream(*id);
            match stream.state() {
                State::Forwarded { headers } => self.judge_forwarded(*id, headers)?,
                State::Replied { headers, body, .. } => {
                    ensure!(!is_confidential(body) && !has_confidential(headers), "an answer shows a secret");
                }
                State::Paused => {
                    let may_wait = self.waiting.contains(id) || self.is_stopped;
                    ensure!(may_wait, "{id:?} waits for ever");
                }
                State::Lost => bail!("{id:?} was answered, and its client hears nothing"),
                State::Abandoned => {}
            }
        }
        let log = self.host.log();
        ensure!(!log.iter().any(|line| is_confidential(line)), "the log shows a secret: {log:#?}");
        let violations = self.host.violations();
        ensure!(violations.is_empty(), "{violations:#?}");
        Ok(())
    }

    fn judge_forwarded(&self, id: StreamId, headers: &HeaderMap) -> Result<()> {
        let shows_token = |(_, value): (&str, &[u8])| String::from_utf8_lossy(value).contains("opaque-");
        ensure!(!headers.iter().any(shows_token), "the client's token went on: {headers:?}");
        let is_own = |(name, _): (&str, &[u8])| name.contains("phantom-token");
        ensure!(!headers.iter().any(is_own), "a field for the filter's own use went on: {headers:?}");
        ensure!(headers.count("authorization") <= 1, "credentials went on twice: {headers:?}");
        match headers.text("authorization") {
            "" => ensure!(self.bare.contains(&id), "{id:?} went on without a JWT"),
            value => {
                let jwt = value.strip_prefix("Bearer ").unwrap_or_default();
                ensure!(self.issued.contains(jwt), "what went on was never issued");
            }
        }
        Ok(())
    }
}

/// The usual configuration with these edits, and a verbose log.
pub fn configured(edits: Value) -> Value {
    merged(&configuration(json!({"log_level": "debug"})), edits)
}

fn has_confidential(headers: &HeaderMap) -> bool {
    headers.iter().any(|(_, value)| is_confidential(&String::from_utf8_lossy(value)))
}

fn is_confidential(text: &str) -> bool {
    ["opaque-", "eyJ", SECRET, "Basic "].iter().any(|mark| text.contains(mark))
}

pub const TOKEN: &str = "opaque-1";
