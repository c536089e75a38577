//! Tokens of all kinds, presented as they are.

use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Answer, Request};
use serde_json::json;

use crate::Scenario;
use crate::story::TOKEN;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Usual("no token on a public route", |story| {
        story.lets_go_bare(&Request::get("/public/index.html"))?;
        story.lets_go_bare(&Request::get("/public/index.html").bearer(TOKEN))?;
        assert_eq!(story.questions(), 0);
        Ok(())
    }),
    Scenario::Usual("no token", |story| {
        story.refuses(&Request::get("/orders"), 401, "Bearer realm=")?;
        story.refuses(
            &Request::get("/orders").header("authorization", "Basic Zm9vOmJhcg=="),
            401,
            "Bearer realm=",
        )
    }),
    Scenario::Usual("malformed", |story| {
        story.refuses(&orders_of("opaque-\u{e9}"), 401, "invalid_token")?;
        story.refuses(
            &Request::get("/orders").header("authorization", "Bearer opaque-1 opaque-2"),
            400,
            "invalid_request",
        )?;
        assert_eq!(story.questions(), 0, "what is no token is not asked about");
        Ok(())
    }),
    Scenario::Usual("two tokens", |story| {
        story.refuses(&orders_of(TOKEN).bearer("opaque-2"), 400, "invalid_request")
    }),
    Scenario::Usual("too long", |story| story.refuses(&orders_of(&"opaque-".repeat(2000)), 431, "")),
    Scenario::Usual("not exposed", |story| {
        story.refuses(&Request::get("/internal").bearer(TOKEN), 403, "")?;
        assert_eq!(story.questions(), 0);
        Ok(())
    }),
    Scenario::Usual("active", |story| {
        story.serves(&orders_of(TOKEN))?;
        Ok(())
    }),
    Scenario::Usual("not active", |story| {
        for (token, answer) in [
            ("opaque-1", Answer::response(204, "", "")),
            ("opaque-2", Answer::response(200, "application/json", r#"{"active":false}"#)),
        ] {
            story.refuses_when_told(&orders_of(token), answer, 401, "invalid_token")?;
        }
        Ok(())
    }),
    Scenario::Usual("active, but not good for this", |story| {
        let past = story.host.now().as_secs() - 60;
        for (number, edits, status, challenge) in [
            (1, json!({"exp": past}), 401, "invalid_token"),
            (2, json!({"nbf": past + 3600}), 401, "invalid_token"),
            (3, json!({"iss": "https://elsewhere.example.com"}), 401, "invalid_token"),
            (4, json!({"aud": "billing-api"}), 401, "invalid_token"),
            (5, json!({"scope": "orders:write"}), 403, "insufficient_scope"),
        ] {
            let answer = story.active(edits);
            story.refuses_when_told(&orders_of(&format!("opaque-{number}")), answer, status, challenge)?;
        }
        Ok(())
    }),
];
