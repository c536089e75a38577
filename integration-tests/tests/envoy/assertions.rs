//! Gateways that authenticate with signed assertions (`private_key_jwt`), in a real Envoy: at a certified authorization server, which
//! verifies them and accepts none twice, and at a scripted one, which records them.

use std::collections::HashSet;

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::Response;
use integration_tests::shared;
use integration_tests::testkit::World;
use integration_tests::{jwt, keys};
use serde_json::{Value, json};

shared! {
    /// One Envoy with two workers. Nothing is cached, since the server says `no-store`.
    world: World = start
}

async fn start() -> Result<World> {
    let by = |algorithm: &str, private_key: Value| {
        let client = format!("gateway-key-{algorithm}");
        json!({"introspection": {"client_id": client, "private_key": private_key}})
    };
    let (p256, rsa) = (json!({"env": "P256_KEY"}), json!(keys::rsa().to_string()));
    World::certified("assertions")?
        .workers(2)
        .configuration(json!({
            "introspection": {"auth_method": "private_key_jwt", "client_secret": null},
            "log_level": "trace",
        }))
        .envoy(|envoy| {
            envoy
                .environment("P256_KEY", &keys::p256_pem())
                .environment("ANOTHER_P256_KEY", &keys::another_p256_pem())
                .environment("ED25519_KEY", &keys::ed25519().to_string())
        })
        .listener("EdDSA", by("EdDSA", json!({"env": "ED25519_KEY"})))
        .listener("RS256", by("RS256", rsa.clone()))
        .listener("wrong-key", by("ES256", json!({"env": "ANOTHER_P256_KEY"})))
        .listener("wrong-algorithm", by("ES256", rsa))
        .configuration(by("ES256", p256))
        .listener("ES256", json!({}))
        .listener("wrong-audience", json!({"introspection": {"audience": "https://evil.example.com"}}))
        .listener(
            "scripted",
            json!({
                "introspection": {
                    "endpoint": "https://login.example.com/introspect",
                    "upstream": "scripted-server",
                    "key_id": "gateway-1",
                },
                "single_flight": false,
                "token": {"issuer": "https://login.example.com"},
            }),
        )
        .start()
        .await
}

/// Records the identifier of an assertion, which has to be new.
#[track_caller]
fn note(identifiers: &mut HashSet<String>, claims: &Value) {
    let identifier = claims["jti"].as_str().expect("an identifier");
    assert!(identifiers.insert(identifier.to_owned()), "{claims}");
}

/// oidc-provider verifies the signature with the key that the client has registered, and accepts no assertion twice. If one were reused,
/// only the first request would succeed.
#[tokio::test]
async fn r021_each_introspection_has_an_assertion_of_its_own_that_the_server_accepts() -> Result<()> {
    let world = world().await;
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let token = world.issue("orders:read").await?;
        let (mut identifiers, mut assertion) = (HashSet::new(), String::new());
        for _ in 0..20 {
            world.orders(&token).at(algorithm).await?.is_served();
            assertion = world.server().assertion(&token).await?;
            let claims = jwt::claims(&assertion)?;
            note(&mut identifiers, &claims);
            assert_eq!(jwt::header(&assertion)?["alg"], algorithm);
            assert_eq!(claims["aud"], world.server().issuer(), "{algorithm}");
        }
        assert_eq!(world.introspections(&token).await?, 20, "{algorithm}");
        let replayed = world.server().introspect_by(&assertion, &token).await?;
        assert_eq!(replayed, 401, "{algorithm}: the server would not have noticed");
    }
    Ok(())
}

/// If an assertion could be used elsewhere, later or twice, an eavesdropper could introspect as the gateway.
#[tokio::test]
async fn r021_r019_an_assertion_is_brief_for_one_server_and_the_only_credentials() -> Result<()> {
    let world = world().await;
    let mut identifiers = HashSet::new();
    for _ in 0..20 {
        let token = world.answered(Response::jwt(&jwt::valid()).header("cache-control", "no-store"));
        let before = jwt::now();
        world.orders(&token).at("scripted").await?.is_served();
        let introspections = world.scripted.introspections(&token);
        let [introspection] = introspections.as_slice() else { panic!("{introspections:?}") };
        assert!(!introspection.headers.contains_key("authorization"));
        assert_eq!(introspection.parameter("client_secret"), "");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(introspection.parameter("client_assertion_type"), kind);
        let assertion = introspection.parameter("client_assertion");
        let (header, claims) = (jwt::header(assertion)?, jwt::claims(assertion)?);
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "gateway-1"}));
        for (name, expected) in
            [("iss", "gateway-key-ES256"), ("sub", "gateway-key-ES256"), ("aud", "https://login.example.com")]
        {
            assert_eq!(claims[name], expected, "{name}");
        }
        let expires = claims["exp"].as_u64().expect("a date");
        assert!((before..=jwt::now() + 60).contains(&expires), "{claims}");
        note(&mut identifiers, &claims);
    }
    Ok(())
}

/// The client whose request caused the introspection leaves while others wait for the response, so the gateway introspects again. If it
/// reused the assertion, the server would treat it as replayed.
#[tokio::test]
async fn r021_r023_a_repeated_query_has_a_new_assertion() -> Result<()> {
    let world = world().await;
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let call = world.orders(&token).at("scripted");
    let first = call.clone().start().await?;
    world.scripted.asked(&token, 1).await?;
    let leave = async {
        world.envoy.holds("scripted", 1 + 10).await?;
        drop(first);
        world.scripted.asked(&token, 2).await?;
        gate.open();
        Ok(())
    };
    let (others, ()) = tokio::try_join!(world.together(vec![call; 10]), leave)?;
    for outcome in others {
        outcome.is_served();
    }
    let introspections = world.scripted.introspections(&token);
    assert!(introspections.len() >= 2, "it was not asked again");
    let mut identifiers = HashSet::new();
    for introspection in &introspections {
        note(&mut identifiers, &jwt::claims(introspection.parameter("client_assertion"))?);
    }
    Ok(())
}

/// If this failed, a wrong key in the gateway would blame every client's token, without a trace of the cause; or the log would
/// contain the gateway's credentials.
#[tokio::test]
async fn r028_r110_an_assertion_that_is_refused_is_the_gateways_fault_and_in_no_log() -> Result<()> {
    let world = world().await;
    for listener in ["wrong-key", "wrong-algorithm", "wrong-audience"] {
        let token = world.issue("orders:read").await?;
        let outcome = world.orders(&token).at(listener).await?.is_refused(502, "gateway_credentials_refused");
        let assertion = world.server().assertion(&token).await?;
        let tells = |line: &str| {
            line.contains(&format!("{listener} phantom-token:"))
                && line.contains("refuses the gateway's credentials")
        };
        eventually("an error in the log", async || Ok(world.envoy.log().lines().any(tells))).await?;
        for part in assertion.split('.') {
            assert!(!world.envoy.log().contains(part), "{listener}: the assertion is in the log");
        }
        assert!(!outcome.text().contains(&assertion));
    }
    Ok(())
}
