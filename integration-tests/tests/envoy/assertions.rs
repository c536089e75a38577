//! The gateway authenticates by assertions that it signs (`private_key_jwt`), in a real Envoy: at a certified authorization
//! server, which verifies them and takes none twice, and at a scripted one, which shows them.

use std::collections::HashSet;

use anyhow::Result;
use futures::future::join_all;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with two workers, the server that verifies assertions, one that shows them, and an API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    scripted: ScriptedServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("assertions")?, Api::start()?);
    let scripted = ScriptedServer::start()?;
    let p256 = json!({"env": "P256_KEY"});
    let mut wrong_audience = configuration(&server, "ES256", &p256);
    wrong_audience["introspection"]["audience"] = json!("https://evil.example.com");
    let mut to_scripted = configuration(&server, "ES256", &p256);
    to_scripted["introspection"]["endpoint"] = json!("https://login.example.com/introspect");
    to_scripted["introspection"]["upstream"] = json!("scripted");
    to_scripted["introspection"]["key_id"] = json!("gateway-1");
    to_scripted["token"] = json!({"issuer": "https://login.example.com", "audience": ["orders-api"]});
    let rsa = json!(keys::rsa().to_string());
    let envoy = EnvoyBuilder::new("assertions", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .cluster("scripted", &[scripted.port()])
        .environment("P256_KEY", &keys::p256_pem())
        .environment("ANOTHER_P256_KEY", &keys::another_p256_pem())
        .environment("ED25519_KEY", &keys::ed25519().to_string())
        .listener("ES256", &configuration(&server, "ES256", &p256), Listener::default())
        .listener(
            "EdDSA",
            &configuration(&server, "EdDSA", &json!({"env": "ED25519_KEY"})),
            Listener::default(),
        )
        .listener("RS256", &configuration(&server, "RS256", &rsa), Listener::default())
        .listener(
            "wrong-key",
            &configuration(&server, "ES256", &json!({"env": "ANOTHER_P256_KEY"})),
            Listener::default(),
        )
        .listener("wrong-algorithm", &configuration(&server, "ES256", &rsa), Listener::default())
        .listener("wrong-audience", &wrong_audience, Listener::default())
        .listener("scripted", &to_scripted, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, scripted, api })
}

/// Nothing is cached: the server says `no-store`, and that is honoured.
fn configuration(server: &AuthorizationServer, algorithm: &str, private_key: &Value) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "auth_method": "private_key_jwt",
            "client_id": format!("gateway-key-{algorithm}"),
            "private_key": private_key,
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "log_level": "trace",
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    })
}

impl Stage {
    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token).named(token)).await
    }
}

/// oidc-provider verifies the signature by the key that the client is registered with, and takes no assertion twice. If one
/// were sent again, only the first request would succeed.
#[tokio::test]
async fn r021_each_introspection_has_an_assertion_of_its_own_that_the_server_accepts() -> Result<()> {
    let stage = stage().await;
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let token = stage.server.issue("orders:read").await?;
        let mut identifiers = HashSet::new();
        let mut assertion = String::new();
        for number in 1..=20 {
            let answer = stage.orders(algorithm, &token).await?;
            assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
            assertion = stage.server.assertion(&token).await?;
            let claims = authorization_server::claims(&assertion)?;
            identifiers.insert(claims["jti"].as_str().map(str::to_owned));
            assert_eq!(identifiers.len(), number, "{algorithm}: {claims}");
            assert_eq!(jwt::header(&assertion)?["alg"], algorithm);
            assert_eq!(claims["aud"], stage.server.issuer(), "{algorithm}");
        }
        assert_eq!(stage.server.introspections(&token).await?, 20, "{algorithm}");
        let replayed = stage.server.introspect_by(&assertion, &token).await?;
        assert_eq!(replayed, 401, "{algorithm}: the server would not have noticed");
    }
    Ok(())
}

/// If an assertion could be used elsewhere, later or twice, whoever saw one could introspect as the gateway.
#[tokio::test]
async fn r021_r019_an_assertion_is_brief_for_one_server_and_the_only_credentials() -> Result<()> {
    let stage = stage().await;
    let mut identifiers = HashSet::new();
    for number in 1..=20 {
        let token = secrets::fresh_token("asserted");
        stage.scripted.respond(&token, Response::jwt(&jwt::valid()).header("cache-control", "no-store"));
        let before = jwt::now();
        assert_eq!(stage.orders("scripted", &token).await?.status, 200);
        let introspections = stage.scripted.introspections(&token);
        let [introspection] = introspections.as_slice() else {
            panic!("{} introspections", introspections.len())
        };
        assert!(!introspection.headers.contains_key("authorization"));
        assert_eq!(introspection.parameter("client_secret"), "");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(introspection.parameter("client_assertion_type"), kind);
        let assertion = introspection.parameter("client_assertion");
        let (header, claims) = (jwt::header(assertion)?, authorization_server::claims(assertion)?);
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "gateway-1"}));
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("gateway-key-ES256"), &json!("gateway-key-ES256"))
        );
        assert_eq!(claims["aud"], "https://login.example.com");
        let expires = claims["exp"].as_u64().expect("a date");
        assert!((before..=jwt::now() + 60).contains(&expires), "{claims}");
        identifiers.insert(claims["jti"].as_str().map(str::to_owned));
        assert_eq!(identifiers.len(), number, "{claims}");
    }
    Ok(())
}

/// The client whose introspection it is leaves while others wait for the answer, so the gateway asks again. If it did so with the
/// same assertion, the server would take it for a thief.
#[tokio::test]
async fn r021_r023_a_question_that_is_asked_again_has_another_assertion() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("asked-again");
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.scripted.respond(&token, play);
    let client = stage.envoy.client("scripted");
    let first = client.start(&Request::get("/orders").bearer(&token)).await?;
    stage.scripted.asked(&token, 1).await?;
    let others = join_all((0..10).map(|_| stage.orders("scripted", &token)));
    let leave = async {
        stage.envoy.holds("scripted", 1 + 10).await?;
        drop(first);
        stage.scripted.asked(&token, 2).await?;
        gate.open();
        anyhow::Ok(())
    };
    let (answers, left) = tokio::join!(others, leave);
    left?;
    for answer in answers {
        assert_eq!(answer?.status, 200);
    }
    let introspections = stage.scripted.introspections(&token);
    let mut identifiers = HashSet::new();
    for introspection in &introspections {
        let claims = authorization_server::claims(introspection.parameter("client_assertion"))?;
        identifiers.insert(claims["jti"].as_str().map(str::to_owned));
    }
    assert!(introspections.len() >= 2, "it was not asked again");
    assert_eq!(identifiers.len(), introspections.len());
    Ok(())
}

/// If this failed, a wrong key in the gateway would tell every client that its token is bad, nobody would know why, or the log
/// would hold what authenticates the gateway.
#[tokio::test]
async fn r028_r110_an_assertion_that_is_refused_is_the_gateways_fault_and_in_no_log() -> Result<()> {
    let stage = stage().await;
    for listener in ["wrong-key", "wrong-algorithm", "wrong-audience"] {
        let token = stage.server.issue("orders:read").await?;
        let answer = stage.orders(listener, &token).await?;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (502, ""),
            "{listener}: {}",
            answer.text()
        );
        assert_eq!(stage.api.received(&token).len(), 0, "{listener}");
        let assertion = stage.server.assertion(&token).await?;
        let tells = |line: &str| {
            line.contains(&format!("{listener} phantom-token:")) && line.contains("refuses the credentials")
        };
        eventually("an error in the log", async || Ok(stage.envoy.log().lines().any(tells))).await?;
        for part in assertion.split('.') {
            assert!(!stage.envoy.log().contains(part), "{listener}: the assertion is in the log");
        }
        assert!(!answer.text().contains(&assertion));
    }
    Ok(())
}
