//! Several authorization servers.

use anyhow::ensure;
use integration_tests::deterministic_host::Request;
use integration_tests::deterministic_host::fixture::ISSUER;
use serde_json::{Value, json};

use crate::Scenario;
use crate::story::{Story, TOKEN};

pub const SCENARIOS: &[Scenario] = &[Scenario::Own("each rule asks its own server", |behaviour| {
    let mut story = Story::new(
        behaviour,
        json!({
            "introspection": null,
            "token": null,
            "authorization_servers": [server("staff"), server("partners")],
            "rules": [
                {"path": "/orders", "authorization_server": "staff"},
                {"path": "/invoices", "authorization_server": "partners"},
            ],
        }),
    )?;
    for (path, name) in [("/orders", "staff"), ("/invoices", "partners")] {
        let id = story.send(&Request::get(path).bearer(TOKEN))?;
        let question = story.question()?;
        ensure!(story.host.callout(question).upstream == name, "what one said is taken for another");
        let active = story.active(json!({"iss": format!("https://{name}.example.com")}));
        story.answer(active)?;
        story.passes(id)?;
    }
    Ok(story)
})];

fn server(name: &str) -> Value {
    json!({
        "name": name,
        "introspection": {
            "endpoint": format!("{ISSUER}/{name}"), "upstream": name,
            "client_id": "gateway", "client_secret": "the-secret-of-the-gateway",
        },
        "token": {"issuer": format!("https://{name}.example.com"), "audience": ["orders-api"]},
    })
}
