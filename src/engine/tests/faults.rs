//! Scenarios with a server that responds incorrectly: what is counted, and what an operator sees.

use std::cell::RefCell;
use std::rc::Rc;

use log::Level;
use serde_json::json;

use super::{Worker, at};
use crate::engine::{DecisionLog, LogSink};
use crate::host::{NoRandomness, NoSharedData};
use crate::metrics::Counter;
use crate::testing::{self, settings, test};
use crate::time::Timestamp;

/// The lines of a log whose clock stands still.
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

/// Returns a worker and its log.
fn worker(edits: serde_json::Value) -> (Worker<'static>, Lines) {
    let mut worker = Worker::new(edits.clone(), &NoSharedData);
    let lines = Lines::default();
    let log = DecisionLog::new(&settings(edits), &NoRandomness, Box::new(lines.clone()));
    worker.driver.engine().log = Rc::new(log);
    (worker, lines)
}

/// If such a response were not logged, every request would fail and the operator would not see why (LemonLDAP::NG with client_secret_post:
/// 502 for all, and an empty log). A line for each request would fill the disk, and the body may contain anything.
#[test]
fn r196_an_answer_that_should_not_come_is_one_line_with_its_status_and_media_type() {
    const UNEXPECTED: &str =
        "ERROR the authorization server sent an unexpected response to an introspection: ";
    const REFUSED: &str = "ERROR the authorization server refuses the gateway's credentials: check client_id and its secret or key: ";
    const OUTAGE: &str = "WARN the authorization server did not serve an introspection: ";
    for (status, media_type, body, text, detail) in [
        (
            "400",
            "application/json",
            r#"{"error":"invalid_client"}"#,
            REFUSED,
            "gateway_credentials_refused, server main: got status 400 and application/json",
        ),
        (
            "401",
            "",
            "",
            REFUSED,
            "gateway_credentials_refused, server main: got status 401 and another media type",
        ),
        (
            "400",
            "application/json",
            r#"{"error":"invalid_request"}"#,
            UNEXPECTED,
            "unexpected_response, server main: got status 400 and application/json",
        ),
        (
            "404",
            "Text/HTML; charset=utf-8",
            "<html>s3cr3t",
            UNEXPECTED,
            "unexpected_response, server main: got status 404 and text/html",
        ),
        (
            "200",
            "application/problem+json",
            "s3cr3t",
            UNEXPECTED,
            "unexpected_response, server main: got status 200 and application/problem+json",
        ),
        (
            "200",
            "application/jwt",
            "s3cr3t",
            UNEXPECTED,
            "unexpected_response, server main: got status 200 and application/jwt",
        ),
        (
            "200",
            "application/json",
            r#"{"active":true}"#,
            UNEXPECTED,
            "missing_phantom_token, server main: got status 200 and application/json",
        ),
        (
            "302",
            "application/s3cr3t-and-more",
            "",
            UNEXPECTED,
            "unexpected_response, server main: got status 302 and another media type",
        ),
        (
            "200",
            "s3cr3t\r\nline",
            "",
            UNEXPECTED,
            "unexpected_response, server main: got status 200 and another media type",
        ),
        (
            "429",
            "text/plain",
            "s3cr3t",
            OUTAGE,
            "server_rate_limited, server main: got status 429 and text/plain",
        ),
        ("503", "text/html", "s3cr3t", OUTAGE, "unavailable, server main: got status 503 and text/html"),
        (
            "504",
            "text/plain",
            "s3cr3t",
            OUTAGE,
            "introspection_timeout, server main: got status 504 and text/plain",
        ),
    ] {
        let (mut worker, lines) = worker(json!({"introspection": {"circuit_breaker": {"failures": 0}}}));
        worker.answer = (status.to_owned(), body.to_owned(), vec![("content-type", media_type.to_owned())]);
        for token in 0..20 {
            worker.get(0, &format!("token-{token}"));
        }
        let expected = format!("{text}{detail}, expected status 200 and application/jwt");
        assert_eq!(*lines.0.borrow(), [expected], "{status} {media_type} {body}");
        let refused = if text == REFUSED { 20 } else { 0 };
        assert_eq!(worker.counted.of(Counter::IntrospectionCredentialsRefused), refused, "{status} {body}");
    }
}

/// A response about an invalid token is not the server's fault, and a log is not the place to count it.
#[test]
fn r196_an_answer_about_a_token_is_no_line() {
    for (status, body) in
        [("204", ""), ("400", r#"{"error":"invalid_token"}"#), ("200", r#"{"active":false}"#)]
    {
        let (mut worker, lines) = worker(json!({}));
        worker.answer =
            (status.to_owned(), body.to_owned(), vec![("content-type", "application/json".to_owned())]);
        assert_eq!(worker.get(0, "dead"), "inactive");
        worker.answer_with(testing::jwt(json!({})));
        assert!(worker.get(0, "good").starts_with("Bearer"));
        assert_eq!(*lines.0.borrow(), [""; 0], "{status} {body}");
    }
}

/// Unusable keys and metadata are logged in the same way.
#[test]
fn r196_keys_and_metadata_that_cannot_be_used_are_a_line_as_well() {
    let uri = json!({"jwks_uri": "https://login.example.com/jwks"});
    let discovered =
        json!({"metadata_url": "https://login.example.com/.well-known/oauth-authorization-server"});
    for (keys, accept) in
        [(uri, "application/json, application/jwk-set+json"), (discovered, "application/json")]
    {
        let (mut worker, lines) =
            worker(json!({"token": {"issuer": "https://login.example.com"}, "keys": keys}));
        worker.keys = "<html>s3cr3t".to_owned();
        worker.metadata = "<html>s3cr3t".to_owned();
        assert_eq!(worker.get(0, "opaque"), "jwks_unavailable");
        let text = "ERROR the authorization server's keys or metadata cannot be used: unexpected_response, server main: ";
        let expected = format!("{text}got status 200 and application/json, expected status 200 and {accept}");
        assert_eq!(*lines.0.borrow(), [expected]);
    }
}
