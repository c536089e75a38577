//! One run by chance: what happens is chosen by numbers that a seed decides.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use integration_tests::deterministic_host::{
    Behaviour, CalloutId, Host, Replacement, Request, Setup, State, Status, StreamId,
};
use serde_json::json;

use crate::bounds::{Bounds, SECRET};
use crate::model::{Credentials, Model, Place, Sent, is_confidential};
use crate::server::{Question, Server};

/// A run.
pub struct Schedule {
    rng: Rng,
    host: Host,
    server: Server,
    pub model: Model,
    bounds: Rc<Bounds>,
    /// Requests that went on, and have no answer yet.
    forwarded: Vec<StreamId>,
    /// What has happened, to be read when something is wrong.
    pub trace: Vec<String>,
}

impl Schedule {
    pub fn new(behaviour: Behaviour, seed: u64) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let bounds = Bounds::random(&mut rng);
        let host = Host::start(Setup {
            behaviour,
            workers: WORKERS,
            seed,
            stops_head_only: rng.bool(),
            environment: vec![("INTROSPECTION_CLIENT_SECRET".to_owned(), SECRET.to_owned())],
            ..Setup::new(bounds.configuration())
        })?;
        let mut server = Server::new(behaviour);
        for _ in 0..4 {
            server.add_token(host.now(), &mut rng);
        }
        let trace = vec![format!("{behaviour:?}, {bounds:?}")];
        let (model, bounds) = (Model::new(behaviour, rng.bool()), Rc::new(bounds));
        Ok(Self { rng, host, server, model, bounds, forwarded: Vec::new(), trace })
    }

    /// Does this many steps, and brings all to an end. How many it were.
    pub fn run(&mut self, steps: u64) -> Result<u64> {
        while self.model.step < steps {
            self.step()?;
        }
        self.finish()?;
        Ok(self.model.step)
    }

    fn step(&mut self) -> Result<()> {
        self.model.begin(&self.host);
        match self.rng.u8(..100) {
            0..46 => self.send()?,
            46..68 => self.answer_any()?,
            68..78 => return self.let_time_pass(),
            78..83 => self.tick()?,
            83..89 => self.disconnect()?,
            89..92 => self.respond()?,
            92 => self.revoke(),
            93 => self.server.add_token(self.host.now(), &mut self.rng),
            94 => self.refuse(),
            95 => self.conflict(),
            96..98 => self.relent(),
            98 => self.send_body()?,
            _ => self.reconfigure()?,
        }
        self.judge()
    }

    fn judge(&mut self) -> Result<()> {
        self.model.judge(&self.host, &self.server)
    }

    fn send(&mut self) -> Result<()> {
        let worker = self.rng.usize(..WORKERS);
        let (place, path) = [
            (Place::Orders, "/orders"),
            (Place::Orders, "/orders/17?full=true"),
            (Place::Orders, "/orders"),
            (Place::Changes, "/orders"),
            (Place::Profile, "/profile"),
            (Place::Public, "/public/index.html"),
            (Place::Internal, "/internal"),
        ][self.rng.usize(..7)];
        let request = if place == Place::Changes { Request::post(path) } else { Request::get(path) };
        let (credentials, request) = self.credentials(request);
        let request = match self.rng.u8(..8) {
            0 => request.header("x-user", "admin").header("X_User", "admin"),
            _ => request,
        };
        self.trace.push(format!("worker {worker}: {place:?} with {credentials:?}"));
        let stream = self.host.request(worker, &request)?;
        let (bounds, step) = (Rc::clone(&self.bounds), self.model.step);
        let generation = self.model.generation;
        self.model.sent(Sent { stream, worker, place, credentials, bounds, step, generation }, &self.host);
        let is_forwarded = matches!(self.host.stream(stream).state(), State::Forwarded { .. });
        if is_forwarded {
            self.forwarded.push(stream);
        }
        Ok(())
    }

    /// The newest tokens are asked about most.
    fn credentials(&mut self, request: Request) -> (Credentials, Request) {
        match self.rng.u8(..16) {
            0 => (Credentials::None, request),
            1 => (Credentials::Basic, request.header("authorization", "Basic b3BhcXVlOnNlY3JldA==")),
            2 => {
                let fields =
                    ["Bearer", "Bearer opaque-1 opaque-2", "Bearer opaque-1,opaque-2", "Bearer\topaque-1"];
                let field = fields[self.rng.usize(..fields.len())];
                (Credentials::Malformed, request.header("authorization", field))
            }
            3 => {
                let syntax = [&b"Bearer opaque-{}"[..], b"Bearer opaque-\xff", b"Bearer opaque-\"x\""];
                (
                    Credentials::BadSyntax,
                    request.header("authorization", syntax[self.rng.usize(..syntax.len())]),
                )
            }
            _ => {
                let age = self.rng.usize(..4).min(self.rng.usize(..4));
                let number = self.server.tokens.len() - 1 - age;
                (Credentials::Token(number), request.bearer(&self.server.tokens[number].text))
            }
        }
    }

    fn answer_any(&mut self) -> Result<()> {
        let open = self.host.open_callouts();
        match self.rng.choice(open) {
            Some(id) => self.answer(id),
            None => Ok(()),
        }
    }

    fn answer(&mut self, id: CalloutId) -> Result<()> {
        let question = self.question(id)?;
        let answer = self.server.answer(question, &mut self.rng);
        self.trace.push(format!("answer: {question:?}, {:?}", self.server.statements(question.token).last()));
        self.host.answer(id, answer)?;
        self.note_forwarded();
        Ok(())
    }

    fn time_out(&mut self, id: CalloutId) -> Result<()> {
        let question = self.question(id)?;
        self.trace.push(format!("no answer: {question:?}"));
        let answer = self.server.time_out(question);
        self.host.answer(id, answer)
    }

    fn question(&self, id: CalloutId) -> Result<Question> {
        let callout = self.host.callout(id);
        let token = self.server.find(&callout.parameter("token"));
        let token = token.context("a question about what nobody presented")?;
        let (step, now) = (self.model.step, self.host.now());
        let (worker, root) = (callout.worker, callout.root());
        let is_heard = self.host.is_alive(callout.owner()) && !self.host.is_refusing();
        Ok(Question { token, step, worker, root, is_heard, now })
    }

    /// Mostly, the host notices at once which answers have not come in time.
    fn let_time_pass(&mut self) -> Result<()> {
        let milliseconds =
            [1, 5, 10, 50, 100, 200, 500, 999, 1000, 2000, 3000, 10_000, 60_000, 300_000, 36_000_000];
        let longest = self.rng.usize(..milliseconds.len());
        let duration = Duration::from_millis(milliseconds[self.rng.usize(..=longest)]);
        self.trace.push(format!("{duration:?} pass"));
        self.host.advance(duration);
        self.judge()?;
        if self.rng.u8(..4) == 0 {
            return Ok(());
        }
        for id in self.host.open_callouts() {
            let is_overdue =
                self.host.callout(id).is_open() && self.host.callout(id).due() <= self.host.now();
            if is_overdue {
                self.model.begin(&self.host);
                self.time_out(id)?;
                self.judge()?;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        self.trace.push("tick".to_owned());
        self.host.tick()?;
        self.note_forwarded();
        Ok(())
    }

    /// Mostly, one leaves that waits, and often the one that has waited longest: others may wait along with it.
    fn disconnect(&mut self) -> Result<()> {
        let waiting: Vec<StreamId> = self.model.waiting().map(|sent| sent.stream).collect();
        let from = if self.rng.u8(..4) == 0 { self.forwarded.clone() } else { waiting };
        let first = from.first().copied().filter(|_| self.rng.bool());
        let Some(id) = first.or_else(|| self.rng.choice(from)) else { return Ok(()) };
        let root = self.host.stream(id).root();
        let is_asking =
            self.host.open_callouts().iter().any(|callout| self.host.callout(*callout).root() == root);
        if is_asking && self.model.waiting().len() > 1 {
            self.model.count("left while others waited");
        }
        self.trace.push(format!("{id:?} leaves"));
        self.forwarded.retain(|other| *other != id);
        self.host.disconnect(id)
    }

    fn respond(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.forwarded) {
            self.host.respond(id, 200, &[("content-type", "text/plain")])?;
        }
        Ok(())
    }

    fn revoke(&mut self) {
        let number = self.rng.usize(..self.server.tokens.len());
        self.trace.push(format!("{number} is revoked"));
        let now = self.host.now();
        self.server.tokens[number].revoked.get_or_insert(now);
    }

    fn refuse(&mut self) {
        let function = REFUSABLE[self.rng.usize(..REFUSABLE.len())];
        let times = self.rng.u32(1..4);
        let status = [Status::InternalFailure, Status::BadArgument][self.rng.usize(..2)];
        if function.ends_with("_shared_data") && !self.model.loses_writes {
            return;
        }
        self.trace.push(format!("{function} is refused {times} times"));
        self.host.refuse(function, status, times);
    }

    fn conflict(&mut self) {
        if self.model.loses_writes {
            self.host.conflict(self.rng.u32(1..4));
        }
    }

    fn relent(&mut self) {
        self.trace.push("nothing is refused any more".to_owned());
        self.host.relent();
    }

    fn send_body(&mut self) -> Result<()> {
        let waiting: Vec<StreamId> = self.model.waiting().map(|sent| sent.stream).collect();
        match self.rng.choice(waiting) {
            Some(id) => self.host.body(id, self.rng.usize(..2000), self.rng.bool()),
            None => Ok(()),
        }
    }

    fn reconfigure(&mut self) -> Result<()> {
        self.relent();
        let bounds = Bounds::random(&mut self.rng);
        let mut configuration = bounds.configuration();
        let is_wrong = self.rng.u8(..3) == 0;
        if is_wrong {
            configuration["rules"] = json!([]);
        }
        let replacement = if self.rng.bool() { Replacement::RootContext } else { Replacement::Vm };
        self.trace.push(format!("{replacement:?}, wrong: {is_wrong}, {bounds:?}"));
        let is_taken = self.host.reconfigure(&configuration, replacement)?;
        ensure!(is_taken != is_wrong, "the configuration was {}", if is_taken { "taken" } else { "refused" });
        if is_taken {
            self.bounds = Rc::new(bounds);
            self.model.generation += 1;
        }
        self.model.count(if is_taken { "reconfigured" } else { "configuration refused" });
        Ok(())
    }

    fn note_forwarded(&mut self) {
        let streams: Vec<StreamId> = self.model.waiting().map(|sent| sent.stream).collect();
        let is_forwarded = |id: &StreamId| matches!(self.host.stream(*id).state(), State::Forwarded { .. });
        self.forwarded.extend(streams.into_iter().filter(is_forwarded));
    }

    /// All answers and ticks come: nobody may be left waiting.
    fn finish(&mut self) -> Result<()> {
        self.relent();
        for _ in 0..MAX_ROUNDS {
            for id in self.host.open_callouts() {
                // The answer before may have ended this one as well.
                if self.host.callout(id).is_open() {
                    self.model.begin(&self.host);
                    self.answer(id)?;
                    self.judge()?;
                }
            }
            self.model.begin(&self.host);
            self.host.advance(Duration::from_millis(10));
            self.tick()?;
            self.judge()?;
            if self.host.open_callouts().is_empty() && self.model.waiting().len() == 0 {
                break;
            }
        }
        ensure!(self.model.waiting().len() == 0, "requests wait though all is answered");
        let log = self.host.take_log();
        let shown = log.iter().find(|line| is_confidential(line));
        ensure!(shown.is_none(), "the log shows a token or a secret: {shown:?}");
        let names = self.host.metric_names();
        ensure!(!names.iter().any(|name| is_confidential(name)), "a metric shows a token");
        self.respond()
    }
}

const WORKERS: usize = 2;
const MAX_ROUNDS: usize = 50;

/// What the host may refuse, now and then. Without a timer or an answer to a client nothing can come to an end, and the SDK relies
/// on the rest.
const REFUSABLE: &[&str] = &[
    "proxy_http_call",
    "proxy_http_call",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_get_buffer_bytes",
    "proxy_get_shared_data",
    "proxy_set_shared_data",
    "proxy_increment_metric",
    "proxy_continue_stream",
];
