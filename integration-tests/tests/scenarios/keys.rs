//! Signatures: of the JWT in a response, and of JWTs that clients present.

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Answer, Behaviour};
use integration_tests::{jwt, keys};
use serde_json::{Value, json};

use crate::Scenario;
use crate::story::{Story, TOKEN, configured};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Own("keys are fetched, and again when there are new ones", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"keys": {"jwks_uri": "https://login.example.com/jwks"}}))?;
        let first = signed(&mut story, "old", json!({}));
        let id = story.ask(&orders_of(TOKEN), Answer::jwt(&first))?;
        let fetch = story.question()?;
        ensure!(story.host.callout(fetch).headers.text(":path") == "/jwks");
        story.answer(published(&["old"]))?;
        story.passes(id)?;
        // Right after a fetch, an unknown key causes none: otherwise a client would decide how often keys are fetched.
        let second = signed(&mut story, "new", json!({"jti": "2"}));
        let id = story.ask(&orders_of("opaque-2"), Answer::jwt(&second))?;
        ensure!(story.host.open_callouts().is_empty());
        ensure!(story.passes(id).is_err());
        story.wait(31);
        let id = story.ask(&orders_of("opaque-3"), Answer::jwt(&second))?;
        story.answer(published(&["old", "new"]))?;
        story.passes(id)?;
        Ok(story)
    }),
    Scenario::Own("keys in use are fetched ahead of their age, once, and nobody waits", |behaviour| {
        let mut story = sharing(behaviour, json!({}))?;
        let jwt = signed(&mut story, "old", json!({}));
        story.ask(&orders_of(TOKEN), Answer::jwt(&jwt))?;
        story.answer(published(&["old"]))?;
        let tokens: Vec<String> = (0..20).map(|number| format!("opaque-{number}")).collect();
        for token in &tokens {
            story.ask(&orders_of(token), Answer::jwt(&jwt))?;
        }
        story.wait(545);
        let before = story.questions();
        for worker in [0, 1] {
            let id = story.send_to(worker, &orders_of(TOKEN))?;
            ensure!(story.passes(id)? == jwt);
        }
        ensure!(story.questions() == before, "it waits for the timer");
        story.host.tick()?;
        let fetch = story.question()?;
        ensure!(story.host.callout(fetch).headers.text(":path") == "/jwks");
        story.answer(published(&["old", "new"]))?;
        story.wait(60);
        for worker in [0, 1] {
            for token in &tokens {
                let id = story.send_to(worker, &orders_of(token))?;
                ensure!(story.passes(id)? == jwt);
            }
        }
        story.host.tick()?;
        ensure!(story.questions() == before + 1, "{} questions", story.questions() - before);
        Ok(story)
    }),
    Scenario::Own("what a removed key verified ends on all workers", |behaviour| {
        let mut story = sharing(behaviour, json!({}))?;
        for (token, key) in [(TOKEN, "old"), ("opaque-2", "new")] {
            let jwt = signed(&mut story, key, json!({}));
            let first = story.ask(&orders_of(token), Answer::jwt(&jwt))?;
            story.answer(published(&["old", "new"]))?;
            let second = story.send_to(1, &orders_of(token))?;
            ensure!(story.passes(first)? == story.passes(second)?);
        }
        story.wait(545);
        story.send(&orders_of("opaque-2"))?;
        story.host.tick()?;
        story.answer(published(&["new"]))?;
        story.wait(1);
        for worker in [0, 1] {
            let lasting = story.send_to(worker, &orders_of("opaque-2"))?;
            story.passes(lasting)?;
            let ended = story.send_to(worker, &orders_of(TOKEN))?;
            story.answer(Answer::Refused)?;
            story.refused(ended, 503, "")?;
        }
        Ok(story)
    }),
    Scenario::Own("keys that cannot be fetched again serve on", |behaviour| {
        let mut story = sharing(behaviour, json!({}))?;
        let jwt = signed(&mut story, "key", json!({}));
        story.ask(&orders_of(TOKEN), Answer::jwt(&jwt))?;
        story.answer(published(&["key"]))?;
        story.wait(500);
        let before = story.questions();
        for _ in 0..300 {
            story.wait(1);
            for worker in [0, 1] {
                let id = story.send_to(worker, &orders_of(TOKEN))?;
                ensure!(story.passes(id)? == jwt);
            }
            story.host.tick()?;
            story.answer(Answer::Refused)?;
        }
        // From the 540th second to the 800th, with a cool-down of 30 s.
        ensure!((8..=9).contains(&(story.questions() - before)), "{}", story.questions() - before);
        Ok(story)
    }),
    Scenario::Own("a renewal fetches the keys that its answer needs", |behaviour| {
        let cache = json!({"max_ttl": "2m", "refresh_ahead": "30s"});
        let mut story = sharing(behaviour, json!({"cache": cache}))?;
        let old = signed(&mut story, "old", json!({}));
        story.ask(&orders_of(TOKEN), Answer::jwt(&old))?;
        story.answer(published(&["old"]))?;
        story.wait(95);
        let new = signed(&mut story, "new", json!({"jti": "2"}));
        for _ in 0..2 {
            let id = story.send(&orders_of(TOKEN))?;
            ensure!(story.passes(id)? == old);
            // The refresh, then the keys; and once they are available, another attempt.
            for _ in 0..2 {
                story.wait(1);
                story.host.tick()?;
                for callout in story.host.open_callouts() {
                    let answer = match story.host.callout(callout).headers.text(":path") {
                        "/jwks" => published(&["new", "old"]),
                        _ => Answer::jwt(&new),
                    };
                    story.host.answer(callout, answer)?;
                }
            }
        }
        let id = story.send(&orders_of(TOKEN))?;
        ensure!(story.passes(id)? == new);
        Ok(story)
    }),
    Scenario::Own("keys cannot be had", |behaviour| {
        let mut story =
            Story::new(behaviour, json!({"keys": {"jwks_uri": "https://login.example.com/jwks"}}))?;
        let jwt = signed(&mut story, "key", json!({}));
        let id = story.ask(&orders_of(TOKEN), Answer::jwt(&jwt))?;
        story.answer(Answer::Refused)?;
        story.refused(id, 503, "")?;
        Ok(story)
    }),
];

/// A setup with two workers, published keys, and responses that are cached for long.
fn sharing(behaviour: Behaviour, edits: Value) -> Result<Story> {
    let mut configuration = configured(json!({
        "keys": {"jwks_uri": "https://login.example.com/jwks"}, "cache": {"max_ttl": "50m"},
    }));
    for (name, edit) in edits.as_object().into_iter().flatten() {
        configuration[name] = edit.clone();
    }
    Story::set_up(behaviour, |setup| {
        setup.workers = 2;
        setup.configuration = configuration;
    })
}

fn public_key(kid: &str) -> Value {
    let mut key = keys::public(&keys::p256());
    key["kid"] = json!(kid);
    key
}

fn published(kids: &[&str]) -> Answer {
    let keys: Vec<Value> = kids.iter().map(|kid| public_key(kid)).collect();
    Answer::response(200, "application/json", json!({"keys": keys}).to_string())
}

fn signed(story: &mut Story, kid: &str, edits: Value) -> String {
    let claims = story.claims(edits);
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid});
    story.issue(jwt::signed(&header, &claims))
}
