//! A gateway, driven as a proxy drives it, and what has to hold whatever it is fed.

use phantom_token_core::driver::{Driver, Fields, Outcome, Request, Response};
use phantom_token_core::{
    Call, Callout, Host, NoMetrics, NoSharedData, Randomness, Reply, Settings, SharedData, Timestamp,
};
use serde_json::Value;

/// The "now" of most requests, in seconds: 2026-01-01T00:00:00Z.
pub const NOW: u64 = 1_767_225_600;

/// One worker of a proxy, and a client that imitates the fields that the gateway sets.
pub struct Gateway {
    driver: Driver,
    spoofed: Fields,
}

/// How a request ended.
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// The number of calls made for the request.
    pub calls: usize,
}

impl Gateway {
    /// Creates a worker with this configuration. Returns `None` if the configuration has errors.
    pub fn new(configuration: &Value) -> Option<Self> {
        let settings = Settings::parse(configuration.to_string().as_bytes(), &|_| None).ok()?;
        Some(Self::of(settings, configuration))
    }

    /// Creates a worker with the settings parsed from this configuration.
    pub fn of(settings: Settings, configuration: &Value) -> Self {
        let host = host(0, &NoSharedData);
        Self { driver: Driver::new(settings, host), spoofed: spoofed(configuration) }
    }

    /// Processes a request, `seconds` after [`NOW`]. Asserts that no field sent anywhere has a character that would end it, that no spoofed
    /// field reaches services, that a 401 has a challenge and a 5xx has none, and that the calls come to an end.
    pub fn request(
        &mut self,
        request: &Request,
        seconds: u64,
        shared_data: &dyn SharedData,
        respond: &mut dyn FnMut(&Call) -> Response,
    ) -> Ending {
        let fields = [request.fields.as_slice(), &self.spoofed].concat();
        let request = Request { fields, ..request.clone() };
        let mut calls = 0;
        let outcome = self.driver.process(&request, host(seconds, shared_data), &mut |call| {
            calls += 1;
            assert!(calls <= MAX_CALLS, "one request led to more than {MAX_CALLS} calls");
            assert_callout(&call.request);
            Some(respond(call))
        });
        match &outcome {
            Outcome::Forwarded { fields, .. } => self.examine_forwarded(fields, &request),
            Outcome::Answered(reply) => assert_reply(reply),
            Outcome::Waiting => panic!("all calls were answered, but the request waits"),
        }
        Ending { outcome, calls }
    }

    fn examine_forwarded(&self, fields: &Fields, request: &Request) {
        let spoofed = fields.iter().find(|field| self.spoofed.contains(field));
        assert!(spoofed.is_none(), "a client told services what the gateway is to tell: {spoofed:?}");
        // The path is still the client's, even with its token removed.
        let is_own = |field: &&(String, Vec<u8>)| field.0.starts_with(':') || request.fields.contains(field);
        for (name, value) in fields.iter().filter(|field| !is_own(field)) {
            assert!(is_field_name(name), "forwarded field {name:?}");
            assert!(is_sendable(value), "forwarded field {name}: {}", value.escape_ascii());
        }
    }
}

impl Ending {
    /// The status that the client sees. `None` if the request is forwarded.
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Answered(reply) => Some(reply.status),
            Outcome::Forwarded { .. } | Outcome::Waiting => None,
        }
    }

    /// The short name of the reason for which the request was refused. `None` if it was not.
    pub fn refusal(&self) -> Option<&'static str> {
        self.outcome.reason().map(|reason| reason.name())
    }

    /// The header fields that services receive. `None` if the request is not forwarded.
    pub fn forwarded(&self) -> Option<Vec<(String, String)>> {
        let Outcome::Forwarded { fields, .. } = &self.outcome else { return None };
        let header = fields.iter().filter(|(name, _)| !name.starts_with(':'));
        Some(
            header.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect(),
        )
    }

    /// The value of the only header field of this name that services receive.
    ///
    /// # Panics
    /// If services receive more than one.
    pub fn forwarded_field(&self, name: &str) -> Option<String> {
        let mut fields = self.forwarded()?.into_iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let (_, value) = fields.next()?;
        assert!(fields.next().is_none(), "services receive {name} twice");
        Some(value)
    }
}

/// A request without header fields.
pub fn request(method: &str, authority: &[u8], path: &[u8]) -> Request {
    let fields = [(":method", method.as_bytes()), (":authority", authority), (":path", path)];
    Request {
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_vec())).into(),
        ..Request::default()
    }
}

/// A request with this `Authorization` field.
pub fn authorization(path: &[u8], value: &[u8]) -> Request {
    let mut request = request("GET", b"api", path);
    request.fields.push(("authorization".to_owned(), value.to_vec()));
    request
}

/// Whether a value is unambiguous in a header field: visible ASCII and spaces.
pub fn is_field_value(value: &str) -> bool {
    is_sendable(value.as_bytes())
}

/// Asserts that no field of the callout has a character that would end it.
pub fn assert_callout(callout: &Callout) {
    for (name, value) in callout.headers() {
        assert!(is_field_name(name.trim_start_matches(':')), "callout field {name:?}");
        assert!(is_field_value(value), "callout field {name}: {value:?}");
    }
}

/// Asserts that a client can read the reply: a 401 has a challenge, a 5xx has none, and the body is a JSON object.
pub fn assert_reply(reply: &Reply) {
    let has_challenge = reply.headers.iter().any(|(name, _)| *name == "www-authenticate");
    match reply.status {
        401 => assert!(has_challenge, "a 401 has a challenge: {reply:?}"),
        500.. => assert!(!has_challenge, "a 5xx has none: {reply:?}"),
        _ => {}
    }
    for (name, value) in &reply.headers {
        assert!(is_field_name(name) && is_field_value(value), "{name}: {value:?}");
    }
    assert!(!reply.body.bytes().any(|byte| byte < b' '), "a control character in {:?}", reply.body);
    let is_object = serde_json::from_str::<Value>(&reply.body).is_ok_and(|body| body.is_object());
    assert!(is_object, "{}", reply.body);
}

/// Fields that services could take for those that the gateway sets, or for another path or method. Their value has a byte that no value of
/// the gateway's own has.
fn spoofed(configuration: &Value) -> Fields {
    let claims = configuration["claim_to_headers"].as_array().into_iter().flatten();
    let own = claims.map(|claim| &claim["header"]).chain([&configuration["jwt_header"]]);
    let own = own.filter_map(Value::as_str).filter(|name| *name != "authorization");
    let overrides = ["x-original-url", "x-http-method-override"];
    let overrides = overrides.into_iter().filter(|_| configuration["override_headers"] != "keep");
    let spellings =
        |name: &str| [name.to_owned(), name.to_ascii_uppercase().replace('-', "_"), name.replace('-', ".")];
    own.chain(overrides).flat_map(spellings).map(|name| (name, b"spoofed\xff".to_vec())).collect()
}

fn host(seconds: u64, shared_data: &dyn SharedData) -> Host<'_> {
    let now = Timestamp::from_millis((NOW + seconds) * 1000);
    Host { now, shared_data, metrics: &NoMetrics, randomness: &Fixed }
}

fn is_sendable(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':')
}

/// Randomness that returns the same bytes each time, so that a run can be repeated.
pub struct Fixed;

impl Randomness for Fixed {
    fn bytes(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

/// The calls for introspection, metadata and keys, and one more in case a cached document was too old.
const MAX_CALLS: usize = 4;
