//! Signed introspection responses (RFC 9701), in a real Envoy with a certified authorization server that signs, and with a scripted one in
//! its place that cannot.

use anyhow::Result;
use integration_tests::json::merged;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::{World, by_scripted_server};
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};

shared! {
    /// One Envoy with two workers, the server that signs, and a scripted one.
    world: World = start
}

async fn start() -> Result<World> {
    let world = World::certified("signed_responses")?;
    let issuer = world.issuer();
    let any_audience = json!({"token": {"audience": null, "allow_missing_iss": true}});
    let deceived = merged(&by_scripted_server(), json!({"keys": {"upstream": "authorization-server"}}));
    world
        .workers(2)
        .configuration(json!({
            "introspection": {"client_id": "gateway-signed-ES256", "response": {"accept": SIGNED}},
            "keys": {"jwks_uri": format!("{issuer}/jwks")},
            "claim_to_headers": [
                {"header": "x-client", "pointer": "/client_id"},
                {"header": "x-scope", "pointer": "/scope"},
                {"header": "x-absent", "pointer": "/absent"},
            ],
            "cache": {"no_store_ttl": "1m"},
            "rules": [
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
                {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
            ],
        }))
        .listener("ES256", json!({}))
        .listener(
            "RS256",
            json!({
                "introspection": {"client_id": "gateway-signed-RS256"},
                "keys": {"jwks_uri": null, "metadata_url": format!("{issuer}/.well-known/openid-configuration")},
            }),
        )
        .listener("only-RS256", json!({"keys": {"algorithms": ["RS256"]}}))
        .listener("any-audience", any_audience.clone())
        .listener("only-typed", merged(&any_audience, json!({"profile": "oidc-provider"})))
        .listener("deceived", deceived.clone())
        .listener(
            "lenient",
            merged(&deceived, json!({"introspection": {"response": {"require_signed": false}}})),
        )
        .start()
        .await
}

/// The server reports refresh tokens as active, and does not say what they are. If this failed, a token that is meant only for the server
/// would open the API for weeks.
#[tokio::test]
async fn r036_a_refresh_token_is_no_access_token_although_it_is_active() -> Result<()> {
    let world = world().await;
    let (refresh, access) = (world.server().refresh_token().await?, world.issue("orders:read").await?);
    world.orders(&refresh).at("only-typed").await?.is_refused(401, "not_an_access_token");
    world.orders(&access).at("only-typed").await?.is_served();
    // Without that, and without an audience, nothing distinguishes the two.
    world.orders(&refresh).at("any-audience").await?.is_served();
    Ok(())
}

/// If this failed, a service would receive a token that is not for it, or not learn who is calling.
#[tokio::test]
async fn r043_r044_the_api_receives_the_claims_of_a_signed_response_and_no_token() -> Result<()> {
    let world = world().await;
    for listener in ["ES256", "RS256"] {
        // The first token gives both workers the keys. The second is introspected once, and then found in their caches.
        let tokens = [world.issue("orders:read").await?, world.issue("orders:read").await?];
        for token in tokens.iter().flat_map(|token| [token; 20]) {
            let call = world.get("/orders?q=1").at(listener).bearer(token);
            let call = call.header("x-client", "admin").header("X_Scope", "all").header("x-absent", "1");
            let outcome = call.await?.is_served();
            assert_eq!(outcome.received("x-client"), ["app"], "{listener}");
            assert_eq!(outcome.received("x-scope"), ["orders:read"], "{listener}");
            for field in ["authorization", "x_scope", "x-absent"] {
                assert!(!outcome.head().contains_key(field), "{listener}: {field}");
            }
            assert!(!format!("{:?}", outcome.head()).contains("eyJ"), "{listener}: a token arrived");
        }
        assert_eq!(world.introspections(&tokens[1]).await?, 1, "{listener}");
        world
            .post("/orders", "{}")
            .at(listener)
            .bearer(&tokens[1])
            .await?
            .is_refused(403, "insufficient_scope");
    }
    Ok(())
}

/// If this failed, revoked and random tokens would pass, or be reported as the server's fault.
#[tokio::test]
async fn r043_r025_what_a_signed_response_calls_inactive_is_refused() -> Result<()> {
    let world = world().await;
    for listener in ["ES256", "RS256"] {
        for token in [world.issue_revoked("orders:read").await?, secrets::fresh_token("unknown")] {
            let outcome = world.orders(&token).at(listener).await?.is_refused(401, "inactive");
            outcome.is_challenged_by(r#"error="invalid_token""#);
        }
    }
    Ok(())
}

/// The genuine response is accepted from any sender: only the signature counts. If one of the others were accepted, an impostor of the
/// server could call the API as any user; if one were a 401, clients would discard valid tokens.
#[tokio::test]
async fn r043_r047_only_what_the_server_signed_for_this_gateway_counts() -> Result<()> {
    let world = world().await;
    let deceived = |response: Response| world.orders(&world.answered(response)).at("deceived");
    let token = world.issue("orders:read").await?;
    let genuine = world.server().introspect("gateway-signed-ES256", &token, SIGNED).await?;
    let (header, claims) = (jwt::header(&genuine)?, jwt::claims(&genuine)?);
    assert_eq!((&header["alg"], &claims["aud"]), (&json!("ES256"), &json!("gateway-signed-ES256")));
    assert_eq!(deceived(signed(&genuine)).await?.is_served().received("x-client"), ["app"]);

    let by_another = |edits: Value| signed(&jwt::signed(&merged(&header, edits), &claims));
    let edited = |edits: Value| {
        let claims = merged(&claims, edits);
        jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&claims)).map(|jwt| signed(&jwt))
    };
    let unsigned = jwt::altered(&genuine, |parts| {
        parts[0] = jwt::encoded(&json!({"alg": "none", "typ": "token-introspection+jwt"}));
        parts[2].clear();
    })?;
    let for_another = world.server().introspect("gateway-signed-RS256", &token, SIGNED).await?;
    let phantom = world.server().introspect("gateway", &token, "application/jwt").await?;
    let plain = Response::json(&claims["token_introspection"]);
    for (case, response) in [
        ("by another key", by_another(json!({}))),
        ("by another key without a name", by_another(json!({"kid": null}))),
        ("by a key that it brings", by_another(json!({"jwk": keys::public(&keys::p256())}))),
        ("more scope", edited(json!({"token_introspection": {"scope": "orders:read orders:write"}}))?),
        ("another issuer", edited(json!({"iss": "https://evil.example.com"}))?),
        ("unsigned", signed(&jwt::altered(&genuine, |parts| parts[2].clear())?)),
        ("none", signed(&unsigned)),
        ("for another gateway", signed(&for_another)),
        ("a phantom token", signed(&phantom)),
        ("a phantom token as such", Response::jwt(&phantom)),
        ("a signed response as a JWT", Response::jwt(&genuine)),
        ("plain", plain.clone()),
        ("nothing", Response::inactive()),
    ] {
        deceived(response).case(case).await?.has_status(502);
    }
    deceived(plain).at("lenient").await?.is_served();
    Ok(())
}

/// If this failed, a signature by an algorithm that the operator has ruled out would count.
#[tokio::test]
async fn r059_a_genuine_signature_of_an_algorithm_that_is_not_allowed_is_none() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    world.orders(&token).at("only-RS256").await?.is_refused(502, "response_signature_invalid");
    world.orders(&token).at("ES256").await?.is_served();
    Ok(())
}

/// If this failed, the introspection response for a token could be presented as a token (RFC 9701 §8).
#[tokio::test]
async fn r045_a_signed_response_is_no_access_token() -> Result<()> {
    let world = world().await;
    let token = world.issue("orders:read").await?;
    let response = world.server().introspect("gateway-signed-ES256", &token, SIGNED).await?;
    world.orders(&response).at("ES256").await?.is_refused(401, "not_an_access_token");
    assert_eq!(world.introspections(&response).await?, 0);
    Ok(())
}

fn signed(text: &str) -> Response {
    Response::new(200, SIGNED, text)
}

const SIGNED: &str = "application/token-introspection+jwt";
