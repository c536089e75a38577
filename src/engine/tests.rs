//! Scenarios: the outcomes of requests that the same engine handles one after another.

mod faults;
mod foreign_jwts;
mod keys;
mod lifetimes;
mod mcp;
mod minting;
mod names;
mod outages;
mod presented;
mod published_keys;
mod recorded;
mod reports;
mod senders;
mod servers;
mod shared_data;
mod user_info;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::driver::{Driver, Fields, Request, Response};
use crate::host::{NoMetrics, NoSharedData, SharedData};
use crate::testing::{self, CountingRandomness, MemorySharedData, at, settings, test};

/// An engine, the shared data of its host, and an authorization server that always responds the same.
struct Worker<'a> {
    driver: Driver,
    shared: &'a dyn SharedData,
    answer: Answer,
    /// Responses of particular servers instead, by upstream.
    answers: BTreeMap<&'static str, Answer>,
    metadata: String,
    keys: String,
    /// Additional header fields of the response with the keys.
    key_fields: Vec<(&'static str, String)>,
    asked: Vec<Asked>,
    /// The upstreams that received introspection requests.
    upstreams: Vec<String>,
    /// Calls that were polled, and are still to be sent.
    calls: VecDeque<Call>,
    counted: Rc<Counted>,
}

/// Status, body and header fields.
type Answer = (String, String, Vec<(&'static str, String)>);

/// The subject of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Token,
    Metadata,
    Keys,
}

impl Asked {
    fn of(call: &Call) -> Self {
        let field =
            |name| call.request.headers().find(|(own, _)| *own == name).map_or("", |(_, value)| value);
        match (field(":method"), field(":path")) {
            ("POST", _) | (_, "/userinfo") => Self::Token,
            (_, path) if path.starts_with("/.well-known/") => Self::Metadata,
            _ => Self::Keys,
        }
    }
}

impl<'a> Worker<'a> {
    fn new(configuration: Value, shared: &'a dyn SharedData) -> Self {
        Self::with_capabilities(configuration, Capabilities::ALL, shared)
    }

    fn with_capabilities(
        configuration: Value,
        capabilities: Capabilities,
        shared: &'a dyn SharedData,
    ) -> Self {
        let host =
            Host { now: at(0), shared_data: shared, metrics: &NoMetrics, randomness: &CountingRandomness };
        let mut worker = Self {
            driver: Driver::with_capabilities(settings(configuration), capabilities, host),
            shared,
            answer: Default::default(),
            answers: BTreeMap::new(),
            metadata: String::new(),
            keys: String::new(),
            key_fields: Vec::new(),
            asked: Vec::new(),
            upstreams: Vec::new(),
            calls: VecDeque::new(),
            counted: Rc::default(),
        };
        worker.answer_with(testing::jwt(json!({})));
        worker
    }

    fn answer_with(&mut self, jwt: String) {
        self.answer = ("200".to_owned(), jwt, vec![("content-type", "application/jwt".to_owned())]);
    }

    fn answer_status(&mut self, status: &str) {
        self.answer = (status.to_owned(), String::new(), Vec::new());
    }

    /// Sends a request. Returns the credentials that are forwarded, or the reason of the refusal.
    fn request(&mut self, seconds: u64, method: &str, path: &str, authorization: Option<&str>) -> String {
        let authorization =
            authorization.map_or(Presented::Absent, |value| Presented::Once(value.as_bytes()));
        let head = RequestHead {
            method: method.as_bytes(),
            authority: b"api",
            path: path.as_bytes(),
            authorization,
            ..RequestHead::default()
        };
        self.send(seconds, &head)
    }

    /// Sends a request with this head. Returns its outcome.
    fn send(&mut self, seconds: u64, head: &RequestHead<'_>) -> String {
        outcome(&self.action(seconds, head))
    }

    /// Sends a request that is refused. Returns the reply.
    fn refusal(&mut self, seconds: u64, head: &RequestHead<'_>) -> Reply {
        match self.action(seconds, head) {
            Action::Reply(reply) => reply,
            Action::Continue(headers) => panic!("{headers:?}"),
        }
    }

    fn action(&mut self, seconds: u64, head: &RequestHead<'_>) -> Action {
        let (stream, action) = self.start(seconds, head);
        action.unwrap_or_else(|| self.finish(seconds, stream))
    }

    /// Passes a request to the engine. Returns no action if the request waits for a call.
    fn start(&mut self, seconds: u64, head: &RequestHead<'_>) -> (StreamId, Option<Action>) {
        let counted = Rc::clone(&self.counted);
        let host = host(seconds, self.shared, &counted);
        let (stream, _, action) = self.driver.receive(&request_of(head), host);
        while let Some(call) = self.driver.engine().poll_call(host) {
            self.calls.push_back(call);
        }
        let action = action.or_else(|| {
            let (decided, action) = self.driver.engine().poll_action()?;
            assert_eq!(decided, stream);
            Some(action)
        });
        (stream, action)
    }

    fn finish(&mut self, seconds: u64, stream: StreamId) -> Action {
        loop {
            let call = self.call(seconds);
            call.iter().for_each(|call| self.respond(call, seconds));
            if let Some((settled, action)) = self.driver.engine().poll_action() {
                assert_eq!(settled, stream);
                return action;
            }
            assert!(call.is_some(), "a call that the request waits for");
        }
    }

    /// Returns the next call to be sent.
    fn call(&mut self, seconds: u64) -> Option<Call> {
        let counted = Rc::clone(&self.counted);
        let host = host(seconds, self.shared, &counted);
        self.calls.pop_front().or_else(|| self.driver.engine().poll_call(host))
    }

    fn respond(&mut self, call: &Call, seconds: u64) {
        let json = |body: &str| {
            let status = if body.is_empty() { "503" } else { "200" };
            (status.to_owned(), body.to_owned(), vec![("content-type", "application/json".to_owned())])
        };
        let asked = Asked::of(call);
        let (status, body, headers) = match asked {
            Asked::Token => self.answers.get(call.request.upstream()).unwrap_or(&self.answer).clone(),
            Asked::Metadata => json(&self.metadata),
            Asked::Keys => {
                let (status, body, headers) = json(&self.keys);
                (status, body, headers.into_iter().chain(self.key_fields.clone()).collect())
            }
        };
        self.asked.push(asked);
        if asked == Asked::Token {
            self.upstreams.push(call.request.upstream().to_owned());
        }
        let fields = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let response = Response::Complete {
            status: status.parse().expect("a status"),
            fields: fields.collect(),
            body: body.into_bytes(),
        };
        let counted = Rc::clone(&self.counted);
        self.driver.complete(call, &response, host(seconds, self.shared, &counted));
    }

    /// Runs a tick: background calls are sent and answered. Returns their number.
    fn refresh(&mut self, seconds: u64) -> usize {
        let counted = Rc::clone(&self.counted);
        self.driver.engine().on_tick(host(seconds, self.shared, &counted));
        let mut count = 0;
        while let Some(call) = self.call(seconds) {
            self.respond(&call, seconds);
            count += 1;
        }
        count
    }

    /// Returns the names whose fields are removed.
    fn removed(&mut self, names: &[&[u8]]) -> Vec<String> {
        let fields: Vec<(&[u8], &[u8])> = names.iter().map(|name| (*name, &b"value"[..])).collect();
        let counted = Rc::clone(&self.counted);
        let host = host(0, self.shared, &counted);
        let instructions = self.driver.engine().on_request(
            StreamId(u64::MAX),
            fields.iter().copied(),
            Attributes::default(),
            host,
        );
        let removed = instructions.edits.iter().map(|edit| match edit {
            Edit::Remove(name) => name.to_owned(),
            Edit::Replace(..) => panic!("{edit:?}"),
        });
        removed.collect()
    }

    /// Returns the number of calls that wait for the next tick.
    fn queued(&mut self) -> usize {
        self.driver.engine().in_flight.queued()
    }

    fn get(&mut self, seconds: u64, token: &str) -> String {
        self.request(seconds, "GET", "/orders", Some(&format!("Bearer {token}")))
    }

    fn introspections(&self) -> usize {
        self.asked.iter().filter(|asked| **asked == Asked::Token).count()
    }

    fn documents(&self) -> usize {
        self.asked.len() - self.introspections()
    }
}

fn host<'h>(seconds: u64, shared_data: &'h dyn SharedData, metrics: &'h Counted) -> Host<'h> {
    Host { now: at(seconds), shared_data, metrics, randomness: &CountingRandomness }
}

/// Returns a request with this head.
fn request_of(head: &RequestHead<'_>) -> Request {
    let mut fields = Fields::new();
    let mut push = |name: &str, value: &[u8]| fields.push((name.to_owned(), value.to_vec()));
    for (name, value) in [(":method", head.method), (":authority", head.authority), (":path", head.path)] {
        push(name, value);
    }
    for (name, presented) in [
        ("authorization", head.authorization),
        ("dpop", head.dpop),
        ("traceparent", head.traceparent),
        ("x-forwarded-client-cert", head.forwarded_client_cert),
    ] {
        match presented {
            Presented::Absent => {}
            Presented::Once(value) => push(name, value),
            Presented::Repeated => [b"1", b"2"].iter().for_each(|value| push(name, *value)),
        }
    }
    head.origin.iter().for_each(|origin| push("origin", origin));
    head.access_control_request_method
        .iter()
        .for_each(|method| push("access-control-request-method", method));
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Request {
        fields,
        route: text(head.route),
        peer: text(head.peer),
        certificate: text(head.certificate),
        mcp_call: None,
    }
}

/// Returns the outcome of a request, in a word.
fn outcome(action: &Action) -> String {
    match action {
        Action::Continue(headers) => match headers.shadow_denied() {
            Some(reason) => format!("{}, {}", reason.name(), forwarded(headers)),
            None => forwarded(headers),
        },
        Action::Reply(Reply { reason: None, status, .. }) => status.to_string(),
        Action::Reply(Reply { reason: Some(reason), headers, .. }) => {
            match headers.iter().find(|(name, _)| *name == "access-control-allow-origin") {
                Some((_, origin)) => format!("{reason} for {origin}"),
                None => (*reason).to_owned(),
            }
        }
    }
}

fn bearer(jwt: &str) -> String {
    format!("Bearer {jwt}")
}

#[test]
fn r074_an_opaque_token_becomes_its_jwt_and_the_next_request_is_a_cache_hit() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    let jwt = testing::jwt(json!({}));
    assert_eq!(worker.get(0, "opaque"), bearer(&jwt));
    assert_eq!(worker.get(1, "opaque"), bearer(&jwt));
    assert_eq!(worker.introspections(), 1);
    assert_eq!(worker.get(1, "another"), bearer(&jwt));
    assert_eq!(worker.introspections(), 2);
}

#[test]
fn r001_r006_r007_r079_invalid_token_syntax_causes_no_introspection() {
    let mut worker = Worker::new(json!({"token_sources": {"max_length": 10}}), &NoSharedData);
    assert_eq!(worker.request(0, "GET", "/", None), "missing_credentials");
    for (value, reason) in [
        ("Basic YTpi", "unsupported_scheme"),
        ("Bearer", "malformed_credentials"),
        ("Bearer a b", "malformed_credentials"),
        ("Bearer a;b", "invalid_token_syntax"),
        ("Bearer aaaaaaaaaaa", "token_too_long"),
    ] {
        assert_eq!(worker.request(0, "GET", "/", Some(value)), reason);
    }
    assert_eq!(worker.introspections(), 0);
}

/// If such a request passed, the opaque token would reach the service in the query.
#[test]
fn r009_r074_a_token_that_comes_twice_is_refused() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    for path in
        ["/?access_token=opaque", "/orders?a=b&token=opaque&c", "/?opaque", "/?a=%6fpaque", "/?a=1;b=opaque"]
    {
        assert_eq!(worker.request(0, "GET", path, Some("Bearer opaque")), "repeated_credentials");
    }
    for path in ["/?access_token=other", "/opaque", "/?a=opaque2", "/?opaque=a", "/?a=opaque="] {
        assert!(worker.request(0, "GET", path, Some("Bearer opaque")).starts_with("Bearer"), "{path}");
    }
    assert_eq!(worker.introspections(), 1);
}

#[test]
fn r045_an_introspection_response_as_token_causes_no_introspection() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    let response = testing::jws(r#"{"alg":"ES256","typ":"token-introspection+jwt"}"#, "{}");
    assert_eq!(worker.get(0, &response), "not_an_access_token");
    assert_eq!(worker.introspections(), 0);
}

#[test]
fn r055_a_token_is_introspected_again_when_its_ttl_is_over() {
    let mut worker = Worker::new(json!({"cache": {"max_ttl": "1m"}}), &NoSharedData);
    assert!(worker.get(0, "opaque").starts_with("Bearer"));
    worker.answer_status("204");
    assert!(worker.get(59, "opaque").starts_with("Bearer"));
    assert_eq!(worker.get(60, "opaque"), "inactive");
    assert_eq!(worker.get(62, "opaque"), "inactive");
    assert_eq!(worker.introspections(), 3, "an inactive token is not kept for long");
}

#[test]
fn r055_with_the_cache_off_every_request_asks() {
    let mut worker = Worker::new(json!({"cache": {"max_ttl": "0s"}}), &NoSharedData);
    for _ in 0..3 {
        assert!(worker.get(0, "opaque").starts_with("Bearer"));
    }
    assert_eq!(worker.introspections(), 3);
}

#[test]
fn r031_r049_an_expired_token_is_refused_and_never_served_from_the_cache() {
    let mut worker =
        Worker::new(json!({"cache": {"max_ttl": "1h"}, "token": {"leeway": "5s"}}), &NoSharedData);
    worker.answer_with(testing::jwt(json!({"exp": testing::NOW + 10})));
    assert!(worker.get(9, "opaque").starts_with("Bearer"));
    assert_eq!(worker.introspections(), 1);
    assert!(worker.get(14, "opaque").starts_with("Bearer"), "within the leeway");
    assert_eq!(worker.introspections(), 2, "beyond exp nothing is kept");
    assert_eq!(worker.get(15, "opaque"), "expired");
}

#[test]
fn r031_r032_dates_are_validated() {
    for (policy, claims, expected) in [
        (json!({}), json!({"nbf": testing::NOW + 6}), "not_yet_valid"),
        (json!({}), json!({"nbf": testing::NOW + 5}), "Bearer"),
        (json!({"leeway": "0s"}), json!({"nbf": testing::NOW + 1}), "not_yet_valid"),
        (json!({}), json!({"exp": testing::NOW - 5}), "expired"),
        (json!({}), json!({"exp": null}), "Bearer"),
        (json!({"require_exp": true}), json!({"exp": null}), "missing_expiration"),
    ] {
        let mut worker = Worker::new(json!({"token": policy}), &NoSharedData);
        worker.answer_with(testing::jwt(claims.clone()));
        let outcome = worker.get(0, "opaque");
        assert!(outcome.starts_with(expected), "{policy} {claims}: {outcome}");
    }
}

#[test]
fn r033_r034_issuer_and_audience_are_validated() {
    let policy = json!({"issuer": "https://login.example.com", "audience": ["orders-api", "other"]});
    for (claims, expected) in [
        (json!({}), "Bearer"),
        (json!({"iss": "https://login.example.com/"}), "wrong_issuer"),
        (json!({"iss": null}), "wrong_issuer"),
        (json!({"aud": ["x", "other"]}), "Bearer"),
        (json!({"aud": "orders-api2"}), "wrong_audience"),
        (json!({"aud": ["orders"]}), "wrong_audience"),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"aud": null}), "wrong_audience"),
    ] {
        let mut worker = Worker::new(json!({"token": policy}), &NoSharedData);
        worker.answer_with(testing::jwt(claims.clone()));
        let outcome = worker.get(0, "opaque");
        assert!(outcome.starts_with(expected), "{claims}: {outcome}");
    }
}

/// If a cache hit were not validated for its own rule, a token that opens one route would open them all.
#[test]
fn r035_r053_each_rule_judges_a_hit_for_itself() {
    let rules = json!([
        {"path": "/read", "scopes": ["orders:read"]},
        {"path": "/write", "scopes": ["orders:read", "orders:write"]},
        {"path": "/part", "scopes": ["orders"]},
        {"path": "/case", "scopes": ["Orders:Read"]},
        {"path": "/any"},
    ]);
    let mut worker = Worker::new(json!({"rules": rules}), &NoSharedData);
    for (path, expected) in [
        ("/write", "insufficient_scope"),
        ("/read", "Bearer"),
        ("/write", "insufficient_scope"),
        ("/part", "insufficient_scope"),
        ("/case", "insufficient_scope"),
        ("/any", "Bearer"),
        ("/other", "no_matching_rule"),
    ] {
        let outcome = worker.request(0, "GET", path, Some("Bearer opaque"));
        assert!(outcome.starts_with(expected), "{path}: {outcome}");
    }
    assert_eq!(worker.introspections(), 1);
}

#[test]
fn r074_a_public_route_causes_no_introspection_and_forwards_no_token() {
    let mut worker = Worker::new(json!({"rules": [{"path": "/", "access": "public"}]}), &NoSharedData);
    assert_eq!(worker.request(0, "GET", "/", None), "untouched");
    assert_eq!(worker.request(0, "GET", "/", Some("Basic YTpi")), "untouched");
    for bearer in ["Bearer opaque", "bearer", "Basic YTpi, Bearer opaque"] {
        assert_eq!(worker.request(0, "GET", "/", Some(bearer)), "removed");
    }
    assert_eq!(worker.introspections(), 0);
}

/// A client without a token has to be able to read the metadata; rules apply to the resource, not to its description.
#[test]
fn r102_metadata_need_neither_token_nor_rule() {
    let described = json!({"resource": "https://api.example.com", "authorization_servers": ["https://login.example.com"]});
    let configuration = json!({"resource_metadata": [described], "rules": [{"path": "/orders"}]});
    let mut worker = Worker::new(configuration, &NoSharedData);
    let path = "/.well-known/oauth-protected-resource";
    assert_eq!(worker.request(0, "GET", path, None), "200");
    assert_eq!(worker.request(0, "PUT", path, None), "no_matching_rule");
    assert_eq!(Worker::new(json!({}), &NoSharedData).request(0, "GET", path, None), "missing_credentials");
}

/// If the authorization server is behind the same listener, its keys are at the same path as the gateway's. If the gateway replied in its
/// place, services could not verify what the server signs; and if the gateway replied only on its own host, services that know it by a name
/// inside the cluster could not verify what it signs.
#[test]
fn r127_a_document_gives_way_to_a_public_rule_for_another_host() {
    let configuration = json!({
        "introspection": {"response": {"accept": "application/json"}},
        "mint": {
            "issuer": "https://Gateway.example.com:8443", "audience": "orders-api",
            "keys": [{"private_key": testing::signer::p256().to_string()}],
        },
        "resource_metadata": [{
            "resource": "https://api.example.com", "authorization_servers": ["https://login.example.com"],
        }],
        "rules": [
            {"path": "/", "hosts": ["login.example.com", "*.open.example.com"], "access": "public"},
            {"path": "/", "hosts": ["api.example.com"]},
            {"path": "/", "hosts": ["gateway.example.com"], "access": "public"},
            {"path": "/.well-known", "access": "public"},
        ],
    });
    let mut worker = Worker::new(configuration, &NoSharedData);
    let keys = "/.well-known/jwks.json";
    let metadata = "/.well-known/oauth-protected-resource";
    for (method, host, path, expected) in [
        ("GET", "login.example.com", keys, "untouched"),
        ("HEAD", "LOGIN.example.com", keys, "untouched"),
        ("GET", "a.open.example.com", keys, "untouched"),
        ("GET", "login.example.com", metadata, "untouched"),
        // The document's own host, also at another port, and whatever the rules say.
        ("GET", "gateway.example.com", keys, "200"),
        ("GET", "GATEWAY.example.com:1", keys, "200"),
        ("GET", "api.example.com", metadata, "200"),
        ("GET", "gateway.example.com", metadata, "untouched"),
        // Services know the gateway by other names, and no rule opens these by name.
        ("GET", "api.example.com", keys, "200"),
        ("GET", "gateway.istio-system.svc", keys, "200"),
        ("GET", "127.0.0.1:10000", keys, "200"),
        ("GET", "", keys, "200"),
        ("GET", "login.example.com.", keys, "200"),
    ] {
        let head = RequestHead {
            method: method.as_bytes(),
            authority: host.as_bytes(),
            path: path.as_bytes(),
            ..RequestHead::default()
        };
        assert_eq!(worker.send(0, &head), expected, "{method} {host}{path}");
    }
}

/// Two MCP servers are often at the same path of two hosts. If the second were served the document of the first, none of its clients could
/// log in: a client must not use the metadata of another resource (RFC 9728 §3.3).
#[test]
fn r278_of_documents_at_one_path_each_host_has_its_own() {
    let described = |resource: &str| json!({"resource": resource, "authorization_servers": ["https://login.example.com"]});
    let resources = ["https://a.example.com/mcp", "https://b.example.com/mcp", "https://a.example.com/two"];
    let configuration = json!({
        "resource_metadata": resources.map(described),
        "rules": [{"path": "/mcp", "hosts": ["open.example.com"], "access": "public"}, {"path": "/mcp"}],
    });
    let mut worker = Worker::new(configuration, &NoSharedData);
    let mut served = |authority: &str, path: &str| {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let head = RequestHead {
            method: b"GET",
            authority: authority.as_bytes(),
            path: path.as_bytes(),
            ..RequestHead::default()
        };
        let reply = worker.refusal(0, &head);
        let document: Value = serde_json::from_str(&reply.body).expect("JSON");
        document["resource"].as_str().map_or_else(|| document["error"].to_string(), str::to_owned)
    };
    assert_eq!(served("a.example.com", "/mcp"), "https://a.example.com/mcp");
    assert_eq!(served("B.example.com:8443", "/mcp"), "https://b.example.com/mcp");
    // If nothing indicates which resource is meant, any guess would be wrong for one of them.
    assert_eq!(served("gateway.internal", "/mcp"), "\"access_denied\"");
    assert_eq!(served("gateway.internal", "/two"), "https://a.example.com/two");
}

#[test]
fn r075_r076_services_receive_claims_as_fields_of_the_gateways_own() {
    let headers = json!([
        {"header": "x-user-id", "pointer": "/sub"},
        {"header": "x-roles", "pointer": "/realm_access/roles"},
        {"header": "x-absent", "pointer": "/absent"},
    ]);
    let shared = MemorySharedData::default();
    let mut first = Worker::new(json!({"claim_to_headers": headers}), &shared);
    first.answer_with(testing::jwt(json!({"realm_access": {"roles": ["a"]}})));
    let mut second = Worker::new(json!({"claim_to_headers": headers}), &shared);
    let expected = [("x-user-id", "alice"), ("x-roles", "WyJhIl0")];
    for worker in [&mut first, &mut second] {
        worker.get(0, "opaque");
        let head = RequestHead {
            method: b"GET",
            path: b"/",
            authorization: Presented::Once(b"Bearer opaque"),
            ..RequestHead::default()
        };
        let Action::Continue(headers) = worker.action(0, &head) else { panic!("a hit") };
        let fields: Vec<_> = headers.fields().filter(|(name, _)| *name != "authorization").collect();
        assert_eq!(fields, expected);
    }
    let names: [&[u8]; 5] = [b"accept", b"X-User-Id", b"x_user_id", b"x-absent", b"\xff"];
    assert_eq!(first.removed(&names), ["X-User-Id", "x_user_id", "x-absent"]);
}

/// If a rule for one workload let another in, a stolen token would work anywhere in the mesh.
#[test]
fn r084_a_rule_can_name_the_workloads_that_may_call() {
    let cart = "spiffe://cluster.local/ns/shop/sa/cart";
    let rules = json!([
        {"path": "/", "scopes": ["profile"]},
        {"path": "/stock", "peers": [cart, "spiffe://cluster.local/ns/shop/sa/till"], "scopes": ["orders:read"]},
        {"path": "/prices", "peers": [cart], "scopes": ["admin"]},
    ]);
    let mut worker = Worker::new(json!({"rules": rules}), &NoSharedData);
    let required = RequiredAttributes { route: false, peer: true, certificate: false, mcp_call: false };
    assert_eq!(worker.driver.engine().required_attributes(), required);
    let mut send = |path: &str, peer: Option<&str>, authorization: Presented<'_>| {
        let peer = peer.map(str::as_bytes);
        worker.send(
            0,
            &RequestHead {
                method: b"GET",
                path: path.as_bytes(),
                peer,
                authorization,
                ..RequestHead::default()
            },
        )
    };
    let token = Presented::Once(b"Bearer opaque");
    assert!(send("/stock", Some(cart), token).starts_with("Bearer"));
    assert_eq!(send("/stock", Some(cart), Presented::Absent), "missing_credentials", "on behalf of a user");
    assert_eq!(send("/prices", Some(cart), token), "insufficient_scope");
    for peer in [
        None,
        Some(""),
        Some("spiffe://cluster.local/ns/shop/sa/cart2"),
        Some("spiffe://other/ns/shop/sa/cart"),
    ] {
        assert_eq!(send("/stock", peer, token), "peer_not_allowed", "{peer:?}");
        assert!(send("/", peer, token).starts_with("Bearer"), "{peer:?}");
    }
}

fn cors_configuration() -> Value {
    let rules = json!([{"path": "/orders", "methods": ["GET", "PUT"], "scopes": ["admin"]}]);
    json!({"cors": {"allow_origins": ["https://app.example.com"]}, "rules": rules})
}

/// Browsers send no token with a preflight. If one were required, no page could call the API; if a preflight for an unexposed path, or a
/// request that is no preflight, passed, it would be a way in without a token.
#[test]
fn r080_r233_preflights_of_allowed_origins_pass_to_what_is_exposed() {
    let mut worker = Worker::new(cors_configuration(), &NoSharedData);
    let mut send = |method: &str, path: &str, origin: Option<&str>, asked: Option<&str>| {
        worker.send(
            0,
            &RequestHead {
                method: method.as_bytes(),
                path: path.as_bytes(),
                origin: origin.map(str::as_bytes),
                access_control_request_method: asked.map(str::as_bytes),
                ..RequestHead::default()
            },
        )
    };
    let app = Some("https://app.example.com");
    assert_eq!(send("OPTIONS", "/orders", app, Some("PUT")), "removed");
    assert_eq!(send("OPTIONS", "/orders", app, Some("DELETE")), "204");
    assert_eq!(send("OPTIONS", "/other", app, Some("PUT")), "204");
    assert_eq!(send("OPTIONS", "/other//x", app, Some("PUT")), "204");
    assert_eq!(send("DELETE", "/orders", app, None), "no_matching_rule for https://app.example.com");
    assert_eq!(send("OPTIONS", "/orders", app, None), "no_matching_rule for https://app.example.com");
    assert_eq!(send("OPTIONS", "/orders", None, Some("PUT")), "no_matching_rule");
    assert_eq!(send("OPTIONS", "/orders", Some("https://evil.example.com"), Some("PUT")), "no_matching_rule");
    assert_eq!(send("GET", "/orders", app, Some("PUT")), "missing_credentials for https://app.example.com");
}

/// A preflight is as easy to forge as any request, and the caller chooses `Origin`. If it passed, a workload that may not call
/// could reach the service and explore it.
#[test]
fn r080_r084_a_preflight_obeys_the_peers_of_the_rule() {
    let cart = "spiffe://cluster.local/ns/shop/sa/cart";
    let rules = json!([
        {"path": "/internal", "methods": ["GET"], "peers": [cart]},
        {"path": "/reported", "peers": [cart], "report_only": true},
        {"path": "/anybody"},
    ]);
    let configuration = json!({"cors": {"allow_origins": ["https://app.example.com"]}, "rules": rules});
    let mut worker = Worker::new(configuration, &NoSharedData);
    let mut send = |path: &str, peer: Option<&str>| {
        worker.send(
            0,
            &RequestHead {
                method: b"OPTIONS",
                path: path.as_bytes(),
                peer: peer.map(str::as_bytes),
                origin: Some(b"https://app.example.com"),
                access_control_request_method: Some(b"GET"),
                ..RequestHead::default()
            },
        )
    };
    assert_eq!(send("/internal", Some(cart)), "removed");
    for peer in [None, Some("spiffe://cluster.local/ns/shop/sa/cart2")] {
        assert_eq!(send("/internal", peer), "peer_not_allowed for https://app.example.com", "{peer:?}");
        assert_eq!(send("/anybody", peer), "removed", "{peer:?}");
        assert_eq!(send("/reported", peer), "peer_not_allowed, removed", "{peer:?}");
    }
}

#[test]
fn r081_every_refusal_says_for_which_origin_it_may_be_read() {
    let mut worker = Worker::new(cors_configuration(), &NoSharedData);
    let mut send = |origin: &str| {
        worker.send(
            0,
            &RequestHead {
                method: b"GET",
                path: b"/orders",
                authorization: Presented::Once(b"Bearer opaque"),
                origin: Some(origin.as_bytes()),
                ..RequestHead::default()
            },
        )
    };
    let expected = "insufficient_scope for https://app.example.com";
    assert_eq!(
        [send("https://app.example.com"), send("https://app.example.com")],
        [expected, expected],
        "miss and hit"
    );
    for other in
        ["https://app.example.com.evil.org", "https://APP.example.com", "null", "http://app.example.com"]
    {
        assert_eq!(send(other), "insufficient_scope", "{other}");
    }
}

#[test]
fn r054_r056_a_failure_is_neither_kept_nor_covered_up() {
    let mut worker = Worker::new(json!({"cache": {"max_ttl": "10s"}}), &NoSharedData);
    worker.answer_status("503");
    assert_eq!(worker.get(0, "opaque"), "unavailable");
    worker.answer_with(testing::jwt(json!({})));
    assert!(worker.get(0, "opaque").starts_with("Bearer"));
    worker.answer_status("503");
    assert!(worker.get(9, "opaque").starts_with("Bearer"), "fresh");
    assert_eq!(worker.get(10, "opaque"), "unavailable", "stale, and the server is down");
}

#[test]
fn r023_coalesced_requests_are_each_checked_by_their_own_rule() {
    let rules =
        json!([{"path": "/read", "scopes": ["orders:read"]}, {"path": "/write", "scopes": ["orders:write"]}]);
    let mut worker = Worker::new(json!({"rules": rules}), &NoSharedData);
    for path in ["/read", "/write"] {
        let authorization = Presented::Once(b"Bearer opaque");
        let head =
            RequestHead { method: b"GET", path: path.as_bytes(), authorization, ..RequestHead::default() };
        assert!(worker.start(0, &head).1.is_none(), "{path} waits");
    }
    let call = worker.call(0).expect("an introspection request");
    assert!(worker.call(0).is_none(), "one for both");
    worker.respond(&call, 0);
    let decisions: Vec<bool> = std::iter::from_fn(|| worker.driver.engine().poll_action())
        .map(|(_, action)| matches!(action, Action::Continue(_)))
        .collect();
    assert_eq!(decisions, [true, false]);
}

/// If a request joined a call that the host drops with its stream, and that is never repeated, it would hang forever.
#[test]
fn r023_without_timers_no_request_joins_a_call_that_can_be_lost() {
    for has_timers in [true, false] {
        let capabilities = Capabilities { outlives_streams: false, has_timers, ..Capabilities::ALL };
        let mut worker = Worker::with_capabilities(json!({}), capabilities, &NoSharedData);
        let authorization = Presented::Once(b"Bearer opaque");
        let head = RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() };
        let (sender, _) = worker.start(0, &head);
        let (stream, _) = worker.start(0, &head);
        let first = worker.call(0).expect("an introspection request");
        let second = worker.call(0);
        assert_eq!(second.is_some(), !has_timers, "without timers, each asks for itself");
        worker.driver.engine().on_stream_gone(sender);
        worker.respond(&first, 0);
        second.iter().for_each(|call| worker.respond(call, 0));
        assert_eq!(worker.refresh(0), usize::from(has_timers), "with timers, the call is repeated");
        let (settled, _) = worker.driver.engine().poll_action().expect("no request hangs");
        assert_eq!(settled, stream);
    }
}

/// Returns what services receive.
fn forwarded(headers: &UpstreamHeaders) -> String {
    if headers.token().is_none() {
        return if headers.strips_credentials() { "removed" } else { "untouched" }.to_owned();
    }
    let fields: Vec<_> = headers.fields().collect();
    match fields.iter().find(|(name, _)| *name == "authorization") {
        Some((_, value)) => (*value).to_owned(),
        None => format!("{fields:?}"),
    }
}

/// Metrics that count.
#[derive(Default)]
struct Counted {
    counters: RefCell<Vec<Counter>>,
    denied: RefCell<Vec<Reason>>,
    shadow_denied: RefCell<Vec<Reason>>,
}

impl Counted {
    fn of(&self, counter: Counter) -> usize {
        self.counters.borrow().iter().filter(|counted| **counted == counter).count()
    }
}

impl Metrics for Counted {
    fn add(&self, counter: Counter, count: u64) {
        (0..count).for_each(|_| self.counters.borrow_mut().push(counter));
    }

    fn set(&self, _gauge: Gauge, _value: usize) {}

    fn record(&self, _histogram: Histogram, _value: u64) {}

    fn deny(&self, reason: Reason) {
        self.denied.borrow_mut().push(reason);
    }

    fn shadow_deny(&self, reason: Reason) {
        self.shadow_denied.borrow_mut().push(reason);
    }
}

#[test]
fn every_request_is_counted_by_its_outcome() {
    use Counter::{
        Allowed, AllowedPublic, CacheHitInactive, CacheHitLocal, CacheHitShared, CacheMiss,
        IntrospectionActive, IntrospectionCredentialsRefused, IntrospectionFailed, IntrospectionInactive,
    };
    let shared = MemorySharedData::default();
    let configuration = json!({"rules": [{"path": "/orders"}, {"path": "/health", "access": "public"}]});
    let mut worker = Worker::new(configuration.clone(), &shared);
    let counted = |worker: &mut Worker<'_>, path: &str, authorization: Option<&str>| {
        worker.counted.counters.borrow_mut().clear();
        worker.request(0, "GET", path, authorization);
        worker.counted.counters.borrow().clone()
    };
    assert_eq!(counted(&mut worker, "/orders", Some("Bearer a")), [CacheMiss, IntrospectionActive, Allowed]);
    assert_eq!(counted(&mut worker, "/orders", Some("Bearer a")), [CacheHitLocal, Allowed]);
    let mut other = Worker::new(configuration, &shared);
    assert_eq!(counted(&mut other, "/orders", Some("Bearer a")), [CacheHitShared, Allowed]);
    assert_eq!(counted(&mut worker, "/health", None), [AllowedPublic]);
    assert_eq!(counted(&mut worker, "/orders", None), []);
    for (status, introspection) in [
        ("204", IntrospectionInactive),
        ("401", IntrospectionCredentialsRefused),
        ("500", IntrospectionFailed),
    ] {
        worker.answer_status(status);
        let token = format!("Bearer asked-{status}");
        assert_eq!(counted(&mut worker, "/orders", Some(&token)), [CacheMiss, introspection]);
    }
    assert_eq!(counted(&mut worker, "/orders", Some("Bearer asked-204")), [CacheHitInactive]);
    let reasons = [Reason::MissingCredentials, Reason::Inactive, Reason::GatewayCredentialsRefused];
    let reasons = [&reasons[..], &[Reason::Unavailable, Reason::Inactive]].concat();
    assert_eq!(*worker.counted.denied.borrow(), reasons);
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// Whatever a client sends and a server responds, nothing panics, and what is forwarded is a valid JWT that the server returned for
    /// that token.
    #[test]
    fn nothing_but_a_valid_jwt_is_forwarded(
        path in "/[a-z./%2;]{0,8}",
        authorization in "(Bearer [A-Za-z0-9]{1,9}|[ -~]{0,20})",
        status in proptest::sample::select(vec!["200", "204", "302", "400", "401", "500", "504"]),
        media_type in proptest::sample::select(vec!["application/jwt", "application/json", "text/html"]),
        expires in proptest::option::of(testing::NOW - 20..testing::NOW + 20),
        cut in proptest::option::weighted(0.3, 0_usize..300),
    ) {
        let jwt = testing::jwt(json!({"exp": expires}));
        let body = cut.and_then(|end| jwt.get(..end)).unwrap_or(&jwt);
        let is_good = status == "200" && media_type == "application/jwt" && expires.is_none_or(|exp| exp > testing::NOW);
        let mut worker = Worker::new(json!({"token": {"leeway": "0s"}}), &NoSharedData);
        worker.answer = (status.to_owned(), body.to_owned(), vec![("content-type", media_type.to_owned())]);
        let outcome = worker.request(0, "GET", &path, Some(&authorization));
        let is_forwarded = outcome.starts_with("Bearer ");
        proptest::prop_assert!(!is_forwarded || (outcome == bearer(body) && is_good), "{outcome}");
        proptest::prop_assert!(is_forwarded || cut.is_some() || !is_good || worker.introspections() == 0, "{outcome}");
    }
}
