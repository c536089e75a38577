//! Tokens of all kinds, presented as they are.

use integration_tests::deterministic_host::{Answer, Request};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, orders};

pub const SCENARIOS: &[Scenario] = &[
    ("no token on a public route", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&Request::get("/public/index.html"))?;
        story.goes_on_bare(id)?;
        let id = story.send(&Request::get("/public/index.html").bearer(TOKEN))?;
        story.goes_on_bare(id)?;
        assert_eq!(story.questions(), 0);
        Ok(story)
    }),
    ("no token", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&Request::get("/orders"))?;
        story.refused(id, 401, "Bearer realm=")?;
        let id = story.send(&Request::get("/orders").header("authorization", "Basic Zm9vOmJhcg=="))?;
        story.refused(id, 401, "Bearer realm=")?;
        Ok(story)
    }),
    ("malformed", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&orders("opaque-\u{e9}"))?;
        story.refused(id, 401, "invalid_token")?;
        let id = story.send(&Request::get("/orders").header("authorization", "Bearer opaque-1 opaque-2"))?;
        story.refused(id, 400, "invalid_request")?;
        assert_eq!(story.questions(), 0, "what is no token is not asked about");
        Ok(story)
    }),
    ("two tokens", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&orders(TOKEN).bearer("opaque-2"))?;
        story.refused(id, 400, "invalid_request")?;
        Ok(story)
    }),
    ("too long", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&orders(&"opaque-".repeat(2000)))?;
        story.refused(id, 431, "")?;
        Ok(story)
    }),
    ("not exposed", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let id = story.send(&Request::get("/internal").bearer(TOKEN))?;
        story.refused(id, 403, "")?;
        assert_eq!(story.questions(), 0);
        Ok(story)
    }),
    ("active", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let active = story.active(json!({}));
        let id = story.ask(&orders(TOKEN), active)?;
        story.passes(id)?;
        Ok(story)
    }),
    ("not active", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        for (token, answer) in [
            ("opaque-1", Answer::response(204, "", "")),
            ("opaque-2", Answer::response(200, "application/json", r#"{"active":false}"#)),
        ] {
            let id = story.ask(&orders(token), answer)?;
            story.refused(id, 401, "invalid_token")?;
        }
        Ok(story)
    }),
    ("active, but not good for this", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let past = story.host.now().as_secs() - 60;
        for (number, edits, status, challenge) in [
            (1, json!({"exp": past}), 401, "invalid_token"),
            (2, json!({"nbf": past + 3600}), 401, "invalid_token"),
            (3, json!({"iss": "https://elsewhere.example.com"}), 401, "invalid_token"),
            (4, json!({"aud": "billing-api"}), 401, "invalid_token"),
            (5, json!({"scope": "orders:write"}), 403, "insufficient_scope"),
        ] {
            let answer = story.active(edits);
            let id = story.ask(&orders(&format!("opaque-{number}")), answer)?;
            story.refused(id, status, challenge)?;
        }
        Ok(story)
    }),
];
