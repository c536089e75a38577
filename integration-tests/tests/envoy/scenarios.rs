//! The scenarios of `scenarios.yaml`, in a real Envoy with a scripted authorization server: a listener for each.

use anyhow::{Result, ensure};
use integration_tests::client::{self, Protocol};
use integration_tests::envoy::Listener;
use integration_tests::json::merged;
use integration_tests::jwt;
use integration_tests::scenario::{Answer, Driver, Scenario, Seen, replaced};
use integration_tests::scripted_server::Response;
use integration_tests::testkit::World;
use phantom_token_core::driver::Request;
use serde_json::json;

/// If this failed, results of the core and the deterministic host would not hold in a proxy.
#[tokio::test]
async fn scenarios_come_out_in_envoy_as_everywhere() -> Result<()> {
    let scenarios = Scenario::all()?;
    let mut world = World::scripted("scenarios")?;
    for (number, scenario) in scenarios.iter().enumerate() {
        let configuration = replaced(scenario.configuration(), &|text| {
            (text == "authorization-server").then(|| json!("scripted-server"))
        });
        let configuration = merged(&configuration, json!({"log_level": "trace"}));
        for stops_head_only in [false, true] {
            let listener = Listener { stops_head_only, ..Listener::default() };
            world = world.listener_of(&name(number, stops_head_only), &configuration, listener);
        }
    }
    let world = world.start().await?;
    let mut failures = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        for (stops_head_only, protocol) in
            [(false, Protocol::Http1), (false, Protocol::Http2), (true, Protocol::Http1)]
        {
            let listener = name(number, stops_head_only);
            let mut envoy = InEnvoy { world: &world, listener, protocol };
            let failed = scenario.play(&mut envoy).await.err();
            failures
                .extend(failed.map(|error| format!("{error:#}, over {protocol:?} at {}", envoy.listener)));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(!world.envoy.log().contains("opaque-"), "a token is in the log");
    Ok(())
}

fn name(number: usize, stops_head_only: bool) -> String {
    format!("{number}{}", if stops_head_only { "-head-only" } else { "" })
}

struct InEnvoy<'w> {
    world: &'w World,
    listener: String,
    protocol: Protocol,
}

impl Driver for InEnvoy<'_> {
    fn now(&self) -> u64 {
        jwt::now()
    }

    fn respond(&mut self, token: &str, answer: Answer) {
        let Answer { status, fields, body } = answer;
        let response = Response::untyped(status, body);
        let response = fields.iter().fold(response, |response, (name, value)| response.header(name, value));
        self.world.scripted.respond(token, response);
    }

    async fn send(&mut self, request: Request) -> Result<Seen> {
        let text = |name: &str| {
            let field = request.fields.iter().find(|(own, _)| own == name);
            field.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        let sent = client::Request::new(text(":method"), text(":path"), Vec::new())
            .header("host", text(":authority"));
        let fields = request.fields.iter().filter(|(name, _)| !name.starts_with(':'));
        let sent = fields.fold(sent, |sent, (name, value)| sent.header(name, value));
        let outcome = self.world.send(sent).at(&self.listener).over(self.protocol).await?;
        let is_forwarded = !outcome.arrived.is_empty();
        let status = outcome.status;
        let outcome = if is_forwarded { outcome.is_served() } else { outcome.went_nowhere() };
        let fields = if is_forwarded { outcome.head() } else { &outcome.answer.headers };
        let fields = fields.iter().map(|(name, value)| Seen::field(name.as_str(), value.as_bytes()));
        let path = is_forwarded.then(|| outcome.json().ok()?["path"].as_str().map(str::to_owned)).flatten();
        Ok(Seen {
            status: (!is_forwarded).then_some(status),
            reason: outcome.reason().to_owned(),
            fields: fields.chain(path.map(|path| (":path".to_owned(), path))).collect(),
            body: if is_forwarded { String::new() } else { outcome.text() },
        })
    }

    fn asked(&self, tokens: &[&str]) -> usize {
        self.world.scripted.asked_about(tokens)
    }
}
