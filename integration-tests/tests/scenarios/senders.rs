//! Tokens bound to their sender's key (RFC 9449).

use anyhow::Result;
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Behaviour, Request};
use integration_tests::dpop::{self, DpopKey};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Own("a good proof, once", |behaviour| {
        let (mut story, key) = bound(behaviour)?;
        let request = proven(&story, &key, "https://api.example.com/orders", "first");
        let id = story.send(&request)?;
        let active = story.active(json!({"cnf": {"jkt": key.thumbprint()}}));
        story.answer(active)?;
        story.passes(id)?;
        for worker in [0, 1] {
            let id = story.send_to(worker, &request)?;
            story.refused(id, 401, "invalid_dpop_proof")?;
        }
        let request = proven(&story, &key, "https://api.example.com/orders", "second");
        story.passes_at_once(&request)?;
        Ok(story)
    }),
    Scenario::Own("proofs that are for something else", |behaviour| {
        let (mut story, key) = bound(behaviour)?;
        for (number, uri) in ["https://api.example.com/invoices", "https://elsewhere.example.com/orders"]
            .into_iter()
            .enumerate()
        {
            let request = proven(&story, &key, uri, &number.to_string());
            story.refuses(&request, 401, "invalid_dpop_proof")?;
        }
        Ok(story)
    }),
    Scenario::Own("a stolen token", |behaviour| {
        let (mut story, key) = bound(behaviour)?;
        let bearer = story.send(&orders_of(TOKEN))?;
        let active = story.active(json!({"cnf": {"jkt": key.thumbprint()}}));
        story.answer(active)?;
        story.refused(bearer, 401, "invalid_token")?;
        let thief = DpopKey::new()?;
        let request = proven(&story, &thief, "https://api.example.com/orders", "thief");
        story.refuses(&request, 401, "invalid_token")?;
        Ok(story)
    }),
];

fn bound(behaviour: Behaviour) -> Result<(Story, DpopKey)> {
    let story = Story::set_up(behaviour, |setup| {
        setup.workers = 2;
        setup.configuration["token"]["dpop"] = json!("allowed");
        setup.configuration["dpop"] = json!({"origins": ["https://api.example.com"]});
    })?;
    Ok((story, DpopKey::published()?))
}

fn proven(story: &Story, key: &DpopKey, uri: &str, id: &str) -> Request {
    let mut claims = dpop::claims("GET", uri, TOKEN);
    claims["iat"] = json!(story.host.now().as_secs());
    claims["jti"] = json!(id);
    let request = Request::get("/orders").header("authorization", format!("DPoP {TOKEN}"));
    request.header("dpop", key.sign(&claims))
}
