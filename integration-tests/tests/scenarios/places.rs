//! Tokens elsewhere than in `Authorization`, and requests that need none.

use anyhow::ensure;
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Behaviour, Request, State};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Own("a token in the query or in a cookie is taken out", |behaviour| {
        // Kong's host forwards the query as it came.
        let credentials = match behaviour {
            Behaviour::Envoy => json!({"query_parameter": "access_token", "cookie": "session"}),
            Behaviour::NgxWasm => json!({"cookie": "session"}),
        };
        let mut story = Story::new(behaviour, json!({"token_sources": credentials}))?;
        let active = story.active(json!({}));
        if behaviour == Behaviour::Envoy {
            let query = story.send(&Request::get(&format!("/orders?page=2&access_token={TOKEN}")))?;
            story.answer(active.clone())?;
            story.passes(query)?;
            ensure!(story.forwarded(query)?.text(":path") == "/orders?page=2");
            story.host.respond(query, 200, &[])?;
            let head = story.host.stream(query).response().map(|head| head.text("cache-control").to_owned());
            ensure!(head.as_deref() == Some("private"), "{head:?}");
        }
        let cookie =
            story.send(&Request::get("/orders").header("cookie", format!("theme=dark; session={TOKEN}")))?;
        story.answer(active)?;
        story.passes(cookie)?;
        ensure!(story.forwarded(cookie)?.text("cookie") == "theme=dark");
        story.refuses(
            &orders_of(TOKEN).header("cookie", format!("session={TOKEN}")),
            400,
            "invalid_request",
        )?;
        Ok(story)
    }),
    Scenario::Own("a preflight passes for origins that may call", |behaviour| {
        let cors = json!({"cors": {"allow_origins": ["https://app.example.com"]}});
        let mut story = Story::new(behaviour, cors)?;
        let preflight = |origin: &str| {
            let request = Request::get("/orders").method("OPTIONS").header("origin", origin);
            request.header("access-control-request-method", "GET")
        };
        story.lets_go_bare(&preflight("https://app.example.com"))?;
        story.refuses(&preflight("https://elsewhere.example.com"), 401, "Bearer")?;
        Ok(story)
    }),
    Scenario::Own("the metadata are for all, and challenges point to them", |behaviour| {
        let metadata = json!({"resource": "https://api.example.com", "authorization_servers": ["https://login.example.com"]});
        let mut story = Story::new(behaviour, json!({"resource_metadata": [metadata]}))?;
        let document = story.send(&Request::get("/.well-known/oauth-protected-resource"))?;
        let State::Replied { status: 200, body, .. } = story.host.stream(document).state().clone() else {
            anyhow::bail!("{:?}", story.host.stream(document).state())
        };
        ensure!(body.contains("https://api.example.com"), "{body}");
        story.refuses(&Request::get("/orders"), 401, "resource_metadata=")?;
        Ok(story)
    }),
];
