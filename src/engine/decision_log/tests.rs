use std::rc::Rc;

use serde_json::json;

use super::*;
use crate::engine::{Capabilities, Engine};
use crate::testing::signer::{p256, public};
use crate::testing::{CountingRandomness, at, settings, test};

#[derive(Clone, Default)]
struct Lines(Rc<RefCell<Vec<String>>>);

impl LogSink for Lines {
    fn write(&self, level: Level, line: &str) {
        self.0.borrow_mut().push(format!("{level} {line}"));
    }

    fn now(&self) -> Timestamp {
        at(0)
    }
}

/// If the log did not name the claim, an operator could not find out what is wrong with a server's tokens; if it contained the value, it
/// would contain a part of a token.
#[test]
fn r110_r156_the_log_names_what_is_malformed_and_never_its_value() {
    let lines = Lines::default();
    let settings = settings(json!({"log_level": "debug"}));
    let log = DecisionLog::new(&settings, &CountingRandomness, Box::new(lines.clone()));
    let rejection = Rejection { member: Some("exp"), ..Reason::MalformedJwt.into() };
    log.note_decision_of(&Decision::Reject(rejection));
    let unverified_token = Err(TokenError::about("scope", Reason::UnexpectedResponse));
    let result = IntrospectionResult { token: TokenKey::of("a"), unverified_token, circuit: None };
    log.note_result("main", "200", &QueryResult::Token(result));
    assert_eq!(
        *lines.0.borrow(),
        [
            "DEBUG decision=denied reason=malformed_jwt member=exp",
            "DEBUG introspection: unexpected_response member=scope",
            "ERROR the authorization server sent an unexpected response to an introspection: unexpected_response, server main: 200 member=scope",
        ]
    );
}

/// If this failed, an operator would search for the fault in tokens although their key is published and left out; or a server could write
/// into the gateway's log.
#[test]
fn r110_r152_the_log_says_which_keys_are_left_out_and_why_without_a_text_from_outside() {
    let lines = Lines::default();
    let log = DecisionLog::new(&settings(json!({})), &CountingRandomness, Box::new(lines.clone()));
    let key = |index, reason| UnusableKey { index, kid: Some("\nfrom outside".to_owned()), reason };
    let keys = vec![key(0, "its use is not sig"), key(2, "its kty is unknown")];
    log.note_result("main", "got nothing", &QueryResult::Document(Ok(()), Vec::new()));
    log.note_result("main", "got nothing", &QueryResult::Document(Ok(()), keys.clone()));
    log.note_result("main", "got nothing", &QueryResult::Document(Err(Reason::JwksUnavailable), keys));
    let left_out = "authorization server main: keys left out (2): keys[0]: its use is not sig; keys[2]: its kty is unknown";
    let accepted = "INFO keys or metadata of authorization server main accepted";
    let failed = "ERROR the authorization server's keys or metadata cannot be used: jwks_unavailable, server main: got nothing";
    assert_eq!(
        *lines.0.borrow(),
        [accepted, accepted, &format!("INFO {left_out}"), failed, &format!("WARN {left_out}")]
    );
}

/// A key set in the configuration is no better known to its operator than a published one.
#[test]
fn r152_of_keys_in_the_configuration_the_log_says_it_as_well() {
    let jwks = json!({"keys": [{"kty": "XYZ"}, public(&p256(), json!({}))]});
    let settings = settings(json!({"keys": {"jwks": jwks}}));
    let lines = Lines::default();
    let log = DecisionLog::new(&settings, &CountingRandomness, Box::new(lines.clone()));
    Engine::new(settings.into(), Capabilities::ALL, log.into());
    assert_eq!(
        *lines.0.borrow(),
        ["INFO authorization server main: keys left out (1): keys[0]: its kty is unknown"]
    );
}
