//! `phantom-token probe` with real authorization servers, and with the recorded behavior of others.

#[path = "probe/servers.rs"]
mod servers;

use anyhow::Result;
use axum::http::{StatusCode, Uri};
use axum::{Json, Router};
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::json::{merge, merged};
use integration_tests::plain_authorization_server::PlainAuthorizationServer;
use integration_tests::port::ReservedPort;
use integration_tests::scripted_server::{self, Response};
use integration_tests::{jwt, secrets, server};
use phantom_token_cli::probe::{Findings, Route, Trial, probe};
use phantom_token_core::Timestamp;
use serde_json::{Value, json};
use servers::{Server, inactive};

/// If this failed, an operator would look for an error where there is none, or in the wrong place.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_an_unreachable_server_are_distinguished() -> Result<()> {
    let server = AuthorizationServer::start("probe_credentials")?;
    let right = configuration(&server);
    let mut wrong = right.clone();
    wrong["introspection"]["client_secret"] = json!(secrets::noted("not-the-gateway's-secret".into()));
    let mut elsewhere = right.clone();
    elsewhere["introspection"]["endpoint"] = json!(format!("{}/token", server.issuer()));
    for (configuration, route, is_fine, expected) in [
        (&right, Route::default(), true, "not refused: a random token is not active (204"),
        (&wrong, Route::default(), false, "refused (401 application/json"),
        (
            &elsewhere,
            Route::default(),
            false,
            "unknown: the response to a random token is 400 application/json",
        ),
        (&right, to(ReservedPort::new()?.number()), false, "the server is unavailable: "),
    ] {
        let findings = try_it(configuration, None, route).await?;
        assert!(findings.text.contains(expected), "{}", findings.text);
        assert_eq!(findings.is_fine, is_fine, "{}", findings.text);
    }
    Ok(())
}

/// `upstream` is a name in the proxy: if this failed, a server that only the proxy knows by that name could not be probed.
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
    assert!(findings.text.contains("not refused"), "{}", findings.text);
    Ok(())
}

/// If this failed, a server that takes a tenant from the query would be tried as another one.
#[tokio::test(flavor = "multi_thread")]
async fn it_sends_the_query_of_the_endpoint_and_does_not_show_it() -> Result<()> {
    let inactive = |uri: Uri| async move {
        let is_right = uri.query() == Some("tenant=orders");
        (if is_right { StatusCode::OK } else { StatusCode::NOT_FOUND }, Json(json!({"active": false})))
    };
    let port = server::serve(Router::new().fallback(inactive))?;
    let introspection = json!({
        "endpoint": format!("http://127.0.0.1:{port}/introspect?tenant=orders"), "upstream": "login",
        "client_id": "gateway", "client_secret": GATEWAY_SECRET,
    });
    let configuration = json!({"introspection": introspection, "rules": [{"path": "/orders"}]});
    let findings = try_it(&configuration, None, Route::default()).await?;
    assert!(findings.text.contains("not refused: a random token is not active (200"), "{}", findings.text);
    assert!(!findings.text.contains("tenant"), "{}", findings.text);
    Ok(())
}

/// If this failed, an eavesdropper would learn the gateway's secret and a token.
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

/// If this failed, `probe` would judge a token differently from the filter, or print private values.
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
        "accepted: the token given is active",
        "the JWT: is token.issuer",
        "the JWT: is in token.audience",
        "application/token-introspection+jwt: 200",
        "response.accept application/jwt, as configured",
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

/// If this failed, a revoked token, or keys that do not match, would look valid.
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
    let mut other_issuer = configuration(&server);
    other_issuer["token"]["issuer"] = json!("https://login.example.com");
    let findings = try_it(&other_issuer, Some(&token), Route::default()).await?;
    assert!(
        findings.text.contains("its issuer is not token.issuer, so its keys are not fetched"),
        "{}",
        findings.text
    );
    server.revoke(&token).await?;
    let findings = try_it(&configuration(&server), Some(&token), Route::default()).await?;
    assert!(findings.text.contains("401 inactive") && !findings.is_fine, "{}", findings.text);
    Ok(())
}

/// If this failed, `probe` would recommend settings that do not affect presented JWTs, or would not say what makes them accepted.
#[tokio::test(flavor = "multi_thread")]
async fn r204_r205_what_presented_jwts_lack_is_reported() -> Result<()> {
    let mut claims = jwt::valid_claims();
    claims["jti"] = json!("1");
    let rows: &[(&str, &str, Value, Value, &str, Value)] = &[
        (
            "Amazon Cognito, without aud",
            "JWT",
            json!({"aud": null, "token_use": "access"}),
            json!({"allow_missing_aud": true, "jwt_profile": "lax"}),
            "token.clients",
            json!({}),
        ),
        (
            "IdentityServer4#1061, the scope as a list",
            "at+jwt",
            json!({"scope": ["orders:read"]}),
            json!({}),
            "token        401 malformed_jwt",
            json!({"token": {"allow_scope_list": true}}),
        ),
        (
            "Keycloak, older than RFC 9068",
            "JWT",
            json!({"jti": null}),
            json!({}),
            "with         the lines below, the token is valid",
            json!({"token": {"jwt_profile": "lax"}}),
        ),
        (
            "a Kubernetes service account",
            "JWT",
            json!({"jti": null, "scope": null, "client_id": null}),
            json!({}),
            "token.jwt_profile any takes every JWT",
            json!({}),
        ),
    ];
    for (whose, typ, edits, token, said, follows) in rows {
        let mut claims = claims.clone();
        merge(&mut claims, edits.clone());
        let presented = jwt::signed(&json!({"alg": "ES256", "typ": typ}), &claims);
        let mut configuration = json!({
            "token": {"issuer": "https://login.example.com", "audience": ["orders-api"], "jwts": "verify"},
            "keys": {"jwks": {"keys": [integration_tests::keys::public(&integration_tests::keys::p256())]}},
            "rules": [{"path": "/"}],
        });
        merge(&mut configuration["token"], token.clone());
        let findings = try_it(&configuration, Some(&presented), Route::default()).await?;
        let text = plain(&findings.text);
        assert!(
            text.contains(said) && findings.json["configuration"] == *follows && !findings.is_fine,
            "{whose}: {text}"
        );
        assert!(!text.contains("which is allowed"), "{whose}: {text}");
    }
    Ok(())
}

/// If this failed, a report that an operator shows to others could contain a token or the gateway's secret, where a server repeats them.
#[tokio::test(flavor = "multi_thread")]
async fn r201_shown_claims_hold_no_secret() -> Result<()> {
    let port = scripted_server::serve(|asked| {
        let said = [asked.token(), asked.parameter("client_secret")];
        match asked.token() == servers::ACCESS {
            true => Response::json(&json!({
                "active": true, "client_id": "app", "scope": "orders:read", "exp": jwt::now() + 600, "sub": "alice",
                "iss": servers::ISSUER, "aud": "orders-api", "token_type": "Bearer",
                "repeated": said, "inside": {"credentials": said.concat()},
            })),
            false => inactive(),
        }
    })?;
    let mut configuration = minting(port);
    configuration["introspection"]["auth_method"] = json!("client_secret_post");
    let findings = try_it_showing(&configuration, servers::ACCESS).await?;
    let written = format!("{}{}", findings.text, findings.json);
    assert!(written.contains("repeated: [[hidden],[hidden]]"), "{written}");
    assert!(!written.contains(servers::ACCESS) && !written.contains(servers::SECRET), "{written}");
    Ok(())
}

/// If this failed, an operator would look for a server that is down, although it just does not speak TLS.
#[tokio::test(flavor = "multi_thread")]
async fn r201_a_server_without_tls_is_reported() -> Result<()> {
    let mut configuration = minting(scripted_server::serve(|_| inactive())?);
    let endpoint = configuration["introspection"]["endpoint"].as_str().unwrap_or_default();
    configuration["introspection"]["endpoint"] = json!(endpoint.replace("http:", "https:"));
    let findings = try_it(&configuration, None, Route::default()).await?;
    assert!(findings.text.contains("it does not speak TLS"), "{}", findings.text);
    Ok(())
}

/// If this failed, an operator would get wrong information about a real server: that its refresh tokens are accepted, or that they are not.
#[tokio::test(flavor = "multi_thread")]
async fn r201_r203_real_servers_are_reported_as_they_are() -> Result<()> {
    let server = AuthorizationServer::start("probe_refresh_token")?;
    let (token, refresh_token) = (server.issue("orders:read").await?, server.refresh_token().await?);
    let mut plain_json = configuration(&server);
    merge(
        &mut plain_json,
        json!({"introspection": {"response": {"accept": "application/json"}}, "keys": null}),
    );
    plain_json["mint"] = minting(0)["mint"].clone();
    merge(&mut plain_json, json!({"mint": {"client_as_subject": true}}));
    let options = Options { refresh_token: Some(refresh_token), ..Options::default() };
    let findings = trial(&plain_json, Some(&token), Route::default(), options.clone()).await?;
    let text = plain(&findings.text);
    assert!(text.contains("refused: 401 wrong_audience, by token.audience"), "{text}");
    merge(&mut plain_json, json!({"token": {"audience": null}}));
    let findings = trial(&plain_json, Some(&token), Route::default(), options).await?;
    let text = plain(&findings.text);
    assert!(text.contains("token        good (200 application/json"), "{text}");
    assert!(text.contains("would pass as an access token: token.require_token_type stops it"), "{text}");
    assert_eq!(findings.json["configuration"], json!({"token": {"require_token_type": true}}), "{text}");

    let server = PlainAuthorizationServer::start("probe_authlib")?;
    let token = secrets::noted(server.issue("orders:read").await?);
    let mut authlib = minting(server.port());
    merge(
        &mut authlib,
        json!({
            "introspection": {
                "endpoint": format!("{}/token/introspection", server.issuer()),
                "client_secret": integration_tests::plain_authorization_server::GATEWAY_SECRET,
            },
            "token": {"issuer": server.issuer()},
        }),
    );
    let findings = trial(&authlib, Some(&token), Route::default(), Options::default()).await?;
    assert!(findings.is_fine && findings.json["configuration"] == json!({}), "{}", findings.text);
    Ok(())
}

/// What servers were observed to respond (their names say where), and what an operator has to learn. If a row failed, `probe` would
/// recommend settings that end in a 502 or open the API to refresh tokens, or would report credentials as accepted that are not.
#[tokio::test(flavor = "multi_thread")]
async fn r201_r202_r203_r204_each_server_is_reported_as_it_is() -> Result<()> {
    let mut wrong = Vec::new();
    for server in Server::all()? {
        let (name, says, never) = (server.name.clone(), server.says.clone(), server.never.clone());
        let (edits, follows, is_fine) = (server.edits.clone(), server.follows.clone(), server.is_fine);
        let configuration = merged(&minting(server.start()?), edits);
        for token in [servers::ACCESS, servers::REFRESH, servers::SECRET] {
            secrets::noted(token.to_owned());
        }
        let options = Options { refresh_token: Some(servers::REFRESH.to_owned()), ..Options::default() };
        let findings = trial(&configuration, Some(servers::ACCESS), Route::default(), options).await?;
        let text = plain(&findings.text);
        let mut complain = |what: String| wrong.push(format!("{name}: {what}"));
        for said in says.iter().filter(|said| !text.contains(*said)) {
            complain(format!("does not say {said}\n{text}"));
        }
        for said in never.iter().filter(|said| text.contains(*said)) {
            complain(format!("says {said}\n{text}"));
        }
        if findings.json["configuration"] != follows || findings.is_fine != is_fine {
            complain(format!("{}, {}\n{text}", findings.json["configuration"], findings.is_fine));
        }
        for secret in [servers::ACCESS, servers::REFRESH, servers::SECRET, "eyJ"] {
            let written = format!("{text}{}", findings.json);
            assert!(!written.contains(secret), "{name}: {written}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The configuration of a gateway that mints, with a server at this port.
fn minting(port: u16) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("http://127.0.0.1:{port}/introspect"),
            "upstream": "a-cluster-of-the-proxy",
            "client_id": "gateway",
            "client_secret": servers::SECRET,
            "response": {"accept": "application/json"},
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "mint": {
            "issuer": "https://gateway.example.com",
            "audience": "orders-api",
            "keys": [{"private_key": integration_tests::keys::p256_pem()}],
        },
        "rules": [{"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]}],
    })
}

/// The options of `probe`.
#[derive(Clone, Default)]
struct Options {
    shows_values: bool,
    is_insecure: bool,
    refresh_token: Option<String>,
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
        let Options { shows_values, is_insecure, refresh_token } = options;
        let token = token.as_deref();
        let refresh_token = refresh_token.as_deref();
        let trial = Trial {
            text: &text,
            server: None,
            token,
            refresh_token,
            shows_values,
            now,
            is_insecure,
            warn: &|_| {},
        };
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

/// Removes colors from a text.
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
