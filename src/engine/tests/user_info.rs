//! Scenarios with a server that has no introspection, and is queried by UserInfo.

use serde_json::{Value, json};

use super::Worker;
use crate::host::NoSharedData;
use crate::http::request_head::{Presented, RequestHead};
use crate::testing::{self, signer, test};

fn configuration(edits: Value) -> Value {
    let mut configuration = json!({
        "introspection": null,
        "userinfo": {
            "endpoint": "https://login.example.com/userinfo", "upstream": "login", "allow_any_client": true,
            "headers": {"x-tenant": "acme"},
        },
        "mint": {
            "issuer": "https://api.example.com", "audience": "orders", "keys": [{"private_key": signer::p256().to_string()}],
        },
    });
    testing::merge(&mut configuration, edits);
    configuration
}

impl Worker<'_> {
    fn answer_user_info(&mut self, claims: &Value, fields: &[(&'static str, &str)]) {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let fields = [("content-type", "application/json".to_owned())].into_iter().chain(fields);
        self.answer = ("200".to_owned(), claims.to_string(), fields.collect());
    }
}

/// If anything else were sent, the server would learn of the client's request; if the token were sent in a query, logs would contain it.
#[test]
fn r022_r197_user_info_is_asked_with_the_token_as_credentials() {
    let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
    let authorization = Presented::Once(b"Bearer opaque");
    let head = RequestHead { method: b"POST", path: b"/orders?a=b", authorization, ..RequestHead::default() };
    worker.start(0, &head);
    let call = worker.call(0).expect("a call");
    let fields: Vec<_> = call.request.headers().collect();
    let agent = concat!("phantom-token/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        fields,
        [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "login.example.com"),
            (":path", "/userinfo"),
            ("accept", "application/json"),
            ("authorization", "Bearer opaque"),
            ("x-envoy-retry-on", "connect-failure,refused-stream,reset"),
            ("x-envoy-max-retries", "1"),
            ("x-tenant", "acme"),
            ("user-agent", agent),
        ]
    );
    assert_eq!((call.request.upstream(), call.request.body()), ("login", &b""[..]));
}

/// The token's expiry is unknown, so only the configuration limits how long a revoked token passes.
#[test]
fn r032_r197_a_users_token_is_asked_about_once_and_again_when_max_ttl_is_over() {
    let mut worker = Worker::new(configuration(json!({"cache": {"max_ttl": "1m"}})), &NoSharedData);
    worker.answer_user_info(&json!({"sub": "alice"}), &[]);
    for (seconds, asked) in [(0, 1), (30, 1), (59, 1), (60, 2)] {
        assert!(worker.get(seconds, "opaque").starts_with("Bearer "), "{seconds}");
        assert_eq!(worker.introspections(), asked, "{seconds}");
    }
    worker.answer_user_info(&json!({"sub": "alice"}), &[("cache-control", "no-store")]);
    assert!(worker.get(60, "another").starts_with("Bearer "));
    assert!(worker.get(60, "another").starts_with("Bearer "));
    assert_eq!(worker.introspections(), 4);
    worker.answer_status("401");
    assert_eq!(worker.get(120, "opaque"), "inactive");
    assert_eq!(worker.get(121, "opaque"), "inactive");
    assert_eq!(worker.introspections(), 5, "a dead token is known for a moment");
    worker.answer_status("503");
    assert_eq!(worker.get(120, "third"), "unavailable");
}

/// If one of these were accepted, every request would be refused, or text written by a user could satisfy a rule.
#[test]
fn r198_nothing_is_asked_of_a_token_that_user_info_does_not_tell() {
    let errors = |edits: Value| {
        let configuration = testing::configured(configuration(edits));
        testing::parse(&configuration).err().map(|errors| errors.to_string()).unwrap_or_default()
    };
    let unsaid = "must be left out with userinfo, which does not tell of it";
    let rules = "rules: must not require scopes, audience, dpop, acr_values or max_age from a server with userinfo, which does not report them";
    for (edits, expected) in [
        (json!({}), ""),
        (json!({"profile": "okta"}), ""),
        (json!({"token": {"issuer": "https://a", "allow_missing_iss": true}}), ""),
        (json!({"rules": [{"path": "/", "claims": [{"pointer": "/groups", "contains": "staff"}]}]}), ""),
        (
            json!({"rules": [{"path": "/", "any_of": [{"claims": [{"pointer": "/groups", "contains": "staff"}]}, {"scopes": ["a"]}]}]}),
            rules,
        ),
        (json!({"userinfo": {"allow_any_client": false}}), "userinfo.allow_any_client: must be true"),
        (
            json!({"mint": null}),
            "userinfo: leaves services without a JWT: configure mint or claim_to_headers",
        ),
        (
            json!({"token": {"issuer": "https://a"}}),
            "token.issuer: needs allow_missing_iss with userinfo, which names no issuer",
        ),
        (json!({"token": {"audience": ["a"]}}), &format!("token.audience: {unsaid}")),
        (json!({"token": {"require_exp": true}}), &format!("token.require_exp: {unsaid}")),
        (json!({"token": {"require_token_type": true}}), &format!("token.require_token_type: {unsaid}")),
        (
            json!({"token": {"dpop": "allowed"}, "dpop": {"origins": ["https://a"]}}),
            &format!("token.dpop: {unsaid}"),
        ),
        (json!({"rules": [{"path": "/", "scopes": ["a"]}]}), rules),
        (json!({"rules": [{"path": "/", "max_age": "1m"}]}), rules),
        (json!({"userinfo": {"response": {}}}), "userinfo.response: is not a field"),
        (json!({"userinfo": {"endpoint": null}}), "userinfo.endpoint: is required"),
        (
            json!({"userinfo": {"allow_any_client": null}}),
            "userinfo.allow_any_client: is required: UserInfo does not show which client a token was issued to, so those of all clients pass",
        ),
    ] {
        assert_eq!(errors(edits.clone()), expected, "{edits}");
    }
    let both =
        json!({"introspection": testing::minimal()["introspection"], "userinfo": {"upstream": "login"}});
    let both = testing::parse(&testing::configured(configuration(both))).expect_err("two ways").to_string();
    assert_eq!(both, "userinfo: must be left out if there is introspection");
}
