//! Access tokens that are JWTs, in a real Envoy with a certified authorization server that issues them (RFC 9068): verified at the gateway,
//! refused or introspected, alongside opaque tokens.

use anyhow::{Context, Result, ensure};
use integration_tests::api::{ANSWER_LOCATION, ANSWER_STATUS};
use integration_tests::authorization_server::{AuthorizationServer, Resource};
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::shared;
use integration_tests::testkit::World;
use integration_tests::{jwt, keys};
use serde_json::{Value, json};

shared! {
    /// One Envoy with two workers, the trusted server, and an API.
    world: World = start
}

async fn start() -> Result<World> {
    let world = World::certified("jwt_access_tokens")?;
    let keys = format!("{}/jwks", world.issuer());
    world
        .workers(2)
        .configuration(json!({
            "token": {"jwts": "verify"},
            "keys": {"jwks_uri": keys},
            "cache": {"no_store_ttl": "1m"},
            "rules": [
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
            ],
        }))
        .listener("verifying", json!({}))
        .listener("lax", json!({"token": {"jwt_profile": "lax"}}))
        .listener(
            "lax-for-the-client",
            json!({
                "token": {"jwt_profile": "lax", "audience": ["orders-api", "app"]},
                "rules": [{"path": "/orders"}],
            }),
        )
        .listener("exact", json!({"token": {"leeway": "0s"}}))
        .listener("alone", json!({"introspection": null, "keys": {"upstream": "authorization-server"}}))
        .listener("refusing", json!({"token": {"jwts": "refuse"}}))
        .listener("introspecting", json!({"token": {"jwts": "introspect"}}))
        .listener("verifying-again", json!({}))
        .envoy(|envoy| envoy.routed_by(&following_redirects()))
        .listener("refusing-again", json!({"token": {"jwts": "refuse"}}))
        .envoy(|envoy| envoy.routed_by(&following_redirects()))
        .listener("introspecting-again", json!({"token": {"jwts": "introspect"}}))
        .envoy(|envoy| envoy.routed_by(&following_redirects()))
        .listener("from-a-cookie", json!({"token_sources": {"cookie": "session"}}))
        .envoy(|envoy| envoy.routed_by(&following_redirects()))
        .start()
        .await
}

/// Routes, one of which follows a redirect of the API internally, once.
fn following_redirects() -> Vec<Value> {
    let policy = json!({"max_internal_redirects": 1, "redirect_response_codes": [302]});
    vec![
        json!({
            "match": {"path": "/orders/moved"},
            "route": {"cluster": "api", "internal_redirect_policy": policy},
        }),
        json!({
            "match": {"prefix": "/"},
            "route": {"cluster": "api"},
            "request_headers_to_remove": [ANSWER_STATUS, ANSWER_LOCATION],
        }),
    ]
}

async fn issued() -> Result<String> {
    world().await.server().issue_jwt(Resource::Orders, "orders:read").await
}

/// Asserts that a token is refused without introspection, twice, so that caches are involved.
async fn refused(listeners: &[&str], token: &str, reason: &str, case: &str) -> Result<()> {
    let world = world().await;
    for listener in listeners.iter().flat_map(|listener| [listener; 2]) {
        let outcome = world.orders(token).at(listener).case(case).await?.is_refused(401, reason);
        outcome.is_challenged_by(r#"error="invalid_token""#);
    }
    assert_eq!(world.introspections(token).await?, 0, "{case}");
    Ok(())
}

/// If a byte of the token changed, services could not verify it; if it were introspected, verifying it would be pointless.
#[tokio::test]
async fn r067_r068_a_jwt_access_token_is_forwarded_unchanged_without_introspection() -> Result<()> {
    let world = world().await;
    for listener in ["verifying", "lax", "exact", "alone"] {
        let token = issued().await?;
        assert_eq!(jwt::header(&token)?["typ"], "at+jwt");
        for _ in 0..10 {
            assert_eq!(world.orders(&token).at(listener).await?.is_served().jwt()?, token, "{listener}");
        }
        let outcome = world.post("/orders", "{}").at(listener).bearer(&token).await?;
        outcome.is_refused(403, "insufficient_scope").is_challenged_by(r#"error="insufficient_scope""#);
        assert_eq!(world.introspections(&token).await?, 0, "{listener}");
    }
    Ok(())
}

/// If one of these passed, tokens for other services, from other servers, or forged ones would open this API.
#[tokio::test]
async fn r067_r034_r033_a_jwt_for_another_audience_or_of_another_issuer_is_refused() -> Result<()> {
    let world = world().await;
    let payments = world.server().issue_jwt(Resource::Payments, "orders:read").await?;
    let other = AuthorizationServer::start("jwt_access_tokens-other")?;
    let others = other.issue_jwt(Resource::Orders, "orders:read").await?;
    // A token that the other server signed, but with the trusted server's issuer.
    let claims = merged(&jwt::claims(&others)?, json!({"iss": world.server().issuer()}));
    let disguised = jwt::altered(&others, |parts| parts[1] = jwt::encoded(&claims))?;
    refused(&ALL, &payments, "wrong_audience", "payments").await?;
    refused(&ALL, &others, "wrong_issuer", "of another server").await?;
    refused(&ALL, &disguised, "invalid_signature", "disguised").await
}

/// If one of these passed, any client could forge a token; if it were introspected, any client could make the gateway call the
/// server.
#[tokio::test]
async fn r059_r060_r061_r062_what_the_server_did_not_sign_is_refused() -> Result<()> {
    let genuine = issued().await?;
    world().await.orders(&genuine).await?.is_served();
    let (header, claims) = (jwt::header(&genuine)?, jwt::claims(&genuine)?);
    let signed_with = |edits: Value| jwt::signed(&merged(&header, edits), &claims);
    let own_key = keys::public(&keys::p256());
    let more_claims = merged(&claims, json!({"scope": "orders:read orders:write"}));
    let unsigned = |algorithm: &str| {
        jwt::altered(&genuine, |parts| {
            parts[0] = jwt::encoded(&json!({"alg": algorithm, "typ": "at+jwt"}));
            parts[2].clear();
        })
    };
    let typed = |algorithm: &str| {
        let header = merged(&header, json!({"alg": algorithm}));
        jwt::altered(&genuine, |parts| parts[0] = jwt::encoded(&header))
    };
    for (case, forged) in
        [("critical", signed_with(json!({"crit": ["b64"]}))), ("b64", signed_with(json!({"b64": false})))]
    {
        refused(&ALL, &forged, "malformed_jwt", case).await?;
    }
    for (case, forged) in [
        ("another key", signed_with(json!({}))),
        ("another key without a name", signed_with(json!({"kid": null}))),
        ("another name", signed_with(json!({"kid": "another"}))),
        ("a key that it brings", signed_with(json!({"jwk": own_key}))),
        ("keys elsewhere", signed_with(json!({"jku": "https://evil.example.com/jwks"}))),
        ("more claims", jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&more_claims))?),
        ("no signature", jwt::altered(&genuine, |parts| parts[2].clear())?),
        ("none", unsigned("none")?),
        ("nOnE", unsigned("nOnE")?),
        ("none with a signature", typed("none")?),
        ("HS256", typed("HS256")?),
        ("RS256", typed("RS256")?),
    ] {
        refused(&ALL, &forged, "invalid_signature", case).await?;
    }
    Ok(())
}

/// If this failed, a token that tells a client who the user is would open the API in the user's name.
#[tokio::test]
async fn r069_an_id_token_is_no_access_token() -> Result<()> {
    let world = world().await;
    let id_token = world.server().id_token().await?;
    let claims = jwt::claims(&id_token)?;
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(world.server().issuer()), &json!("alice")));
    refused(&["verifying", "alone"], &id_token, "not_an_access_token", "").await?;
    world.orders(&id_token).at("lax").case("it is for the client").await?.has_status(401);
    Ok(())
}

/// Some servers name an API by the identifier of its client. If this failed, the ID tokens for that client would open the API. An ID token
/// of the code flow need not have `at_hash`; this one has `nonce`.
#[tokio::test]
async fn r069_an_id_token_is_no_access_token_by_the_lax_profile_either() -> Result<()> {
    let id_token = world().await.server().id_token().await?;
    assert!(jwt::claims(&id_token)?["nonce"].is_string());
    refused(&["lax-for-the-client"], &id_token, "not_an_access_token", "").await
}

/// If the cache or the leeway kept it valid, a token would live for longer than its issuer intended.
#[tokio::test]
async fn r031_r053_an_expired_jwt_is_refused_although_it_was_in_the_cache() -> Result<()> {
    let world = world().await;
    let (mut token, mut expires) = Default::default();
    // On a busy machine, a token may expire before it is used.
    eventually("one is in the cache", async || {
        token = world.server().issue_jwt(Resource::OrdersBriefly, "orders:read").await?;
        expires = jwt::claims(&token)?["exp"].as_u64().context("no date")?;
        let is_served = world.orders(&token).at("exact").await?.status == 200;
        ensure!(is_served || jwt::now() >= expires, "refused at {}, before {expires}", jwt::now());
        Ok(is_served)
    })
    .await?;
    eventually("it is refused", async || {
        let sent = jwt::now();
        let is_refused = world.orders(&token).at("exact").await?.status == 401;
        ensure!(is_refused || sent < expires, "served at {sent}, although it expired at {expires}");
        Ok(is_refused)
    })
    .await?;
    assert!(jwt::now() >= expires, "refused at {}, before {expires}", jwt::now());
    refused(&["exact"], &token, "expired", "").await?;
    world.orders(&token).case("within the leeway").await?.is_served();
    Ok(())
}

/// If this failed, a server could not be migrated from opaque tokens to JWTs while it runs.
#[tokio::test]
async fn r071_opaque_tokens_are_introspected_beside_jwts() -> Result<()> {
    let world = world().await;
    for listener in ["verifying", "lax", "refusing", "introspecting"] {
        let token = world.issue("orders:read").await?;
        let jwt = world.orders(&token).at(listener).await?.is_served().jwt()?;
        assert!(jwt.starts_with("eyJ"), "{listener}");
        assert_eq!(world.introspections(&token).await?, 1, "{listener}");
    }
    refused(&["alone"], &world.issue("orders:read").await?, "not_a_jwt", "").await
}

/// If this failed, JWTs would be accepted where the operator forbids them.
#[tokio::test]
async fn r071_jwts_are_refused_where_the_operator_wants_none() -> Result<()> {
    for token in [issued().await?, jwt::valid()] {
        refused(&["refusing"], &token, "jwt_not_accepted", "").await?;
    }
    Ok(())
}

/// oidc-provider issues such tokens but does not introspect them: it responds with `unsupported_token_type`. If this failed, that would
/// look like a failure of the server.
#[tokio::test]
async fn r029_a_genuine_jwt_that_its_server_does_not_introspect_is_refused_as_invalid() -> Result<()> {
    let world = world().await;
    let token = issued().await?;
    world.orders(&token).at("introspecting").await?.is_refused(401, "inactive");
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

const ALL: [&str; 3] = ["verifying", "lax", "alone"];

/// What the page for Envoy says about internal redirects (envoyproxy/envoy#25771): the filter checks the request again, whose token is then
/// the JWT. If a marker let it pass, a client could send the marker; the rule of the new path applies in any case.
#[tokio::test]
async fn r178_a_second_pass_judges_the_request_anew() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    let moved = |listener: &str, to: &str| {
        let location = format!("http://api.example.com{to}");
        let call = world.get("/orders/moved").at(listener).case(to);
        call.header(ANSWER_STATUS, "302").header(ANSWER_LOCATION, location)
    };
    let outcome = moved("verifying-again", "/orders/again").bearer(&token).await?;
    assert_eq!((outcome.status, outcome.arrived.len()), (200, 2), "{outcome}");
    let [first, second] =
        [0, 1].map(|pass| outcome.arrived[pass].get_all("authorization").iter().collect::<Vec<_>>());
    assert!(first.len() == 1 && first == second && !first[0].as_bytes().ends_with(token.as_bytes()));
    let cookie = format!("session={token}");
    for (call, status, reason) in [
        (moved("verifying-again", "/not-exposed").bearer(&token), 403, "no_matching_rule"),
        (moved("refusing-again", "/orders/again").bearer(&token), 401, "jwt_not_accepted"),
        (moved("introspecting-again", "/orders/again").bearer(&token), 401, "inactive"),
        // The cookie is removed, so that only the JWT remains.
        (moved("from-a-cookie", "/orders/again").header("cookie", cookie), 200, ""),
    ] {
        let outcome = call.await?;
        assert_eq!((outcome.status, outcome.reason()), (status, reason), "{outcome}");
    }
    Ok(())
}
