use std::rc::Rc;

use serde_json::json;

use super::*;
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

/// If this failed, an operator would look for the fault in tokens whose key is published and not used; or a server could write into the
/// log of the gateway.
#[test]
fn r110_r152_the_log_says_which_keys_are_left_out_and_why_without_a_text_from_outside() {
    let lines = Lines::default();
    let log = DecisionLog::new(&settings(json!({})), &CountingRandomness, Box::new(lines.clone()));
    let key = |index, reason| UnusableKey { index, kid: Some("\nfrom outside".to_owned()), reason };
    let keys = vec![key(0, "its use is not sig"), key(2, "its kty is unknown")];
    log.note_result("main", "got nothing", &QueryResult::Document(Ok(()), Vec::new()));
    log.note_result("main", "got nothing", &QueryResult::Document(Ok(()), keys.clone()));
    log.note_result("main", "got nothing", &QueryResult::Document(Err(Reason::JwksUnavailable), keys));
    let left_out = "2 keys of authorization server main are left out: keys[0]: its use is not sig; keys[2]: its kty is unknown";
    let accepted = "INFO keys or metadata of authorization server main accepted";
    let failed = "ERROR the authorization server's keys or metadata cannot be used: jwks_unavailable, server main: got nothing";
    assert_eq!(
        *lines.0.borrow(),
        [accepted, accepted, &format!("INFO {left_out}"), failed, &format!("WARN {left_out}")]
    );
}
