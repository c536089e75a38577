//! `phantom-token probe` against real authorization servers, and against recorded behaviour of others.

#[path = "probe/servers.rs"]
mod servers;

use anyhow::Result;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use integration_tests::plain_authorization_server::PlainAuthorizationServer;
use integration_tests::port::ReservedPort;
use integration_tests::{jwt, secrets};
use phantom_token_cli::probe::{Findings, Route, Trial, probe};
use phantom_token_core::Timestamp;
use serde_json::{Value, json};
use servers::{active, inactive, ok, refused};

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
    assert!(findings.text.contains("not refused"), "{}", findings.text);
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

/// If this failed, `probe` would advise what the filter does not count for JWTs that clients present, or would say nothing of what lets
/// them pass.
#[tokio::test(flavor = "multi_thread")]
async fn r204_r205_presented_jwts_are_told_what_they_lack() -> Result<()> {
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

/// If this failed, a report that an operator shows to others could hold a token or the gateway's secret, where a server repeats them.
#[tokio::test(flavor = "multi_thread")]
async fn r201_shown_claims_hold_no_secret() -> Result<()> {
    let port = servers::start(|asked| {
        let said = [asked.token.clone(), asked.post.clone().unwrap_or_default()];
        match asked.is_for_access() {
            true => active(with(json!({"repeated": said, "inside": {"credentials": said.concat()}}))),
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

/// If this failed, an operator would look for a server that is down, where it speaks no TLS.
#[tokio::test(flavor = "multi_thread")]
async fn r201_a_server_without_tls_is_told_so() -> Result<()> {
    let mut configuration = minting(servers::start(|_| inactive())?);
    let endpoint = configuration["introspection"]["endpoint"].as_str().unwrap_or_default();
    configuration["introspection"]["endpoint"] = json!(endpoint.replace("http:", "https:"));
    let findings = try_it(&configuration, None, Route::default()).await?;
    assert!(findings.text.contains("it does not speak TLS"), "{}", findings.text);
    Ok(())
}

/// If this failed, an operator would hear of a real server what is not so: that its refresh tokens pass, or that they do not.
#[tokio::test(flavor = "multi_thread")]
async fn r201_r203_real_servers_are_told_as_they_are() -> Result<()> {
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

/// What servers were seen to answer (their names say where), and what an operator has to hear. If a row failed, `probe` would advise what
/// ends in a 502 or opens the API to refresh tokens, or would say that credentials are accepted which are not.
#[tokio::test(flavor = "multi_thread")]
async fn r201_r202_r203_r204_each_server_is_told_as_it_is() -> Result<()> {
    let mut wrong = Vec::new();
    for Row { server, script, edits, says, never, follows, is_fine } in rows() {
        let mut configuration = minting(servers::start(script)?);
        merge(&mut configuration, edits);
        for token in [servers::ACCESS, servers::REFRESH, servers::SECRET] {
            secrets::noted(token.to_owned());
        }
        let options = Options { refresh_token: Some(servers::REFRESH.to_owned()), ..Options::default() };
        let findings = trial(&configuration, Some(servers::ACCESS), Route::default(), options).await?;
        let text = plain(&findings.text);
        let mut complain = |what: String| wrong.push(format!("{server}: {what}"));
        says.iter()
            .filter(|said| !text.contains(**said))
            .for_each(|said| complain(format!("does not say {said}\n{text}")));
        never
            .iter()
            .filter(|said| text.contains(**said))
            .for_each(|said| complain(format!("says {said}\n{text}")));
        if findings.json["configuration"] != follows || findings.is_fine != is_fine {
            complain(format!("{}, {}\n{text}", findings.json["configuration"], findings.is_fine));
        }
        for secret in [servers::ACCESS, servers::REFRESH, servers::SECRET, "eyJ"] {
            let written = format!("{text}{}", findings.json);
            assert!(!written.contains(secret), "{server}: {written}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

struct Row {
    server: &'static str,
    script: servers::Script,
    /// What the configuration has otherwise.
    edits: Value,
    says: &'static [&'static str],
    never: &'static [&'static str],
    /// The lines of configuration that follow.
    follows: Value,
    is_fine: bool,
}

/// A row of a server without faults, for others to differ from.
fn sound(server: &'static str, script: servers::Script) -> Row {
    Row {
        server,
        script,
        edits: json!({}),
        says: &["accepted: the token given is active", "token        good"],
        never: &["credentials  refused (", "not refused"],
        follows: json!({}),
        is_fine: true,
    }
}

fn rows() -> Vec<Row> {
    [rows_of_real_servers(), rows_of_odd_answers()].into_iter().flatten().collect()
}

/// As they were seen to answer, or as their documentation or reports have it.
fn rows_of_real_servers() -> Vec<Row> {
    vec![
        Row {
            edits: json!({"mint": null, "introspection": {"response": null}}),
            says: &[
                "refused (401, ",
                "introspection.auth_method client_secret_basic_raw works",
                "an introspection response as a JWT, no access token: active; not active: 400, ",
                "empty: 502 unexpected_response\nformat",
                "format       application/json: 200 application/json, ",
                "active: works",
                "response.accept application/json, and mint",
                "iss          the answer: has none: token.allow_missing_iss",
                "refresh      refused: 401 inactive, by introspection.token_type_hint: without the hint it would pass",
                "rules[0]     GET /orders: forwarded",
            ],
            never: &["as in the profile", "is token.issuer", "JWT, no access token: active: works"],
            follows: json!({
                "introspection": {"auth_method": "client_secret_basic_raw", "response": {"accept": "application/json"}},
                "token": {"allow_missing_iss": true},
                "mint": {
                    "issuer": "https://gateway.example.com", "audience": "services",
                    "keys": [{"private_key": {"env": "MINT_KEY"}}],
                },
            }),
            is_fine: false,
            ..sound("Glewlwyd 2.7.5", |asked| {
                let alice = json!({"sub": "alice", "aud": "orders-api", "token_type": "bearer"});
                let claims = json!({
                    "active": true, "iss": "https://login.example.com", "sub": "alice", "exp": jwt::now() + 600,
                });
                let header = json!({"alg": "ES256", "typ": "token-introspection+jwt"});
                match (asked.has_raw_secret(), asked.accept == "application/jwt") {
                    (false, _) => (401, "", String::new()),
                    (_, true) if asked.is_for_access() => {
                        (200, "application/jwt", jwt::signed(&header, &claims))
                    }
                    (_, true) => (400, "", String::new()),
                    _ if asked.is_for_access() || (asked.is_for_refresh() && !asked.has_hint()) => {
                        active(alice)
                    }
                    _ => inactive(),
                }
            })
        },
        Row {
            edits: json!({"introspection": {"auth_method": "client_secret_post"}}),
            says: &[
                "credentials  refused (400 application/json, ",
                "error invalid_client): look at auth_method, client_id and client_secret",
                "token        502 gateway_credentials_refused (400 application/json, ",
            ],
            never: &["credentials  accepted"],
            is_fine: false,
            ..sound("LemonLDAP::NG 2.16.1, a wrong secret in the form", |asked| match asked.basic {
                Some(_) => refused(),
                None => (400, "application/json", json!({"error": "invalid_client"}).to_string()),
            })
        },
        Row {
            says: &[
                "introspection.auth_method client_secret_post works",
                "token        good",
                "rules[0]     GET /orders: forwarded",
            ],
            never: &["credentials  accepted"],
            follows: json!({"introspection": {"auth_method": "client_secret_post"}}),
            is_fine: false,
            ..sound("LemonLDAP::NG 2.16.1, a secret that Basic does not carry", |asked| {
                match asked.has_posted_secret() {
                    false => refused(),
                    true if asked.is_for_access() => active(user()),
                    true => inactive(),
                }
            })
        },
        Row {
            edits: json!({"token": {"audience": null, "allow_missing_iss": true}}),
            says: &[
                "token        502 missing_subject",
                "sub          the answer names no user: let the server name that of a user's token",
                "refresh      would pass as an access token: no setting distinguishes it from an access token",
            ],
            is_fine: false,
            ..sound("Doorkeeper 5.5", |asked| match asked.is_for_access() || asked.is_for_refresh() {
                true => active(json!({"token_type": "Bearer"})),
                false => inactive(),
            })
        },
        Row {
            edits: json!({"token": {"audience": null, "allow_missing_iss": true}}),
            says: &["refresh      would pass as an access token: token.require_token_type stops it"],
            follows: json!({"token": {"require_token_type": true}}),
            is_fine: false,
            ..sound("doorkeeper#1860", |asked| match (asked.is_for_access(), asked.is_for_refresh()) {
                (true, _) => active(json!({"token_type": "Bearer", "sub": "alice"})),
                (_, true) => active(json!({"exp": null, "sub": "alice"})),
                _ => inactive(),
            })
        },
        Row {
            says: &[
                "refused: 401 inactive, by introspection.token_type_hint: without the hint it would pass",
            ],
            ..sound("Canaille 0.3.6", |asked| {
                match asked.is_for_access() || (asked.is_for_refresh() && !asked.has_hint()) {
                    true => active(user()),
                    false => inactive(),
                }
            })
        },
        Row {
            says: &[
                "credentials  not refused (200 application/json, ",
                "but nothing proves that they are accepted",
                "authentik and django-oidc-provider answer wrong credentials so",
                "token        401 inactive",
            ],
            never: &["credentials  accepted", "format "],
            is_fine: false,
            ..sound("django-oidc-provider 0.9.0, a wrong secret", |_| inactive())
        },
        Row {
            says: &["introspection.auth_method client_secret_post works", "token        good"],
            never: &["credentials  accepted"],
            follows: json!({"introspection": {"auth_method": "client_secret_post"}}),
            is_fine: false,
            ..sound("django-oidc-provider 0.9.0, Basic with a colon in the secret", |asked| {
                match asked.has_posted_secret() && asked.is_for_access() {
                    true => active(user()),
                    false => inactive(),
                }
            })
        },
        Row {
            edits: json!({"token": {"audience": null}}),
            says: &[
                "token        401 wrong_issuer",
                "iss          the answer: has none: token.allow_missing_iss",
                "the server does not call it active",
            ],
            follows: json!({"token": {"allow_missing_iss": true}}),
            is_fine: false,
            ..sound("@jmondi/oauth2-server 4.3.7", |asked| match asked.is_for_access() {
                true => active(json!({"sub": "alice", "token_type": "access_token"})),
                false => inactive(),
            })
        },
        Row {
            says: &["refresh      would pass as an access token: token.require_token_type stops it"],
            follows: json!({"token": {"require_token_type": true}}),
            is_fine: false,
            ..sound("idpyoidc 5.0.0", |asked| match (asked.is_for_access(), asked.is_for_refresh()) {
                (true, _) => active(user()),
                (_, true) => active(json!({"sub": "alice", "iss": ISSUER, "aud": ["orders-api"]})),
                _ => inactive(),
            })
        },
        Row {
            edits: json!({"token": {"require_token_type": true}}),
            says: &[
                "refused: 401 not_an_access_token, by token.require_token_type: without it, it would pass",
            ],
            ..sound("idpyoidc 5.0.0, configured", |asked| {
                match (asked.is_for_access(), asked.is_for_refresh()) {
                    (true, _) => active(user()),
                    (_, true) => active(json!({"sub": "alice", "iss": ISSUER, "aud": ["orders-api"]})),
                    _ => inactive(),
                }
            })
        },
        Row {
            says: &["refused: 401 not_an_access_token, by its token_usage"],
            ..sound("OpenIddict (AspNet.Security.OpenIdConnect.Server#437)", |asked| {
                match (asked.is_for_access(), asked.is_for_refresh()) {
                    (true, _) => active(user()),
                    (_, true) => active(json!({
                        "sub": "alice", "iss": ISSUER, "aud": "orders-api", "token_type": "Bearer",
                        "token_usage": "refresh_token",
                    })),
                    _ => inactive(),
                }
            })
        },
        Row {
            edits: json!({"introspection": {"response": null}}),
            says: &[
                "token        502 missing_phantom_token",
                "application/jwt, jwt_field jwt: 200 application/json",
                "the JWT: is token.issuer",
            ],
            follows: json!({"introspection": {"response": {"jwt_field": "jwt"}}}),
            is_fine: false,
            ..sound("Keycloak 26", |asked| match (asked.is_for_access(), asked.accept == "application/jwt") {
                (true, true) => active(json!({"iss": ISSUER, "jwt": jwt::valid(), "token_type": "Bearer"})),
                (true, false) => active(user()),
                _ => inactive(),
            })
        },
        Row {
            edits: json!({"profile": "keycloak", "introspection": {"response": null}}),
            says: &[
                "token        502 missing_phantom_token",
                "application/json: 200 application/json",
                "# without introspection.response.jwt_field: ",
            ],
            follows: json!({"introspection": {"response": {"accept": "application/json"}}}),
            is_fine: false,
            ..sound("Keycloak 26, a client that is not set to JWTs", |asked| match asked.is_for_access() {
                true => active(user()),
                false => inactive(),
            })
        },
        Row {
            edits: json!({"mint": null, "profile": "curity", "introspection": {"response": null}}),
            says: &[
                "token        good (200 application/jwt",
                "JWT          alg ES256, kid test, not verified here: no keys are configured",
                "as configured",
            ],
            ..sound("Curity", |asked| match (asked.is_for_access(), asked.accept == "application/jwt") {
                (true, true) => (200, "application/jwt", jwt::valid()),
                (false, true) => (204, "", String::new()),
                (true, false) => active(user()),
                _ => inactive(),
            })
        },
        Row {
            edits: json!({"token": {"audience": null, "allow_missing_iss": true}}),
            says: &["token        502 missing_subject"],
            follows: json!({"mint": {"subject": "/username"}}),
            is_fine: false,
            ..sound("WSO2 (product-is#4804)", |asked| match asked.is_for_access() {
                true => active(json!({"username": "alice", "token_type": "Bearer"})),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "accepted: the token given is active",
                "dead token   is answered 401, ",
                "clients hear 502 gateway_credentials_refused, not that it is not active",
                "token        good",
            ],
            is_fine: false,
            ..sound("oxAuth#929, which answers a dead token with 401", |asked| match asked.is_for_access() {
                true => active(user()),
                false => (401, "", String::new()),
            })
        },
        Row {
            says: &["dead token   is answered 404, ", "empty: works with inactive_answers"],
            follows: json!({"introspection": {"response": {"inactive_answers": [{"status": 404}]}}}),
            is_fine: false,
            ..sound("a server that has no such token (hydra#457)", |asked| match asked.is_for_access() {
                true => active(user()),
                false => (404, "", String::new()),
            })
        },
        Row {
            says: &[
                "dead token   is answered 403 application/json, ",
                "error access_denied: clients hear 502",
            ],
            follows: json!({
                "introspection": {"response": {"inactive_answers": [{"status": 403, "error": "access_denied"}]}},
            }),
            is_fine: false,
            ..sound("JanssenProject/jans#9093", |asked| match asked.is_for_access() {
                true => active(user()),
                false => (403, "application/json", json!({"error": "access_denied"}).to_string()),
            })
        },
        Row {
            edits: json!({"token": {"audience": null, "allow_missing_iss": true}, "mint": {"client_as_subject": true}}),
            says: &["token        401 expired, by its exp"],
            follows: json!({"token": {"allow_zero_exp": true}}),
            is_fine: false,
            ..sound("doorkeeper#1818, a token without an end", |asked| match asked.is_for_access() {
                true => active(json!({"token_type": "Bearer", "exp": 0})),
                false => inactive(),
            })
        },
        Row {
            says: &["aud          the answer: has none: token.allow_missing_aud"],
            follows: json!({"token": {"allow_missing_aud": true}}),
            is_fine: false,
            ..sound("LemonLDAP::NG 2.16.1, opaque tokens beside JWTs", |asked| match asked.is_for_access() {
                true => active(with(json!({"aud": null, "token_type": null}))),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "iss          the answer: is not token.issuer",
                "token.issuer_aliases is for another name of this server",
            ],
            never: &["keycloak.internal"],
            is_fine: false,
            ..sound("keycloak#15694, an inner name", |asked| match asked.is_for_access() {
                true => active(with(json!({"iss": "http://keycloak.internal:8080/realms/example"}))),
                false => inactive(),
            })
        },
    ]
}

/// Of other kinds.
fn rows_of_odd_answers() -> Vec<Row> {
    vec![
        Row {
            says: &[
                "accepted: the token given is active",
                "token        good",
                "iss          the answer: is token.issuer",
                "rules[0]     GET /orders: forwarded",
            ],
            ..sound("RFC 7662 §2.2", |asked| match asked.is_for_access() {
                true => active(user()),
                false => inactive(),
            })
        },
        Row {
            edits: json!({"introspection": {"auth_method": "none", "client_id": null, "client_secret": null}}),
            says: &["credentials  none are needed: the token given is active", "token        good"],
            ..sound("Ory Hydra's administrative port", |asked| match asked.is_for_access() {
                true => active(user()),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "token        502 unexpected_response, by its media type, where the content is application/json (200 text/plain",
                "fits         none of these answers can be used",
            ],
            never: &["refused ("],
            is_fine: false,
            ..sound("JSON under another name", |asked| match asked.is_for_access() {
                true => (200, "text/plain", active(user()).2),
                false => (200, "text/plain", inactive().2),
            })
        },
        Row {
            says: &["token        502 unexpected_response, by its scope"],
            follows: json!({"token": {"allow_scope_list": true}}),
            is_fine: false,
            ..sound("IdentityServer4#1061, the scope as a list", |asked| match asked.is_for_access() {
                true => active(with(json!({"scope": ["orders:read"]}))),
                false => inactive(),
            })
        },
        Row {
            follows: json!({"token": {"scope_claim": "scp"}}),
            ..sound("a scope in scp", |asked| match asked.is_for_access() {
                true => active(with(json!({"scope": null, "scp": "orders:read"}))),
                false => inactive(),
            })
        },
        Row {
            says: &["token        401 not_an_access_token, by its token_class"],
            follows: json!({"token": {"kinds": {"token_class": ["api"]}}}),
            is_fine: false,
            ..sound("a word of its own for access tokens", |asked| match asked.is_for_access() {
                true => active(with(json!({"token_class": "api"}))),
                false => inactive(),
            })
        },
        Row {
            says: &["refresh      would pass as an access token: token.kinds.grant_type stops it"],
            follows: json!({"token": {"kinds": {"grant_type": ["session"]}}}),
            is_fine: false,
            ..sound("a word of its own for refresh tokens", |asked| {
                match (asked.is_for_access(), asked.is_for_refresh()) {
                    (true, _) => active(with(json!({"grant_type": "session"}))),
                    (_, true) => active(with(json!({"grant_type": "renewal"}))),
                    _ => inactive(),
                }
            })
        },
        Row {
            says: &["token        502 unexpected_response, by its exp"],
            is_fine: false,
            ..sound("a date as a text", |asked| match asked.is_for_access() {
                true => active(with(json!({"exp": "2030-01-01T00:00:00Z"}))),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "token        401 not_an_access_token, by its token_usage",
                "kind         the answer says in token_usage that it is of another kind: give probe an access token",
            ],
            is_fine: false,
            ..sound("OpenIddict, a refresh token in the place of an access token", |asked| {
                match asked.is_for_access() {
                    true => active(with(json!({"token_usage": "refresh_token"}))),
                    false => inactive(),
                }
            })
        },
        Row {
            says: &["token        502 unexpected_response, by its sub"],
            is_fine: false,
            ..sound("django-rest-framework's ids, a user's number as sub", |asked| {
                match asked.is_for_access() {
                    true => active(with(json!({"sub": 42}))),
                    false => inactive(),
                }
            })
        },
        Row {
            says: &["token        502 unexpected_response, by a member that is there twice"],
            is_fine: false,
            ..sound("RFC 8259 §4, a name twice", |asked| match asked.is_for_access() {
                true => (200, "application/json", active(user()).2.replacen('{', "{\"sub\":\"bob\",", 1)),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "token        401 proof_required (",
                "refresh      is not active here, which proves nothing",
            ],
            is_fine: false,
            ..sound("RFC 9449 §6.2, a token that is bound to a key", |asked| match asked.is_for_access() {
                true => active(with(json!({"token_type": "DPoP", "cnf": {"jkt": "x".repeat(43)}}))),
                false => inactive(),
            })
        },
        Row {
            says: &[
                "refresh      is a 401 wrong_audience here, which proves nothing where no access token passes",
            ],
            never: &["refresh      refused"],
            is_fine: false,
            ..sound("tokens of another API, and refresh tokens that are answered alike", |asked| {
                match asked.is_for_access() || asked.is_for_refresh() {
                    true => active(with(json!({"aud": ["app"]}))),
                    false => inactive(),
                }
            })
        },
        Row {
            says: &[
                "credentials  unknown: the response to a random token is 200 text/html",
                "a page for people",
                "token        502 unexpected_response",
                "format ",
            ],
            never: &["credentials  accepted", "not refused"],
            is_fine: false,
            ..sound("a page to log in", |_| {
                (200, "text/html", "<!DOCTYPE html><title>Log in</title>".to_owned())
            })
        },
        Row {
            says: &["the response to a random token is 302", "token        502 unexpected_response"],
            never: &["credentials  accepted"],
            is_fine: false,
            ..sound("a redirect", |_| (302, "", String::new()))
        },
        Row {
            says: &[
                "credentials  accepted: the token given is active",
                "dead token   is answered 500, ",
                "token        good",
            ],
            is_fine: false,
            ..sound("a server that fails over tokens that it does not know", |asked| {
                match asked.is_for_access() {
                    true => active(user()),
                    false => (500, "", String::new()),
                }
            })
        },
        Row {
            says: &["active is neither true nor false", "token        502 unexpected_response"],
            never: &["credentials  accepted"],
            is_fine: false,
            ..sound("active as a text", |asked| match asked.is_for_access() {
                true => ok(json!({"active": "true", "sub": "alice"})),
                false => inactive(),
            })
        },
    ]
}

/// What the answer about a user's token says, where it says all.
fn user() -> Value {
    json!({"sub": "alice", "iss": ISSUER, "aud": "orders-api", "token_type": "Bearer"})
}

/// The same, but for these members.
fn with(members: Value) -> Value {
    let mut user = user();
    for (name, value) in members.as_object().into_iter().flatten() {
        user[name] = value.clone();
    }
    user
}

const ISSUER: &str = "https://login.example.com";

/// A gateway that mints, at this port.
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

/// Lays members over others; null takes one away.
fn merge(lower: &mut Value, upper: Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (name, value) in upper {
                match value {
                    Value::Null => drop(lower.remove(&name)),
                    value => merge(lower.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (lower, upper) => *lower = upper,
    }
}

/// What `probe` may do.
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
