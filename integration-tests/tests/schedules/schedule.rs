//! One random run: a seed determines the numbers that select what happens.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use integration_tests::deterministic_host::{
    Behaviour, CalloutId, Host, Replacement, Request, Setup, State, Status, StreamId,
};
use serde_json::json;

use crate::bounds::{Bounds, NONCE_SECRET, NONCE_SECRET_NAME, SECRET};
use crate::format::Format;
use crate::model::Model;
use crate::proofs::KEYS;
use crate::published_keys::{KEYS_PATH, Recipient};
use crate::sent::{Credentials, PATHS, Place, Sent};
use crate::server::{Question, Server};

pub struct Schedule {
    rng: Rng,
    host: Host,
    server: Server,
    pub model: Model,
    bounds: Rc<Bounds>,
    /// Requests that were forwarded and have no response yet.
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
            environment: [("INTROSPECTION_CLIENT_SECRET", SECRET), (NONCE_SECRET_NAME, NONCE_SECRET)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            ..Setup::new(bounds.configuration())
        })?;
        let server = Server::new(behaviour);
        let trace = vec![format!("{behaviour:?}, {bounds:?}")];
        let (model, bounds) = (Model::new(behaviour, rng.bool()), Rc::new(bounds));
        let mut new = Self { rng, host, server, model, bounds, forwarded: Vec::new(), trace };
        new.note_configured();
        for _ in 0..4 {
            new.add_token();
        }
        Ok(new)
    }

    /// Runs this many steps, and then ends everything. Returns the number of steps.
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
            89..91 => self.respond()?,
            91 if self.bounds.keys.is_some() && self.rng.bool() => self.change_keys(),
            91 => self.revoke(),
            92 if self.bounds.keys.is_some() => self.change_keys(),
            92 => self.add_token(),
            93 => self.refuse(),
            94 => self.conflict(),
            95..97 => self.relent(),
            97 => self.send_body()?,
            98 => self.have_bad_luck()?,
            _ => self.reconfigure()?,
        }
        self.judge()
    }

    /// Does what happens rarely, or only in some configurations.
    fn have_bad_luck(&mut self) -> Result<()> {
        match self.rng.u8(..8) {
            0 | 1 => self.flood()?,
            2 | 3 => self.disconnect_all()?,
            4 => self.set_clock_back(),
            _ => self.change_keys(),
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<()> {
        self.model.judge(&self.host, &self.server)
    }

    fn send(&mut self) -> Result<()> {
        let worker = self.rng.usize(..WORKERS);
        let mut target = PATHS[self.rng.usize(..PATHS.len())];
        let mut credentials = self.credentials();
        if let Credentials::Dpop(token, _) = credentials {
            let proof = match self.rng.u8(..16) {
                // Replays an earlier proof, by the same client or by an eavesdropper.
                0..5 => self.model.proofs.recent(&mut self.rng),
                5 => None,
                _ => Some(self.prove(target, token)),
            };
            if let Some(proof) = proof {
                let made = self.model.proofs.get(proof);
                target = (made.place, made.path);
                credentials = Credentials::Dpop(made.token, Some(proof));
            }
        }
        self.send_to(worker, target, credentials)
    }

    fn send_to(&mut self, worker: usize, target: (Place, &str), credentials: Credentials) -> Result<()> {
        let (place, path) = target;
        let request = if place == Place::Changes { Request::post(path) } else { Request::get(path) };
        let request = self.present(credentials, request);
        let request = match self.rng.u8(..8) {
            0 => request.header("x-user", "admin").header("X_User", "admin").header("x-answer", "answer-0-0"),
            _ => request,
        };
        self.trace.push(format!("worker {worker}: {place:?} with {credentials:?}"));
        let token = credentials.token();
        let joined = self.model.waiting().filter(|other| {
            other.worker == worker
                && other.generation == self.model.generation
                && token.is_some()
                && other.credentials.token() == token
        });
        let since = joined.map(|other| other.since).min().unwrap_or(self.model.step);
        let stream = self.host.request(worker, &request)?;
        let sent = Sent {
            stream,
            worker,
            place,
            credentials,
            bounds: Rc::clone(&self.bounds),
            step: self.model.step,
            since,
            at: self.host.now(),
            generation: self.model.generation,
        };
        self.model.sent(sent, &self.host);
        let is_forwarded = matches!(self.host.stream(stream).state(), State::Forwarded { .. });
        if is_forwarded {
            self.forwarded.push(stream);
        }
        Ok(())
    }

    /// Returns random credentials. The newest tokens are presented most, and bound ones mostly with a proof.
    fn credentials(&mut self) -> Credentials {
        match self.rng.u8(..24) {
            0 => Credentials::None,
            1 => Credentials::Basic,
            2 => Credentials::Malformed,
            3 => Credentials::BadSyntax,
            _ => {
                let age = self.rng.usize(..4).min(self.rng.usize(..4));
                let token = self.server.issued[self.server.issued.len() - 1 - age];
                let is_bound = self.server.tokens[token].binding.is_some();
                let has_proof = self.rng.u8(..16) < if is_bound { 14 } else { 1 };
                if has_proof { Credentials::Dpop(token, None) } else { Credentials::Bearer(token) }
            }
        }
    }

    fn present(&mut self, credentials: Credentials, request: Request) -> Request {
        const MALFORMED: [&str; 4] =
            ["Bearer", "Bearer opaque-1 opaque-2", "Bearer opaque-1,opaque-2", "Bearer\topaque-1"];
        const BAD_SYNTAX: [&[u8]; 3] = [b"Bearer opaque-{}", b"Bearer opaque-\xff", b"Bearer opaque-\"x\""];
        match credentials {
            Credentials::None => request,
            Credentials::Basic => request.header("authorization", "Basic b3BhcXVlOnNlY3JldA=="),
            Credentials::Malformed => {
                request.header("authorization", MALFORMED[self.rng.usize(..MALFORMED.len())])
            }
            Credentials::BadSyntax => {
                request.header("authorization", BAD_SYNTAX[self.rng.usize(..BAD_SYNTAX.len())])
            }
            Credentials::Bearer(token) => request.bearer(&self.server.tokens[token].text),
            Credentials::Dpop(token, proof) => {
                let text = &self.server.tokens[token].text;
                let request = request.header("authorization", format!("DPoP {text}"));
                match proof {
                    Some(proof) => request.header("dpop", &self.model.proofs.get(proof).text),
                    None => request,
                }
            }
        }
    }

    fn prove(&mut self, target: (Place, &'static str), token: usize) -> usize {
        let key = self.server.tokens[token].key();
        let text = self.server.tokens[token].text.clone();
        self.model.proofs.make(target, (token, &text), key, self.host.now(), &mut self.rng)
    }

    fn note_configured(&mut self) {
        if self.bounds.dpop.is_some() {
            self.model.proofs.note_configured(self.host.now());
        }
    }

    /// Adds a token. Where tokens may be bound to a key, most are.
    fn add_token(&mut self) {
        let is_bound = self.bounds.dpop.is_some() && self.rng.u8(..4) != 0;
        let binding = is_bound.then(|| {
            let key = self.rng.usize(..KEYS - 1);
            (key, self.model.proofs.thumbprint(key))
        });
        self.server.add_token(binding, self.host.now(), &mut self.rng);
    }

    /// Sends a flood of invented tokens, each new, without waiting for all replies.
    fn flood(&mut self) -> Result<()> {
        let (worker, count) = (self.rng.usize(..WORKERS), self.rng.usize(1..24));
        for _ in 0..count {
            let token = self.server.make_up_token(&mut self.rng);
            self.send_to(worker, (Place::Orders, "/orders"), Credentials::Bearer(token))?;
            self.judge()?;
            self.model.begin(&self.host);
            if self.rng.u8(..4) == 0 {
                self.disconnect()?;
                self.judge()?;
                self.model.begin(&self.host);
            }
        }
        self.model.count("flooded");
        Ok(())
    }

    /// Disconnects all waiting clients.
    fn disconnect_all(&mut self) -> Result<()> {
        let waiting: Vec<StreamId> = self.model.waiting().map(|sent| sent.stream).collect();
        self.trace.push(format!("all {} leave", waiting.len()));
        for id in waiting {
            self.host.disconnect(id)?;
        }
        self.model.count("all left");
        Ok(())
    }

    /// Sets the host's clock back.
    fn set_clock_back(&mut self) {
        let duration = Duration::from_secs([1, 10, 3600][self.rng.usize(..3)]);
        self.trace.push(format!("the clock goes back by {duration:?}"));
        self.host.set_clock_back(duration);
        self.model.proofs.note_set_back();
        self.model.count("the clock went back");
    }

    fn change_keys(&mut self) {
        let what = self.server.keys.change(&mut self.rng);
        self.trace.push(what);
        self.model.count("keys changed");
    }

    fn answer_any(&mut self) -> Result<()> {
        let mut open = self.host.open_callouts();
        // Keys are fetched rarely, so the fetches are left open for longer: then more requests wait for them.
        if self.rng.u8(..4) != 0 {
            open.retain(|id| self.host.callout(*id).headers.text(":path") != KEYS_PATH);
        }
        match self.rng.choice(open) {
            Some(id) => self.answer(id),
            None => Ok(()),
        }
    }

    fn answer(&mut self, id: CalloutId) -> Result<()> {
        let answer = match self.question(id)? {
            Some(question) => {
                let answer = self.server.answer(question, &mut self.rng);
                let said = self.server.statements(question.token).last();
                self.trace.push(format!("answer: {question:?}, {said:?}"));
                answer
            }
            None => {
                let recipient = self.recipient(id);
                let answer = self.server.keys.answer(recipient, &mut self.rng);
                self.trace.push(format!("keys for {recipient:?}: {}", self.server.keys.last()));
                answer
            }
        };
        self.host.answer(id, answer)?;
        self.note_forwarded();
        Ok(())
    }

    fn time_out(&mut self, id: CalloutId) -> Result<()> {
        let answer = match self.question(id)? {
            Some(question) => {
                self.trace.push(format!("no answer: {question:?}"));
                self.server.time_out(question)
            }
            None => {
                let recipient = self.recipient(id);
                self.trace.push(format!("no keys for {recipient:?}"));
                self.server.keys.time_out(recipient)
            }
        };
        self.host.answer(id, answer)?;
        self.note_forwarded();
        Ok(())
    }

    /// The introspection of a callout. `None` if it fetches keys.
    fn question(&self, id: CalloutId) -> Result<Option<Question>> {
        let callout = self.host.callout(id);
        if callout.headers.text(":path") == KEYS_PATH {
            return Ok(None);
        }
        let token = self.server.find(&callout.parameter("token"));
        let token = token.context("a question about what nobody presented")?;
        let format =
            Format::of(callout.headers.text("accept")).context("an answer in no form is asked for")?;
        let (step, now) = (self.model.step, self.model.now(&self.host));
        let recipient = self.recipient(id);
        let (root, is_received) = (recipient.root, recipient.is_certain());
        let is_verified = self.model.limits.bounds(root).is_some_and(|bounds| bounds.keys.is_some());
        let worker = callout.worker;
        Ok(Some(Question { token, format, is_verified, step, worker, root, is_received, now }))
    }

    /// The recipient of the response to a callout.
    fn recipient(&self, id: CalloutId) -> Recipient {
        let callout = self.host.callout(id);
        Recipient {
            root: callout.root(),
            at: self.model.now(&self.host),
            is_there: self.host.is_alive(callout.owner()),
            is_refusing: self.host.is_refusing(),
        }
    }

    /// Advances the clock. Usually, the host notices immediately which callouts have timed out.
    fn let_time_pass(&mut self) -> Result<()> {
        let milliseconds =
            [1, 5, 10, 50, 100, 200, 500, 999, 1000, 2000, 3000, 10_000, 60_000, 300_000, 36_000_000];
        let longest = self.rng.usize(..milliseconds.len());
        let duration = Duration::from_millis(milliseconds[self.rng.usize(..=longest)]);
        self.trace.push(format!("{duration:?} pass"));
        self.advance(duration);
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

    fn advance(&mut self, duration: Duration) {
        self.host.advance(duration);
        self.model.elapsed += duration;
    }

    fn tick(&mut self) -> Result<()> {
        self.trace.push("tick".to_owned());
        self.host.tick()?;
        self.note_forwarded();
        Ok(())
    }

    /// Disconnects a client, usually one that waits, and often the one that has waited longest: others may share its introspection.
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
        let age = self.rng.usize(..4);
        let number = self.server.issued[self.server.issued.len() - 1 - age];
        self.trace.push(format!("{number} is revoked"));
        let now = self.model.now(&self.host);
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
        self.model.loses_counts |= function == "proxy_increment_metric";
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
        let is_wrong = match self.model.behaviour {
            Behaviour::NgxWasm if is_wrong => {
                // In Kong, a configuration with errors is accepted but serves no request until it is fixed.
                ensure!(self.host.reconfigure(&configuration, replacement)?, "it was refused");
                configuration = bounds.configuration();
                false
            }
            _ => is_wrong,
        };
        let is_taken = self.host.reconfigure(&configuration, replacement)?;
        ensure!(is_taken != is_wrong, "the configuration was {}", if is_taken { "taken" } else { "refused" });
        if is_taken {
            self.bounds = Rc::new(bounds);
            self.model.generation += 1;
            self.note_configured();
            if self.bounds.dpop.is_some() {
                (0..2).for_each(|_| self.add_token());
            }
        }
        self.model.count(if is_taken { "reconfigured" } else { "configuration refused" });
        Ok(())
    }

    fn note_forwarded(&mut self) {
        let streams: Vec<StreamId> = self.model.waiting().map(|sent| sent.stream).collect();
        let is_forwarded = |id: &StreamId| matches!(self.host.stream(*id).state(), State::Forwarded { .. });
        self.forwarded.extend(streams.into_iter().filter(is_forwarded));
    }

    /// Answers all callouts and fires all timers: no request may be left waiting.
    fn finish(&mut self) -> Result<()> {
        self.relent();
        for _ in 0..MAX_ROUNDS {
            for id in self.host.open_callouts() {
                // The answer before may have ended this callout as well.
                if self.host.callout(id).is_open() {
                    self.model.begin(&self.host);
                    self.answer(id)?;
                    self.judge()?;
                }
            }
            self.model.begin(&self.host);
            self.advance(Duration::from_millis(TICK));
            self.tick()?;
            self.judge()?;
            if self.host.open_callouts().is_empty() && self.model.waiting().len() == 0 {
                break;
            }
        }
        self.model.judge_end(&self.host)?;
        self.respond()
    }
}

const WORKERS: usize = 2;
const MAX_ROUNDS: usize = 50;

/// Long enough for all timers to be due, in milliseconds.
const TICK: u64 = 60;

/// The calls that the host may sometimes refuse. Without timers or replies nothing could end, and the SDK relies on the other functions.
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
