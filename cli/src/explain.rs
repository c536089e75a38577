//! `explain`: which rule decides about a request, what the client receives, and what services receive.

mod exchange;
mod text;
mod written_request;

use phantom_token_core::driver::{Driver, Outcome, Request, borrowed};
use phantom_token_core::{RequestHead, Settings, Timestamp};
use serde_json::{Map, Value, json};

pub use exchange::Exchange;
pub use text::{WrittenRule, text, written_rule};
pub use written_request::WrittenRequest;

use crate::configuration::Configuration;
use crate::environment::Environment;
use crate::http_filters;
use crate::jws;
use crate::local_host::LocalHost;
use crate::simulated_client;
use crate::simulated_server::{JwtProfile, SimulatedServer};

/// A request, and the authorization server's claims about its token.
#[derive(Clone, Debug)]
pub struct Input {
    /// The request.
    pub request: Request,
    /// The claims that the authorization server returns for the token. If `None`, the request has no token, unless a field contains one.
    pub claims: Option<Map<String, Value>>,
    /// Whether the client presents the claims as a JWT.
    pub is_jwt: bool,
    /// Whether the token is bound to a key, and the client proves possession of the key (RFC 9449).
    pub proves_possession: bool,
    /// The time of the request.
    pub now: Timestamp,
}

/// What the filter does with a request.
#[derive(Debug)]
pub struct Explanation {
    /// The request, including the token that stands for the claims.
    pub request: Request,
    /// The indices of the rules that decide; empty if there is no such rule.
    pub rules: Vec<usize>,
    /// The requests to authorization servers, in order.
    pub exchanges: Vec<Exchange>,
    /// All rules, including those generated from `mcp`.
    pub effective_rules: Vec<Value>,
    /// What happens to the request.
    pub outcome: Outcome,
    /// A sentence about what the request lacks, or which other filter decides.
    pub note: Option<String>,
}

/// Runs a request through the filter with the configuration in `text`. `configuration` is where the text was found, if it is from a file.
///
/// # Errors
/// The configuration has errors.
pub fn explain(
    text: &str,
    configuration: Option<&Configuration>,
    input: Input,
) -> Result<Explanation, String> {
    let Input { mut request, mut claims, is_jwt, proves_possession, now } = input;
    if proves_possession {
        claims.iter_mut().for_each(simulated_client::bind);
    }
    let environment = Environment::placeholders(configuration.and_then(Configuration::node));
    let host = configuration.map(Configuration::host).unwrap_or_default();
    let parse = |text: &str| environment.read(text, host);
    let original = parse(text).map_err(|errors| errors.to_string())?;
    let server = claims.map(|claims| SimulatedServer::new(claims, now));
    let written: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut adapted = written.clone();
    server.iter().for_each(|server| server.take_over(&mut adapted));
    let settings = match adapted == written {
        true => original,
        false => parse(&adapted.to_string()).map_err(|errors| errors.to_string())?,
    };
    let local = LocalHost::default();
    let mut driver = Driver::new(settings.clone(), local.at(now));
    let rules = places(&settings, &request);
    if let Some(server) =
        server.as_ref().filter(|_| !driver.engine().presents_credentials(borrowed(&request.fields)))
    {
        let place = place_of_server(&settings, &effective(text), &rules);
        let introspects = settings.servers.get(place).is_none_or(|server| server.introspection.is_some());
        let token =
            if is_jwt || !introspects { server.presented(profile(text, place)) } else { OPAQUE.to_owned() };
        let proof = proves_possession.then(|| simulated_client::prove(&request, &token, now));
        let scheme = if proof.is_some() { "DPoP" } else { "Bearer" };
        request.fields.push(("authorization".to_owned(), format!("{scheme} {token}").into_bytes()));
        request.fields.extend(proof.map(|proof| ("dpop".to_owned(), proof.into_bytes())));
    }
    let mut exchanges = Vec::new();
    let outcome = driver.process(&request, local.at(now), &mut |call| {
        let response = server.as_ref().and_then(|server| server.answer(&call.request, &settings));
        exchanges.push(Exchange::of(&call.request, response.as_ref()));
        response
    });
    // The reply as the client receives it: the filter or the host converts replies for gRPC clients.
    let outcome = match outcome {
        Outcome::Answered(reply) => Outcome::Answered(reply.for_host(false)),
        outcome => outcome,
    };
    let effective_rules = match effective(text).get_mut("rules").map(Value::take) {
        Some(Value::Array(rules)) => rules,
        _ => Vec::new(),
    };
    let mut explanation = Explanation { request, rules, effective_rules, exchanges, outcome, note: None };
    explanation.note = explanation.about_preflight(configuration).or_else(|| explanation.about_call());
    Ok(explanation)
}

/// Whether the request is a CORS preflight (Fetch §3.2.2).
fn is_preflight(request: &Request) -> bool {
    let fields = request.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let head = RequestHead::read(fields);
    head.method == b"OPTIONS" && head.origin.is_some() && head.access_control_request_method.is_some()
}

/// Returns the indices of the rules that decide, even if their conditions are not met. For a preflight from an allowed origin, these are
/// the rules for the request that follows it.
fn places(settings: &Settings, request: &Request) -> Vec<usize> {
    let fields = request.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let route = request.route.as_ref().map(String::as_bytes);
    let named = settings.rules.named_fields(fields.clone());
    let read = RequestHead::read(fields);
    let asked = read.access_control_request_method.filter(|_| {
        let may_call = |origin| settings.cors.allow_origins.iter().any(|own| own.as_bytes() == origin);
        is_preflight(request) && read.origin.is_some_and(may_call)
    });
    let method = asked.unwrap_or(read.method);
    let head = RequestHead { method, route, named: &named, mcp_call: request.mcp_call(), ..read };
    settings.rules.places(&head).unwrap_or_default()
}

/// Returns the index of the server whose tokens these rules accept.
fn place_of_server(settings: &Settings, configuration: &Value, rules: &[usize]) -> usize {
    let name = rules.iter().find_map(|place| {
        configuration.pointer(&format!("/rules/{place}/authorization_server")).and_then(Value::as_str)
    });
    settings
        .servers
        .iter()
        .position(|server| name.is_none() || server.name.as_deref() == name)
        .unwrap_or_default()
}

/// Returns the profile of a server's JWTs. Servers older than RFC 9068 do not mark JWTs as access tokens.
fn profile(text: &str, server: usize) -> JwtProfile {
    let effective = effective(text);
    let of_one = effective.pointer(&format!("/authorization_servers/{server}/token/jwt_profile"));
    match of_one.or(effective.pointer("/token/jwt_profile")).and_then(Value::as_str) {
        None | Some("rfc9068") => JwtProfile::Rfc9068,
        Some(_) => JwtProfile::Older,
    }
}

/// Returns the configuration with the defaults of its profiles and the rules that `mcp` generates.
fn effective(text: &str) -> Value {
    let effective = Settings::effective(text.as_bytes()).ok();
    effective.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

impl Explanation {
    /// Returns a note about the filter that may answer a preflight, or about what its page lacks.
    fn about_preflight(&self, configuration: Option<&Configuration>) -> Option<String> {
        if !is_preflight(&self.request) {
            return None;
        }
        let is_refused = matches!(&self.outcome, Outcome::Answered(reply) if reply.reason.is_some());
        let before = configuration.and_then(http_filters::of_preflights);
        before.or_else(|| is_refused.then(|| NO_CORS.to_owned()))
    }

    /// Returns a note if a rule for this path depends on an MCP client's call, which the input does not specify.
    fn about_call(&self) -> Option<String> {
        let fields = self.request.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        if self.request.mcp_call.is_some() || RequestHead::read(fields).method != b"POST" {
            return None;
        }
        let path_of = |place: &usize| self.effective_rules.get(*place)?.get("path");
        let asks_at = |path: &Value| {
            let asks = |rule: &Value| {
                rule.pointer("/mcp/source").is_some_and(|source| source == "envoy_filter")
                    && rule.get("path") == Some(path)
            };
            self.effective_rules.iter().any(asks)
        };
        self.rules.iter().filter_map(path_of).any(asks_at).then(|| UNREAD_CALL.to_owned())
    }

    /// Returns the explanation as JSON.
    pub fn to_json(&self) -> Value {
        let outcome = match &self.outcome {
            Outcome::Waiting => json!({"outcome": "waiting"}),
            Outcome::Answered(reply) => {
                let headers: Vec<Value> =
                    reply.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                json!({
                    "outcome": if reply.reason.is_some() { "refused" } else { "answered" },
                    "status": reply.status, "reason": reply.reason, "member": reply.member, "headers": headers, "body": reply.body,
                })
            }
            Outcome::Forwarded { filter_state, shadow_denied, .. } => {
                let field = |(name, value): (String, String)| json!({"name": name, "value": value});
                json!({
                    "outcome": "forwarded",
                    "shadow_denied": shadow_denied.map(|reason| reason.name()),
                    "set": self.set().into_iter().map(field).collect::<Vec<_>>(),
                    "removed": self.removed(),
                    "filter_state": filter_state.iter().cloned().map(field).collect::<Vec<_>>(),
                })
            }
        };
        let asked: Vec<Value> = self.exchanges.iter().map(Exchange::to_json).collect();
        let mut explanation = json!({"rules": self.rules, "note": self.note, "asked": asked});
        if let (Value::Object(explanation), Value::Object(outcome)) = (&mut explanation, outcome) {
            explanation.extend(outcome);
        }
        explanation
    }

    /// Returns the fields that services receive and the client did not send with that value, and all fields with JWTs. A JWT is described
    /// by the names of its claims.
    pub fn set(&self) -> Vec<(String, String)> {
        let Outcome::Forwarded { fields, .. } = &self.outcome else { return Vec::new() };
        let described = |field: &(String, Vec<u8>)| {
            let text = String::from_utf8_lossy(&field.1);
            let (scheme, token) = text.rsplit_once(' ').unwrap_or(("", &text));
            let text = match jws::payload(token) {
                Some(claims) => format!("{scheme} [JWT of {}]", jws::names(&claims)).trim_start().to_owned(),
                None if self.request.fields.contains(field) => return None,
                None => text.into_owned(),
            };
            Some((field.0.clone(), text))
        };
        fields.iter().filter_map(described).collect()
    }

    /// Returns the names of the fields that the client sent and services do not receive.
    pub fn removed(&self) -> Vec<String> {
        let Outcome::Forwarded { fields, .. } = &self.outcome else { return Vec::new() };
        let is_gone =
            |name: &&String| !fields.iter().any(|(kept, _)| kept.eq_ignore_ascii_case(name.as_str()));
        self.request.fields.iter().map(|(name, _)| name).filter(is_gone).cloned().collect()
    }
}

const NO_CORS: &str = "browsers send preflights without a token: pages of this origin can call only if a filter for CORS comes before \
     this one, or cors.allow_origins names it";

const UNREAD_CALL: &str = "Envoy's filter for MCP reads in the body which call this is: without --mcp and --tool, it is one that no rule names";

/// Stands for the token.
const OPAQUE: &str = "opaque-token";
