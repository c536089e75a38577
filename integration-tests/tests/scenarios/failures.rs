//! Callouts that fail, in every way in which hosts report it.

use anyhow::ensure;
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Answer, Status};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Usual("a token that is too long", |story| {
        story.refuses(&orders_of(&"opaque-".repeat(2000)), 431, "")
    }),
    Scenario::Usual("the host refuses to dispatch", |story| {
        story.host.refuse("proxy_http_call", Status::BadArgument, 1);
        story.refuses(&orders_of(TOKEN), 503, "")
    }),
    Scenario::Usual("no answer", |story| {
        // Envoy replies to the callout itself, with 504 or 503; ngx_wasm_module calls back without header fields, whatever the reason.
        let [timeout, other] = story.on([504, 503], [503, 503]);
        for (answer, status) in
            [(Answer::TimedOut, timeout), (Answer::Refused, other), (Answer::Reset, other)]
        {
            story.refuses_after(&orders_of(TOKEN), answer, status, "")?;
        }
        Ok(())
    }),
    Scenario::Own("answers that are no text", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"introspection": {"circuit_breaker": {"failures": 0}}}))?;
        for (answer, status) in [
            (Answer::response(200, "application/jwt", vec![b'e'; 200_000]), 502),
            (Answer::response(200, "application/jwt", vec![0xff; 40]), 502),
        ] {
            let what = format!("{answer:?}").chars().take(120).collect::<String>();
            story
                .refuses_after(&orders_of(TOKEN), answer, status, "")
                .map_err(|error| error.context(what))?;
        }
        Ok(story)
    }),
    Scenario::Own("a server that fails again and again is left alone, and tried by one", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"introspection": {"circuit_breaker": {"failures": 3}}}))?;
        for number in 0..3 {
            story.ask(&orders_of(&format!("opaque-{number}")), Answer::Refused)?;
        }
        story.refuses(&orders_of(TOKEN), 503, "")?;
        ensure!(story.questions() == 3, "it is asked although the circuit is open");
        story.wait(6);
        let [trial, other] = [story.send(&orders_of("opaque-8"))?, story.send(&orders_of("opaque-9"))?];
        story.refused(other, 503, "")?;
        story.answer_active()?;
        story.passes(trial)?;
        story.serves(&orders_of("opaque-9"))?;
        Ok(story)
    }),
    Scenario::Own("an old answer serves while the server fails", |behaviour| {
        let cache = json!({"max_ttl": "1m", "stale_if_error": "5m", "refresh_ahead": "0s"});
        let mut story = Story::new(behaviour, json!({"cache": cache}))?;
        story.ask_active(&orders_of(TOKEN))?;
        story.wait(61);
        let id = story.ask(&orders_of(TOKEN), Answer::Refused)?;
        story.passes(id)?;
        story.wait(300);
        story.refuses_after(&orders_of(TOKEN), Answer::Refused, 503, "")?;
        Ok(story)
    }),
];
