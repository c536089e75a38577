//! Callouts that fail, in every way that hosts have for it.

use anyhow::ensure;
use integration_tests::deterministic_host::{Answer, Status};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, orders};

pub const SCENARIOS: &[Scenario] = &[
    ("the host refuses to dispatch", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        story.host.refuse("proxy_http_call", Status::BadArgument, 1);
        let id = story.send(&orders(TOKEN))?;
        story.refused(id, 503, "")?;
        Ok(story)
    }),
    ("no answer", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        // Envoy answers by itself, 504 or 503; the other calls back without header fields, whatever the reason was.
        let [timeout, other] = story.on([504, 503], [503, 503]);
        for (answer, status) in
            [(Answer::TimedOut, timeout), (Answer::Refused, other), (Answer::Reset, other)]
        {
            let id = story.ask(&orders(TOKEN), answer)?;
            story.refused(id, status, "")?;
        }
        Ok(story)
    }),
    ("answers that are none", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"introspection": {"circuit_breaker": {"failures": 0}}}))?;
        let jwt = story.jwt(json!({}));
        for (answer, status) in [
            (Answer::response(500, "text/plain", "oops"), 503),
            (Answer::response(429, "", ""), 503),
            (Answer::response(401, "application/json", r#"{"error":"invalid_client"}"#), 502),
            (Answer::response(404, "application/jwt", jwt.clone()), 502),
            (Answer::response(200, "text/html", jwt), 502),
            (Answer::response(200, "application/jwt", vec![b'e'; 200_000]), 502),
            (Answer::response(200, "application/jwt", vec![0xff; 40]), 502),
            (Answer::response(200, "application/json", r#"{"active":true}"#), 502),
            (Answer::response(200, "application/jwt", "not.a.jwt"), 502),
        ] {
            let what = format!("{answer:?}").chars().take(120).collect::<String>();
            let id = story.ask(&orders(TOKEN), answer)?;
            story.refused(id, status, "").map_err(|error| error.context(what))?;
        }
        Ok(story)
    }),
    ("a server that fails again and again is left alone, and tried by one", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"introspection": {"circuit_breaker": {"failures": 3}}}))?;
        for number in 0..3 {
            story.ask(&orders(&format!("opaque-{number}")), Answer::Refused)?;
        }
        let withheld = story.send(&orders(TOKEN))?;
        story.refused(withheld, 503, "")?;
        ensure!(story.questions() == 3, "it is asked although the circuit is open");
        story.wait(6);
        let [trial, other] = [story.send(&orders("opaque-8"))?, story.send(&orders("opaque-9"))?];
        story.refused(other, 503, "")?;
        let active = story.active(json!({}));
        story.answer(active)?;
        story.passes(trial)?;
        let active = story.active(json!({}));
        let after = story.ask(&orders("opaque-9"), active)?;
        story.passes(after)?;
        Ok(story)
    }),
    ("an old answer serves while the server fails", |behaviour| {
        let cache = json!({"max_ttl": "1m", "stale_if_error": "5m", "refresh_ahead": "0s"});
        let mut story = Story::new(behaviour, json!({"cache": cache}))?;
        let active = story.active(json!({}));
        story.ask(&orders(TOKEN), active)?;
        story.wait(61);
        let id = story.ask(&orders(TOKEN), Answer::Refused)?;
        story.passes(id)?;
        story.wait(300);
        let id = story.ask(&orders(TOKEN), Answer::Refused)?;
        story.refused(id, 503, "")?;
        Ok(story)
    }),
];
