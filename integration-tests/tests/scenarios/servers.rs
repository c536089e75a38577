//! Several authorization servers, and those that answer without a JWT.

use anyhow::ensure;
use integration_tests::deterministic_host::fixture::{ISSUER, orders_of};
use integration_tests::deterministic_host::{Answer, Request};
use integration_tests::{jwt, keys};
use serde_json::{Value, json};

use crate::Scenario;
use crate::story::{Story, TOKEN};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Own("each rule asks its own server", |behaviour| {
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
    }),
    Scenario::Own("a JWT is minted, once", |behaviour| {
        let mut story = Story::new(
            behaviour,
            json!({
                "introspection": {"response": {"accept": "application/json"}},
                "mint": {
                    "issuer": "https://gateway.example.com", "audience": "orders-api",
                    "keys": [{"private_key": keys::p256_pem()}],
                },
            }),
        )?;
        let mut claims = story.claims(json!({}));
        claims["active"] = json!(true);
        let answer = Answer::response(200, "application/json", claims.to_string());
        let first = story.ask(&orders_of(TOKEN), answer)?;
        let minted = story.passes(first)?;
        let said = jwt::claims(&minted)?;
        ensure!(said["iss"] == "https://gateway.example.com" && said["sub"] == "alice", "{said}");
        story.issue(minted.clone());
        let second = story.send(&orders_of(TOKEN))?;
        ensure!(story.passes(second)? == minted, "a hit signs again");
        let inactive = Answer::response(200, "application/json", r#"{"active":false}"#);
        story.refuses_when_told(&orders_of("opaque-2"), inactive, 401, "invalid_token")?;
        let set = story.send(&Request::get("/.well-known/jwks.json"))?;
        ensure!(story.host.stream(set).state().status() == Some(200));
        Ok(story)
    }),
];

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
