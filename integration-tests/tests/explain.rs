//! `phantom-token explain` reports what the filter does: both process the same requests with the same results.

#[path = "explain/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use integration_tests::deterministic_host::{Answer, Callout, Host, Request, Setup, State};
use integration_tests::{jwt, paths};
use phantom_token_cli::explain::{Explanation, Input, WrittenRequest, explain};
use phantom_token_core::Timestamp;
use phantom_token_core::driver;
use serde_json::{Map, Value, json};

/// The result of a request, in the command or in the filter.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Forwarded { fields: Vec<(String, String)>, state: BTreeMap<String, String> },
    Answered { status: u16, fields: Vec<(String, String)>, body: String },
    Waiting,
}

/// If this failed, `explain` would not report what clients and services see.
#[test]
fn ten_thousand_requests_are_explained_as_they_are_decided() -> Result<()> {
    let mut tally = BTreeMap::<&'static str, u32>::new();
    for seed in 0..CONFIGURATIONS {
        let mut rng = Rng::with_seed(seed);
        let configuration = random::configuration(&mut rng);
        let mut host = Host::start(Setup { seed, ..Setup::new(configuration.clone()) })?;
        for number in 0..REQUESTS {
            let (request, claims) = random::request(&mut rng, host.now());
            let input = Input {
                request,
                claims: claims.clone(),
                is_jwt: false,
                proves_possession: false,
                now: Timestamp::from_millis(u64::try_from(host.now().as_millis())?),
            };
            let explanation = explain(&configuration.to_string(), None, input).map_err(anyhow::Error::msg)?;
            let explained = explained(&explanation);
            let decided =
                decided(&mut host, &explanation.request, claims, configuration.get("keys").is_some())?;
            *tally.entry(kind(&decided)).or_default() += 1;
            ensure!(
                explained == decided,
                "seed {seed}, request {number}: {:?}\nexplained: {explained:#?}\ndecided: {decided:#?}\n{configuration:#}",
                explanation.request,
            );
            host.advance(Duration::from_secs(1));
        }
        ensure!(host.violations().is_empty(), "{:?}", host.violations());
    }
    println!("{tally:#?}");
    for (kind, least) in
        [("forwarded", 500), ("changed", 150), ("400", 500), ("401", 500), ("403", 500), ("waiting", 100)]
    {
        let count = tally.get(kind).copied().unwrap_or_default();
        ensure!(count >= least, "{kind}: seen {count} times, which shows nothing: {tally:#?}");
    }
    Ok(())
}

/// If this failed, the playground would not show what the command reports and the filter does.
#[test]
fn r250_the_playground_explains_a_thousand_requests_as_the_command_does() -> Result<()> {
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for seed in 0..CONFIGURATIONS {
        let mut rng = Rng::with_seed(seed);
        let configuration = random::configuration(&mut rng);
        for number in 0..REQUESTS / 10 {
            let now = Duration::from_secs(1_767_225_600 + number);
            let (request, claims) = random::request(&mut rng, now);
            let Some(written) = written(&request) else { continue };
            let (is_jwt, proves_possession) = (rng.u8(..5) == 0, rng.u8(..5) == 0);
            let now = Timestamp::from_millis(u64::try_from(now.as_millis())?);
            asked.push(json!({
                "configuration": configuration,
                "asked": {
                    "request": written, "claims": claims.as_ref().map(|claims| json!(claims).to_string()),
                    "is_jwt": is_jwt, "proves_possession": proves_possession, "now": now.as_millis(),
                },
            }));
            let input = Input { request, claims, is_jwt, proves_possession, now };
            let explanation = explain(&configuration.to_string(), None, input).map_err(anyhow::Error::msg)?;
            expected.push(explanation.to_json());
        }
    }
    let answers = playground(&asked)?;
    ensure!(answers.len() == asked.len(), "{} answers to {} questions", answers.len(), asked.len());
    let mut outcomes = BTreeMap::<String, u32>::new();
    for ((asked, expected), answer) in asked.iter().zip(&expected).zip(&answers) {
        ensure!(
            answer["explanation"] == *expected,
            "{asked:#}\nplayground: {answer:#}\ncommand: {expected:#}"
        );
        *outcomes.entry(expected["outcome"].to_string()).or_default() += 1;
    }
    ensure!(asked.len() > 900 && outcomes.values().filter(|count| **count > 20).count() > 2, "{outcomes:?}");
    Ok(())
}

/// Returns the request as a user would write it. `None` if that is impossible.
fn written(request: &driver::Request) -> Option<Value> {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
    let pseudo =
        |name: &str| request.fields.iter().find(|(own, _)| own == name).and_then(|(_, value)| text(value));
    let fields = request.fields.iter().filter(|(name, _)| !name.starts_with(':'));
    let headers: Option<Vec<String>> =
        fields.map(|(name, value)| Some(format!("{name}: {}", text(value)?))).collect();
    let url = format!("{}://{}{}", pseudo(":scheme")?, pseudo(":authority")?, pseudo(":path")?);
    let written = WrittenRequest {
        method: pseudo(":method")?,
        url: url.clone(),
        headers: headers?,
        route: None,
        peer: None,
        certificate: None,
    };
    let read = written.clone().read().ok()?;
    (read.fields == request.fields)
        .then(|| json!({"method": written.method, "url": url, "headers": written.headers}))
}

/// Returns the responses of the playground's module, in Node.js.
fn playground(asked: &[Value]) -> Result<Vec<Value>> {
    let (_, core) = paths::playground()?;
    let mut node = Command::new("node")
        .arg(paths::root().join("integration-tests/playground/explain.mjs"))
        .arg(core)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = node.stdin.take().context("no input")?;
    let lines: String = asked.iter().map(|asked| format!("{asked}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = node.wait_with_output()?;
    writer.join().ok().context("the writer panicked")??;
    ensure!(output.status.success(), "the playground's module failed");
    Ok(String::from_utf8(output.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Forwarded { fields, .. } if fields.iter().any(|(_, value)| value.contains("JWT of")) => {
            "changed"
        }
        Outcome::Forwarded { .. } => "forwarded",
        Outcome::Answered { status: 400, .. } => "400",
        Outcome::Answered { status: 401, .. } => "401",
        Outcome::Answered { status: 403, .. } => "403",
        Outcome::Answered { .. } => "another status",
        Outcome::Waiting => "waiting",
    }
}

fn explained(explanation: &Explanation) -> Outcome {
    match &explanation.outcome {
        driver::Outcome::Waiting => Outcome::Waiting,
        driver::Outcome::Answered(reply) => Outcome::Answered {
            status: reply.status,
            fields: sorted(reply.headers.iter().map(|(name, value)| (*name, value.as_bytes()))),
            body: reply.body.clone(),
        },
        driver::Outcome::Forwarded { fields, filter_state: state, .. } => Outcome::Forwarded {
            fields: sorted(fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))),
            state: state.iter().cloned().collect(),
        },
    }
}

fn decided(
    host: &mut Host,
    request: &driver::Request,
    claims: Option<Map<String, Value>>,
    is_verified: bool,
) -> Result<Outcome> {
    let fields = request.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let id = host.request(0, &Request::of(fields))?;
    for callout in host.open_callouts() {
        let Some(claims) = &claims else {
            host.disconnect(id)?;
            host.answer(callout, Answer::response(204, "", ""))?;
            return Ok(Outcome::Waiting);
        };
        let answer = answer(&host.callout(callout), claims, is_verified)?;
        host.answer(callout, answer)?;
    }
    let stream = host.stream(id);
    Ok(match stream.state() {
        State::Forwarded { headers } => {
            let state = STATE.iter().filter_map(|name| Some((*name, stream.property(name)?)));
            let text =
                |(name, value): (&str, &[u8])| (name.to_owned(), String::from_utf8_lossy(value).into_owned());
            Outcome::Forwarded { fields: sorted(headers.iter()), state: state.map(text).collect() }
        }
        State::Replied { status, headers, body } => Outcome::Answered {
            status: *status,
            fields: sorted(headers.iter().filter(|(name, _)| *name != ":status")),
            body: body.clone(),
        },
        State::Paused | State::Lost | State::Abandoned => anyhow::bail!("the filter left a request waiting"),
    })
}

/// Returns the response of a server that has these claims for a token, in the requested format.
fn answer(callout: &Callout, claims: &Map<String, Value>, is_verified: bool) -> Result<Answer> {
    let mut carried = claims.clone();
    carried.retain(|name, _| name != "active");
    let header = json!({"alg": "ES256", "typ": "at+jwt"});
    let jwt = match is_verified {
        true => jwt::signed(&header, &Value::Object(carried)),
        false => format!("{}.{}.c2lnbmF0dXJl", jwt::encoded(&header), jwt::encoded(&Value::Object(carried))),
    };
    if claims.get("active") == Some(&json!(false)) {
        return Ok(Answer::response(200, "application/json", r#"{"active":false}"#));
    }
    match callout.headers.text("accept") {
        "application/jwt" => Ok(Answer::jwt(&jwt)),
        "application/json" => {
            let mut body = claims.clone();
            if !claims.contains_key("active") {
                let token_type = if claims.contains_key("cnf") { "DPoP" } else { "Bearer" };
                body.extend([
                    ("active".to_owned(), json!(true)),
                    ("token_type".to_owned(), json!(token_type)),
                ]);
            }
            body.insert(random::JWT_FIELD.to_owned(), json!(jwt));
            Ok(Answer::response(200, "application/json", Value::Object(body).to_string()))
        }
        other => anyhow::bail!("nobody answers {other}"),
    }
}

/// Sorts the fields, and omits what differs in each JWT.
fn sorted<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_owned(), comparable(value))).collect();
    fields.sort();
    fields
}

fn comparable(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let (scheme, token) = text.split_once(' ').unwrap_or(("", &text));
    match claims_of(token) {
        Ok(claims) => format!("{scheme} JWT of {claims}"),
        Err(_) => text.into_owned(),
    }
}

fn claims_of(token: &str) -> Result<Value> {
    let payload = token.split('.').nth(1).context("no JWT")?;
    let mut claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
    claims.remove("jti");
    Ok(Value::Object(claims))
}

const CONFIGURATIONS: u64 = 100;
const REQUESTS: u64 = 100;

/// The filter state that random configurations set.
const STATE: &[&str] = &["user"];
