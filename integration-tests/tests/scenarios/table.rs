//! The scenarios of `scenarios.yaml`, in the core's own driver and in the deterministic host.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::executor::block_on;
use integration_tests::deterministic_host::{self as simulated, Behaviour, HeaderMap, Host, Setup, State};
use integration_tests::jwt;
use integration_tests::scenario::{Answer, Driver, Scenario, Seen, asked_about};
use phantom_token_core::driver::{self, MemorySharedData, Outcome, Request, Response};
use phantom_token_core::{self as core, NoMetrics, Randomness, Settings, Timestamp};

/// If this failed, the filter in one host, or the command that explains it, would decide differently from the others.
#[test]
fn scenarios_come_out_alike_by_the_core_and_in_the_deterministic_host() -> Result<()> {
    let mut failures = Vec::new();
    for scenario in Scenario::all()? {
        let played = Core::start(&scenario).and_then(|mut core| block_on(scenario.play(&mut core)));
        failures.extend(played.err().map(|error| format!("in the core: {error:#}")));
        for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
            if behaviour == Behaviour::Envoy || scenario.kong {
                let played = Simulated::start(&scenario, behaviour)
                    .and_then(|mut host| block_on(scenario.play(&mut host)).and_then(|()| host.judge()));
                failures.extend(played.err().map(|error| format!("on {behaviour:?}: {error:#}")));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// A server that answers as the scenario says.
#[derive(Default)]
struct Server {
    answers: BTreeMap<String, Answer>,
    asked: RefCell<Vec<String>>,
}

impl Server {
    fn answer(&self, form: &[u8], authorization: Option<&str>) -> Answer {
        let token = asked_about(form, authorization);
        let answer = self.answers.get(&token).cloned().unwrap_or_else(Answer::inactive);
        self.asked.borrow_mut().push(token);
        answer
    }

    fn asked(&self, tokens: &[&str]) -> usize {
        self.asked.borrow().iter().filter(|token| tokens.contains(&token.as_str())).count()
    }
}

struct Core {
    driver: driver::Driver,
    shared_data: MemorySharedData,
    server: Server,
}

impl Core {
    fn start(scenario: &Scenario) -> Result<Self> {
        let configuration = scenario.configuration().to_string();
        let settings = Settings::parse(configuration.as_bytes(), &|_| None);
        let settings = settings.map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let shared_data = MemorySharedData::default();
        let driver = driver::Driver::new(settings, services(&shared_data));
        Ok(Self { driver, shared_data, server: Server::default() })
    }
}

fn services(shared_data: &MemorySharedData) -> core::Host<'_> {
    let now = Timestamp::from_millis(jwt::now() * 1000);
    core::Host { now, shared_data, metrics: &NoMetrics, randomness: &Random }
}

struct Random;

impl Randomness for Random {
    fn bytes(&self) -> Option<[u8; 16]> {
        Some(fastrand::u128(..).to_le_bytes())
    }
}

impl Driver for Core {
    fn now(&self) -> u64 {
        jwt::now()
    }

    fn respond(&mut self, token: &str, answer: Answer) {
        self.server.answers.insert(token.to_owned(), answer);
    }

    async fn send(&mut self, request: Request) -> Result<Seen> {
        let Self { driver, shared_data, server } = self;
        let outcome = driver.process(&request, services(shared_data), &mut |call| {
            let mut headers = call.request.headers();
            let authorization =
                headers.find(|(name, _)| *name == "authorization").map(|(_, value)| value.to_owned());
            let Answer { status, fields, body } =
                server.answer(call.request.body(), authorization.as_deref());
            let fields = fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
            Some(Response::Complete { status, fields, body: body.into_bytes() })
        });
        Ok(match outcome {
            Outcome::Forwarded { fields, .. } => {
                let fields = fields.iter().map(|(name, value)| Seen::field(name, value)).collect();
                Seen { status: None, reason: String::new(), fields, body: String::new() }
            }
            Outcome::Answered(reply) => {
                let reply = reply.for_host(false);
                Seen {
                    status: Some(reply.status),
                    reason: reply.reason.unwrap_or_default().to_owned(),
                    fields: reply
                        .headers
                        .iter()
                        .map(|(name, value)| Seen::field(name, value.as_bytes()))
                        .collect(),
                    body: reply.body,
                }
            }
            Outcome::Waiting => bail!("it waits for a response"),
        })
    }

    fn asked(&self, tokens: &[&str]) -> usize {
        self.server.asked(tokens)
    }
}

struct Simulated {
    host: Host,
    server: Server,
}

impl Simulated {
    fn start(scenario: &Scenario, behaviour: Behaviour) -> Result<Self> {
        let host = Host::start(Setup { behaviour, ..Setup::new(scenario.configuration()) })?;
        Ok(Self { host, server: Server::default() })
    }

    /// The counters of denied requests.
    fn denials(&self) -> BTreeMap<String, u64> {
        let names = self.host.metric_names().into_iter();
        let denials =
            names.filter_map(|name| Some((name.strip_prefix(DENIED)?.to_owned(), self.host.counter(&name))));
        denials.collect()
    }

    fn judge(&self) -> Result<()> {
        let violations = self.host.violations();
        ensure!(violations.is_empty(), "{violations:#?}");
        let log = self.host.log();
        ensure!(!log.iter().any(|line| line.contains("opaque-")), "the log shows a token: {log:#?}");
        Ok(())
    }
}

impl Driver for Simulated {
    fn now(&self) -> u64 {
        self.host.now().as_secs()
    }

    fn respond(&mut self, token: &str, answer: Answer) {
        self.server.answers.insert(token.to_owned(), answer);
    }

    async fn send(&mut self, request: Request) -> Result<Seen> {
        let before = self.denials();
        let fields = request.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let id = self.host.request(0, &simulated::Request::of(fields))?;
        for callout in self.host.open_callouts() {
            let Answer { status, fields, body } = {
                let callout = self.host.callout(callout);
                self.server.answer(&callout.body, Some(callout.headers.text("authorization")))
            };
            let answer = simulated::Answer::response(status, "", body);
            let answer = fields.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
            self.host.answer(callout, answer)?;
        }
        // Counters are reported at the tick.
        self.host.advance(TICK);
        self.host.tick()?;
        let after = self.denials();
        let denied =
            after.iter().find(|(reason, count)| before.get(*reason).copied().unwrap_or_default() < **count);
        let reason = denied.map(|(reason, _)| reason.clone()).unwrap_or_default();
        let all =
            |headers: &HeaderMap| headers.iter().map(|(name, value)| Seen::field(name, value)).collect();
        let stream = self.host.stream(id);
        match stream.state() {
            State::Forwarded { headers } => {
                Ok(Seen { status: None, reason, fields: all(headers), body: String::new() })
            }
            State::Replied { status, headers, body } => {
                Ok(Seen { status: Some(*status), reason, fields: all(headers), body: body.clone() })
            }
            state => bail!("{state:?}: {}", self.host.log().join("\n")),
        }
    }

    fn asked(&self, tokens: &[&str]) -> usize {
        self.server.asked(tokens)
    }
}

const DENIED: &str = "phantom_token_denied.";

const TICK: Duration = Duration::from_millis(50);
