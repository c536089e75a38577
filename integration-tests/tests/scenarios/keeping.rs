//! What is kept of answers, and who shares it.

use anyhow::ensure;
use integration_tests::deterministic_host::{Answer, Request};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, configured, orders};

pub const SCENARIOS: &[Scenario] = &[
    ("a hit is judged by its own rule", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let active = story.active(json!({}));
        let first = story.ask(&orders(TOKEN), active)?;
        let second = story.send(&orders(TOKEN))?;
        ensure!(story.passes(first)? == story.passes(second)?);
        let third = story.send(&Request::get("/invoices").bearer(TOKEN))?;
        story.refused(third, 403, "insufficient_scope")?;
        ensure!(story.questions() == 1);
        Ok(story)
    }),
    ("a hit ends with its time", |behaviour| {
        let mut story = Story::new(behaviour, json!({"cache": {"max_ttl": "1m", "refresh_ahead": "0s"}}))?;
        let active = story.active(json!({}));
        story.ask(&orders(TOKEN), active)?;
        story.wait(61);
        let late = story.ask(&orders(TOKEN), Answer::response(204, "", ""))?;
        story.refused(late, 401, "invalid_token")?;
        ensure!(story.questions() == 2);
        Ok(story)
    }),
    ("what must not be kept is not", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        for _ in 0..2 {
            let active = story.active(json!({})).header("cache-control", "no-store");
            let id = story.ask(&orders(TOKEN), active)?;
            story.passes(id)?;
        }
        ensure!(story.questions() == 2);
        Ok(story)
    }),
    ("a dead token is remembered for a moment", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        story.ask(&orders(TOKEN), Answer::response(204, "", ""))?;
        let again = story.send(&orders(TOKEN))?;
        story.refused(again, 401, "invalid_token")?;
        ensure!(story.questions() == 1);
        story.wait(3);
        let active = story.active(json!({}));
        let late = story.ask(&orders(TOKEN), active)?;
        story.passes(late)?;
        Ok(story)
    }),
    ("another worker shares the answer", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| setup.workers = 2)?;
        let active = story.active(json!({}));
        story.ask(&orders(TOKEN), active)?;
        let id = story.send_to(1, &orders(TOKEN))?;
        story.passes(id)?;
        ensure!(story.questions() == 1);
        Ok(story)
    }),
    ("slots that collide mix nothing up", |behaviour| {
        let cache = json!({"cache": {"max_entries": 16}});
        let mut story = Story::set_up(behaviour, |setup| {
            setup.workers = 2;
            setup.configuration = configured(cache);
        })?;
        let tokens: Vec<String> = (0..64).map(|number| format!("opaque-{number}")).collect();
        for (number, token) in tokens.iter().enumerate() {
            let active = story.active(json!({"sub": format!("user-{number}")}));
            story.ask(&orders(token), active)?;
        }
        ensure!(story.host.shared_keys() <= 16, "there are more keys than slots");
        for (number, token) in tokens.iter().enumerate() {
            let id = story.send_to(1, &orders(token))?;
            let active = story.active(json!({"sub": format!("user-{number}")}));
            story.answer(active)?;
            let claims = integration_tests::jwt::claims(&story.passes(id)?)?;
            ensure!(claims["sub"] == format!("user-{number}"), "{token} got {claims}");
        }
        Ok(story)
    }),
    ("requests with one token share a question where the host can switch", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let ids = [story.send(&orders(TOKEN))?, story.send(&orders(TOKEN))?, story.send(&orders(TOKEN))?];
        // Where the effective context stays what it is, a filter that tried would change the wrong request.
        ensure!(story.questions() == story.on(1, 3));
        let active = story.active(json!({}));
        story.answer(active)?;
        ids.iter().try_for_each(|id| story.passes(*id).map(drop))?;
        Ok(story)
    }),
    ("the client that asked goes away", |behaviour| {
        let mut story = Story::new(behaviour, json!({}))?;
        let [first, second] = [story.send(&orders(TOKEN))?, story.send(&orders(TOKEN))?];
        story.host.disconnect(first)?;
        let active = story.active(json!({}));
        // Envoy drops the answer to who is gone, and the root context asks again; ngx_wasm_module had the second ask for itself.
        story.answer(active.clone())?;
        story.wait(1);
        story.host.tick()?;
        story.answer(active)?;
        story.passes(second)?;
        Ok(story)
    }),
];
