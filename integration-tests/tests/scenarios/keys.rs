//! Signatures: of the JWT in an answer, and of JWTs that clients present.

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::{Answer, Behaviour};
use integration_tests::{jwt, keys};
use serde_json::{Value, json};

use crate::Scenario;
use crate::story::{Story, TOKEN, orders};

pub const SCENARIOS: &[Scenario] = &[
    ("keys are fetched, and again when there are new ones", |behaviour| {
        let mut story = Story::new(behaviour, json!({"keys": {"uri": "https://login.example.com/jwks"}}))?;
        let first = signed(&mut story, "old", json!({}));
        let id = story.ask(&orders(TOKEN), Answer::jwt(&first))?;
        let fetch = story.question()?;
        ensure!(story.host.callout(fetch).headers.text(":path") == "/jwks");
        story.answer(published(&["old"]))?;
        story.passes(id)?;
        // Right after a fetch, an unknown key fetches nothing: whoever presents one would decide how often that is.
        let second = signed(&mut story, "new", json!({"jti": "2"}));
        let id = story.ask(&orders("opaque-2"), Answer::jwt(&second))?;
        ensure!(story.host.open_callouts().is_empty());
        ensure!(story.passes(id).is_err());
        story.wait(31);
        let id = story.ask(&orders("opaque-3"), Answer::jwt(&second))?;
        story.answer(published(&["old", "new"]))?;
        story.passes(id)?;
        Ok(story)
    }),
    ("keys cannot be had", |behaviour| {
        let mut story = Story::new(behaviour, json!({"keys": {"uri": "https://login.example.com/jwks"}}))?;
        let jwt = signed(&mut story, "key", json!({}));
        let id = story.ask(&orders(TOKEN), Answer::jwt(&jwt))?;
        story.answer(Answer::Refused)?;
        story.refused(id, 503, "")?;
        Ok(story)
    }),
    ("the answer's signature is wrong", |behaviour| {
        let mut story = Story::new(behaviour, json!({"keys": configured_keys()}))?;
        let claims = story.claims(json!({}));
        let id = story.ask(&orders(TOKEN), Answer::jwt(&jwt::with_claims(&claims)))?;
        story.refused(id, 502, "")?;
        Ok(story)
    }),
    ("a JWT access token is verified here", |behaviour| {
        let mut story = presenting(behaviour)?;
        let good = signed(&mut story, "key", json!({}));
        let id = story.send(&orders(&good))?;
        ensure!(story.passes(id)? == good);
        let now = story.host.now().as_secs();
        for edits in
            [json!({"aud": "billing-api"}), json!({"iss": "https://elsewhere"}), json!({"exp": now - 60})]
        {
            let bad = signed(&mut story, "key", edits);
            let id = story.send(&orders(&bad))?;
            story.refused(id, 401, "invalid_token")?;
        }
        let forged = jwt::altered(&good, |[_, payload, _]| *payload = jwt::encoded(&json!({"sub": "root"})))?;
        let id = story.send(&orders(&forged))?;
        story.refused(id, 401, "invalid_token")?;
        ensure!(story.questions() == 0, "nobody is asked about a JWT");
        Ok(story)
    }),
    ("a JWT access token is refused where none are wanted", |behaviour| {
        let mut story = Story::new(behaviour, json!({"token": {"jwts": "refuse"}}))?;
        let jwt = signed(&mut story, "key", json!({}));
        let id = story.send(&orders(&jwt))?;
        story.refused(id, 401, "invalid_token")?;
        Ok(story)
    }),
];

fn presenting(behaviour: Behaviour) -> Result<Story> {
    Story::new(behaviour, json!({"token": {"jwts": "verify"}, "keys": configured_keys()}))
}

fn configured_keys() -> Value {
    json!({"set": {"keys": [public_key("key")]}})
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
