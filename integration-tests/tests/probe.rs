//! `phantom-token probe` against the certified authorization server.

use anyhow::Result;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::port::ReservedPort;
use integration_tests::{jwt, secrets};
use phantom_token_cli::probe::{Findings, Route, Trial, probe};
use phantom_token_core::Timestamp;
use serde_json::{Value, json};

/// If this failed, an operator would look for an error where there is none, or not where it is.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_an_unreachable_server_are_distinguished() -> Result<()> {
    let server = AuthorizationServer::start("probe_credentials")?;
    let right = configuration(&server);
    let mut wrong = right.clone();
    wrong["introspection"]["client_secret"] = json!(secrets::noted("not-the-gateway's-secret".into()));
    let mut elsewhere = right.clone();
    elsewhere["introspection"]["endpoint"] = json!(format!("{}/token", server.issuer()));
    for (configuration, route, is_fine, expected) in [
        (&right, Route::default(), true, "accepted: a random token is not active (204"),
        (&wrong, Route::default(), false, "refused (401 application/json"),
        (
            &elsewhere,
            Route::default(),
            false,
            "unexpected_response: the answer is not what the configuration says",
        ),
        (&right, to(ReservedPort::new()?.number()), false, "the server is unavailable: "),
    ] {
        let findings = try_it(configuration, None, route).await?;
        assert!(findings.text.contains(expected), "{}", findings.text);
        assert_eq!(findings.is_fine, is_fine, "{}", findings.text);
    }
    Ok(())
}

/// `upstream` is the proxy's word: if this failed, a server that only the proxy knows by that name could not be tried.
#[tokio::test(flavor = "multi_thread")]
async fn it_connects_to_the_given_address() -> Result<()> {
    let server = AuthorizationServer::start("probe_connect")?;
    let mut configuration = configuration(&server);
    configuration["introspection"]["endpoint"] = json!("http://login.invalid/token/introspection");
    let findings =
        trial(&configuration, None, Route::default(), Options { is_insecure: true, ..Options::default() })
            .await?;
    assert!(findings.text.contains("the server is unavailable: "), "{}", findings.text);
    let findings = try_it(&configuration, None, to(server.port())).await?;
    assert!(findings.text.contains("accepted"), "{}", findings.text);
    Ok(())
}

/// If this failed, whoever listens on the way would learn the gateway's secret, and a token with it.
#[tokio::test(flavor = "multi_thread")]
async fn r135_credentials_leave_the_machine_in_plaintext_only_if_they_may() -> Result<()> {
    let server = AuthorizationServer::start("probe_plaintext")?;
    let mut beyond = configuration(&server);
    beyond["introspection"]["endpoint"] = json!("http://login.invalid/token/introspection");
    let refused = try_it(&beyond, None, Route::default()).await.map(|findings| findings.text);
    let refused = refused.expect_err("nothing may be sent").to_string();
    assert!(refused.contains("in plaintext: use https, or --insecure"), "{refused}");
    let insecure = Options { is_insecure: true, ..Options::default() };
    let findings = trial(&beyond, None, Route::default(), insecure).await?;
    assert!(findings.text.contains("is unavailable"), "it tries: {}", findings.text);
    let findings = try_it(&configuration(&server), None, Route::default()).await?;
    assert!(findings.is_fine, "on this machine: {}", findings.text);
    Ok(())
}

/// If this failed, `probe` would say of a token what the filter does not, or show what is nobody's business.
#[tokio::test(flavor = "multi_thread")]
async fn r110_a_real_token_is_explained_by_claims_and_rules() -> Result<()> {
    let server = AuthorizationServer::start("probe_token")?;
    let token = secrets::noted(server.issue("orders:read").await?);
    let findings = try_it(&configuration(&server), Some(&token), Route::default()).await?;
    let text = &findings.text;
    assert!(findings.is_fine, "{text}");
    for expected in [
        "good (200 application/jwt",
        "keys         ",
        "verified by the keys",
        "is token.issuer",
        "is in token.audience",
        "application/token-introspection+jwt: 200",
        "in the profile curity",
        "rules[0]     GET /orders: forwarded",
        "rules[1]     POST /orders/1: 403 insufficient_scope",
        "client_id",
    ] {
        assert!(plain(text).contains(expected), "{expected}: {text}");
    }
    for hidden in [token.as_str(), GATEWAY_SECRET, "eyJ", "orders:read"] {
        assert!(!text.contains(hidden), "{text}");
    }
    let shown = try_it_showing(&configuration(&server), &token).await?;
    assert!(
        shown.text.contains("orders:read") && !shown.text.contains(&token) && !shown.text.contains("eyJ")
    );
    Ok(())
}

/// If this failed, a revoked token, or keys that do not fit, would look good.
#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_and_keys_are_reported() -> Result<()> {
    let server = AuthorizationServer::start("probe_no_good")?;
    let token = secrets::noted(server.issue("orders:read").await?);
    let mut other_keys = configuration(&server);
    other_keys["keys"] =
        json!({"jwks": {"keys": [integration_tests::keys::public(&integration_tests::keys::p256())]}});
    let findings = try_it(&other_keys, Some(&token), Route::default()).await?;
    assert!(
        findings.text.contains("502 response_signature_invalid")
            && findings.text.contains("not signed by one of the keys")
            && !findings.is_fine,
        "{}",
        findings.text
    );
    server.revoke(&token).await?;
    let findings = try_it(&configuration(&server), Some(&token), Route::default()).await?;
    assert!(findings.text.contains("401 inactive") && !findings.is_fine, "{}", findings.text);
    Ok(())
}

/// What `probe` may do.
#[derive(Clone, Copy, Default)]
struct Options {
    shows_values: bool,
    is_insecure: bool,
}

async fn try_it(configuration: &Value, token: Option<&str>, route: Route) -> Result<Findings> {
    trial(configuration, token, route, Options::default()).await
}

async fn try_it_showing(configuration: &Value, token: &str) -> Result<Findings> {
    let options = Options { shows_values: true, ..Options::default() };
    trial(configuration, Some(token), Route::default(), options).await
}

async fn trial(
    configuration: &Value,
    token: Option<&str>,
    route: Route,
    options: Options,
) -> Result<Findings> {
    let (text, token) = (configuration.to_string(), token.map(str::to_owned));
    let now = Timestamp::from_millis(jwt::now() * 1000);
    let run = move || {
        let Options { shows_values, is_insecure } = options;
        let token = token.as_deref();
        let trial = Trial { text: &text, server: None, token, shows_values, now, is_insecure, warn: &|_| {} };
        probe(&trial, &route)
    };
    tokio::task::spawn_blocking(run).await?.map_err(anyhow::Error::msg)
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "a-cluster-of-the-proxy",
            "client_id": "gateway",
            "client_secret": GATEWAY_SECRET,
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "keys": {"metadata_url": format!("{}/.well-known/openid-configuration", server.issuer())},
        "rules": [
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders/{id}", "methods": ["POST"], "scopes": ["orders:write"]},
        ],
    })
}

fn to(port: u16) -> Route {
    Route { connect: Some(format!("127.0.0.1:{port}")), ..Route::default() }
}

/// The text without colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut is_escape = false;
    for character in text.chars() {
        match character {
            '\u{1b}' => is_escape = true,
            'm' if is_escape => is_escape = false,
            _ if is_escape => {}
            _ => plain.push(character),
        }
    }
    plain
}
