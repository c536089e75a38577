//! Which responses are cached, and which workers share them.

use anyhow::ensure;
use integration_tests::deterministic_host::Answer;
use integration_tests::deterministic_host::fixture::orders_of;
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, configured};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Own("a hit ends with its time", |behaviour| {
        let mut story = Story::new(behaviour, json!({"cache": {"max_ttl": "1m", "refresh_ahead": "0s"}}))?;
        story.ask_active(&orders_of(TOKEN))?;
        story.wait(61);
        story.refuses_after(&orders_of(TOKEN), Answer::response(204, "", ""), 401, "invalid_token")?;
        ensure!(story.questions() == 2);
        Ok(story)
    }),
    Scenario::Usual("a dead token is remembered for a moment", |story| {
        story.ask(&orders_of(TOKEN), Answer::response(204, "", ""))?;
        story.refuses(&orders_of(TOKEN), 401, "invalid_token")?;
        ensure!(story.questions() == 1);
        story.wait(3);
        story.serves(&orders_of(TOKEN))?;
        Ok(())
    }),
    Scenario::Own("another worker shares the answer", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| setup.workers = 2)?;
        story.ask_active(&orders_of(TOKEN))?;
        let id = story.send_to(1, &orders_of(TOKEN))?;
        story.passes(id)?;
        ensure!(story.questions() == 1);
        Ok(story)
    }),
    Scenario::Own("slots that collide mix nothing up", |behaviour| {
        let cache = json!({"cache": {"max_entries": 16}});
        let mut story = Story::set_up(behaviour, |setup| {
            setup.workers = 2;
            setup.configuration = configured(cache);
        })?;
        let tokens: Vec<String> = (0..64).map(|number| format!("opaque-{number}")).collect();
        for (number, token) in tokens.iter().enumerate() {
            let active = story.active(json!({"sub": format!("user-{number}")}));
            story.ask(&orders_of(token), active)?;
        }
        ensure!(story.host.shared_keys() <= 16, "there are more keys than slots");
        for (number, token) in tokens.iter().enumerate() {
            let id = story.send_to(1, &orders_of(token))?;
            let active = story.active(json!({"sub": format!("user-{number}")}));
            story.answer(active)?;
            let claims = integration_tests::jwt::claims(&story.passes(id)?)?;
            ensure!(claims["sub"] == format!("user-{number}"), "{token} got {claims}");
        }
        Ok(story)
    }),
    Scenario::Usual("requests with one token share a question where the host can switch", |story| {
        let ids =
            [story.send(&orders_of(TOKEN))?, story.send(&orders_of(TOKEN))?, story.send(&orders_of(TOKEN))?];
        // Where the effective context cannot be switched, a filter that tried would change the wrong request.
        ensure!(story.questions() == story.on(1, 3));
        story.answer_active()?;
        ids.iter().try_for_each(|id| story.passes(*id).map(drop))?;
        Ok(())
    }),
    Scenario::Usual("the client that asked goes away", |story| {
        let [first, second] = [story.send(&orders_of(TOKEN))?, story.send(&orders_of(TOKEN))?];
        story.host.disconnect(first)?;
        let active = story.active(json!({}));
        // Envoy drops the response for the client that left, and the root context introspects again; in ngx_wasm_module the second request
        // introspects on its own.
        story.answer(active.clone())?;
        story.wait(1);
        story.host.tick()?;
        story.answer(active)?;
        story.passes(second)?;
        Ok(())
    }),
];
