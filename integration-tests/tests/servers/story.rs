//! The tests for every server, in a real Envoy with the configuration of the server's chapter: which tokens are accepted, under which
//! identity, and which are not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::documentation::page;
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::testkit::{World, WorldBuilder};
use integration_tests::{jwt, keys, secrets};
use phantom_token_cli::probe::{Findings, Route, Trial, probe};
use phantom_token_core::Timestamp;
use serde_json::{Value, json};

use crate::real_server::{Profile, RealServer};
use crate::results::Results;

/// A world whose filter calls this server, still without a listener. Its configuration is the chapter's.
pub fn world(name: &str, profile: &Profile) -> Result<WorldBuilder> {
    let mint_key = keys::fresh_p256_pem()?;
    let builder = World::scripted(name)?
        .configuration(json!({"introspection": null, "token": null, "rules": null}))
        .configuration(documented(profile, 0)?)
        .envoy(|envoy| envoy.cluster(CLUSTER, &[profile.port]).environment("MINT_KEY", &mint_key));
    let Some(secret) = profile.secret else { return Ok(builder) };
    let secret = secrets::noted(secret.to_owned());
    Ok(builder.envoy(|envoy| envoy.environment("INTROSPECTION_CLIENT_SECRET", &secret)))
}

/// Checks everything that docs/servers.md says of every server, and writes the results.
pub async fn tell(name: &str, server: &impl RealServer) -> Result<()> {
    let profile = server.profile();
    let (no_secret, wrong) = (profile.secret.is_none(), secrets::noted("not-the-gateway's-secret".into()));
    let wrong = if no_secret { json!({}) } else { json!({"introspection": {"client_secret": wrong}}) };
    let clients =
        if server.names_clients() { json!({}) } else { json!({"mint": {"client_as_subject": true}}) };
    let world = world(name, &profile)?
        .listener("documented", json!({}))
        .listener("clients", clients)
        .listener("kept", json!({"cache": {"no_store_ttl": "1m"}}))
        .listener("briefly", json!({"cache": {"no_store_ttl": "1s", "max_ttl": "1s"}}))
        .listener("wrong-secret", wrong)
        .start()
        .await?;
    let mut results = Results::of(name, &profile);

    let tokens = server.user_tokens("orders:read").await?;
    lets_in(&world, &tokens.access, &profile).await?;
    let machine = server.client_token("orders:read").await?;
    if !server.names_clients() {
        world.orders(&machine).await?.is_refused(502, "missing_subject");
    }
    let claims = world.orders(&machine).at("clients").await?.is_served().claims()?;
    ensure!(claims["sub"] != profile.alice, "the client came in as its user: {claims}");
    is_asked_once(&world, &server.user_tokens("orders:read").await?.access).await?;
    results.note("kept", kept(&world, &server.user_tokens("orders:read").await?.access).await?);

    world.get("/orders").await?.has_status(401).is_challenged_by("Bearer realm=");
    world.orders(&secrets::fresh_token("unknown")).await?.has_status(401).is_challenged_by("invalid_token");
    let other_scope = server.user_tokens("orders:write").await?.access;
    world.orders(&other_scope).await?.is_refused(403, "insufficient_scope");
    let (foreign, status) = server.foreign_token().await?;
    results.note("a foreign token", world.orders(&foreign).await?.has_status(status).reason());
    if let Some(refresh) = &tokens.refresh {
        let refused = world.orders(refresh).await?.has_status(401);
        results.note("a refresh token", refused.reason());
    }
    if let Some(id) = &tokens.id {
        world.orders(id).await?.has_status(401);
    }
    results.note("a revoked token", &revoked(&world, server).await?);
    expires(&world, &server.brief_token().await?).await?;
    if !no_secret {
        // A token that another listener has cached would be served.
        let token = server.client_token("orders:read").await?;
        let outcome = world.orders(&token).at("wrong-secret").await?;
        let status = outcome.status;
        if server.refuses_credentials() {
            ensure!((500..600).contains(&status), "the client was blamed: {outcome}");
        } else {
            ensure!(status == 401, "the server refuses wrong credentials: {outcome}");
        }
        results.note("a wrong secret", &format!("{status} {}", outcome.has_status(status).reason()));
    }
    let findings = probed(&profile, &tokens.access, tokens.refresh.as_deref()).await?;
    ensure!(findings.is_fine, "probe finds fault:\n{}", findings.text);
    ensure!(findings.json["changes"] == json!([]), "probe would change the block:\n{}", findings.text);
    results.note("an answer", &found(&findings, "claims")?);
    results.leave()
}

/// If a service received anything but a JWT that names the user, it could not identify the caller.
async fn lets_in(world: &World, token: &str, profile: &Profile) -> Result<()> {
    let outcome = world.orders(token).await?.is_served();
    ensure!(outcome.jwt()? != token, "the service received the client's own token");
    let claims = outcome.claims()?;
    ensure!(claims["sub"] == profile.alice, "services do not hear of alice: {claims}");
    let scope = claims["scope"].as_str().unwrap_or_default();
    ensure!(scope.split(' ').any(|scope| scope == "orders:read"), "the scope did not arrive: {claims}");
    Ok(())
}

/// Checks that requests with one token cost only one introspection.
async fn is_asked_once(world: &World, token: &str) -> Result<()> {
    let before = asked(world).await?;
    for _ in 0..5 {
        world.orders(token).at("kept").await?.is_served();
    }
    let asked = asked(world).await? - before;
    ensure!(asked == 1, "five requests with one token were {asked} questions");
    Ok(())
}

/// Returns what it takes to cache the server's responses.
async fn kept(world: &World, token: &str) -> Result<&'static str> {
    let before = asked(world).await?;
    for _ in 0..2 {
        world.orders(token).await?.is_served();
    }
    Ok(if asked(world).await? - before == 1 { "for `max_ttl`" } else { "only with `no_store_ttl`" })
}

/// Returns when a revoked token is refused.
async fn revoked(world: &World, server: &impl RealServer) -> Result<String> {
    let token = server.user_tokens("orders:read").await?.access;
    world.orders(&token).await?.is_served();
    world.orders(&token).at("briefly").await?.is_served();
    server.revoke(&token).await?;
    refused_in_the_end(world, &token).await?;
    let at_once = world.orders(&token).await?.status == 401;
    Ok(if at_once { "refused at once" } else { "refused after `max_ttl`" }.to_owned())
}

async fn expires(world: &World, token: &str) -> Result<()> {
    world.orders(token).at("briefly").await?.is_served();
    refused_in_the_end(world, token).await
}

async fn refused_in_the_end(world: &World, token: &str) -> Result<()> {
    eventually("the token is refused", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let outcome = world.orders(token).at("briefly").await?;
        if outcome.status == 200 {
            return Ok(false);
        }
        outcome.has_status(401).is_challenged_by("invalid_token");
        Ok(true)
    })
    .await
}

/// The number of requests that Envoy has sent to the server.
pub async fn asked(world: &World) -> Result<u64> {
    world.envoy.statistic(&format!("cluster.{CLUSTER}.upstream_rq_total")).await
}

/// A configuration in the server's chapter, by its position there, with the actual URLs on loopback.
pub fn documented(profile: &Profile, place: usize) -> Result<Value> {
    let page = page("docs/servers.md")?;
    let mut blocks = page.blocks_of(profile.chapter).filter(|(language, _)| *language == "yaml");
    let (_, block) = blocks.nth(place).with_context(|| format!("{} has no block", profile.chapter))?;
    let is_there = |(name, _): &(&str, String)| block.contains(name);
    ensure!(profile.urls.iter().all(is_there), "the block has other URLs:\n{block}");
    let block = profile.urls.iter().fold(block.to_owned(), |block, (name, url)| block.replace(name, url));
    Ok(serde_saphyr::from_str(&block)?)
}

/// The findings of `phantom-token probe`, with the actual values of the variables.
async fn probed(profile: &Profile, token: &str, refresh_token: Option<&str>) -> Result<Findings> {
    let mut configuration = documented(profile, 0)?;
    if let Some(secret) = profile.secret {
        configuration = merged(&configuration, json!({"introspection": {"client_secret": secret}}));
    }
    if configuration.get("mint").is_some() {
        let keys = json!([{"private_key": keys::p256_pem()}]);
        configuration = merged(&configuration, json!({"mint": {"keys": keys}}));
    }
    let (text, token) = (configuration.to_string(), token.to_owned());
    let refresh_token = refresh_token.map(str::to_owned);
    let run = move || {
        let trial = Trial {
            text: &text,
            server: None,
            token: Some(&token),
            refresh_token: refresh_token.as_deref(),
            shows_values: false,
            now: Timestamp::from_millis(jwt::now() * 1000),
            is_insecure: false,
            warn: &|_| {},
        };
        probe(&trial, &Route::default())
    };
    tokio::task::spawn_blocking(run).await?.map_err(anyhow::Error::msg)
}

/// The text of the finding of this name.
fn found(findings: &Findings, what: &str) -> Result<String> {
    let all = findings.json["findings"].as_array().context("no findings")?;
    let one =
        all.iter().find(|finding| finding["what"] == what).with_context(|| format!("nothing of {what}"))?;
    Ok(one["text"].as_str().unwrap_or_default().to_owned())
}

/// The name of the server's cluster in the chapters.
const CLUSTER: &str = "authorization-server";
