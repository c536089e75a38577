//! Zero trust inside the cluster: behind the ingress, the API has a sidecar that verifies every JWT itself. Requests that the ingress
//! forwards pass there; requests that bypass the ingress, or whose JWT the authorization server did not sign, do not.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::envoy::Envoy;
use integration_tests::json::merged;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::{World, by_scripted_server};
use integration_tests::{jwt, sidecar};
use serde_json::{Value, json};

/// A chain of client, ingress, sidecar and API. At one listener, a scripted server replaces the trusted one.
struct Chain {
    world: World,
    sidecar: Envoy,
}

shared!(chain: Chain = start);

async fn start() -> Result<Chain> {
    let world = World::certified("zero_trust")?;
    let sidecar =
        sidecar::start("zero_trust-sidecar", world.server(), "orders-api", world.api.port()).await?;
    let inbound = sidecar.client(sidecar::INBOUND).port();
    let world = world
        .envoy(|envoy| envoy.cluster("api", &[inbound]))
        .listener("ingress", json!({}))
        .listener("deceived", by_scripted_server())
        .start()
        .await?;
    Ok(Chain { world, sidecar })
}

/// The JWT that the API receives when a client calls it through the ingress with an opaque token.
async fn jwt_of(world: &World, token: &str) -> Result<String> {
    world.orders(token).await?.is_served().jwt()
}

/// If this failed, the filter would not forward a JWT that a service can verify.
#[tokio::test]
async fn r074_the_sidecar_verifies_the_jwt_of_the_opaque_token_and_the_api_receives_it() -> Result<()> {
    let world = &chain().await.world;
    let outcome = world.orders(&world.issue("orders:read").await?).await?.is_served();
    let claims = outcome.claims()?;
    assert_eq!((&claims["client_id"], &claims["scope"]), (&json!("app"), &json!("orders:read")));
    let verified = outcome.head().get(sidecar::VERIFIED_CLAIMS).context("the sidecar verified nothing")?;
    assert_eq!(serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(verified)?)?, claims);
    Ok(())
}

/// If this failed, any workload in the cluster could call the API without the ingress: with a client's token, with none, or
/// with a JWT that it made itself.
#[tokio::test]
async fn r074_past_the_ingress_nothing_but_the_jwt_itself_reaches_the_api() -> Result<()> {
    let Chain { world, sidecar } = chain().await;
    let token = world.issue("orders:read").await?;
    let jwt = jwt_of(world, &token).await?;
    let straight = || world.get("/orders").by(sidecar.client(sidecar::INBOUND));
    straight().bearer(&jwt).await?.is_served();
    straight().await?.has_status(401);
    // Its header says that it needs no signature (RFC 7519 §6).
    let unsigned = jwt::altered(&jwt, |parts| {
        parts[0] = jwt::encoded(&json!({"alg": "none", "typ": "at+jwt"}));
        parts[2].clear();
    })?;
    for (case, forgery) in [("opaque", token), ("unsigned", unsigned)].into_iter().chain(forgeries(&jwt)?) {
        straight().bearer(&forgery).case(case).await?.has_status(401);
    }
    Ok(())
}

/// The filter verifies no signature: it trusts the server that it calls. If this failed, an impostor of that server could call
/// the API as any user.
#[tokio::test]
async fn r041_the_sidecar_stops_a_forged_jwt_that_the_ingress_was_made_to_forward() -> Result<()> {
    let world = &chain().await.world;
    let jwt = jwt_of(world, &world.issue("orders:read").await?).await?;
    let deceived = |jwt: &str| world.orders(&world.answered(Response::jwt(jwt))).at("deceived");
    deceived(&jwt).await?.is_served();
    for (case, forgery) in forgeries(&jwt)? {
        let outcome = deceived(&forgery).case(case).await?.has_status(401);
        assert!(outcome.json().is_err(), "the ingress refused it: {outcome}");
    }
    Ok(())
}

/// JWTs with the claims of this one or with more, which the authorization server did not sign.
fn forgeries(jwt: &str) -> Result<[(&'static str, String); 3]> {
    let claims = jwt::claims(jwt)?;
    let more_claims = merged(&claims, json!({"scope": "orders:read orders:write"}));
    let signature = jwt.rsplit('.').next().unwrap_or_default();
    let mut other_signature = URL_SAFE_NO_PAD.decode(signature)?;
    other_signature[0] ^= 1;
    Ok([
        ("another signature", jwt::altered(jwt, |parts| parts[2] = URL_SAFE_NO_PAD.encode(other_signature))?),
        ("more claims", jwt::altered(jwt, |parts| parts[1] = jwt::encoded(&more_claims))?),
        ("made up", jwt::with_claims(&claims)),
    ])
}
