//! Access tokens that are JWTs, in a real Envoy with a certified authorization server that issues them (RFC 9068): verified at
//! the gateway, refused or introspected, and opaque tokens beside them.

use anyhow::{Context, Result, ensure};
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::{jwt, keys};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with two workers, the server whose tokens count, another, and an API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    other: AuthorizationServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("jwt_access_tokens")?, Api::start()?);
    let other = AuthorizationServer::start("jwt_access_tokens-other")?;
    let edited = |edit: fn(&mut Value)| {
        let mut configuration = configuration(&server);
        edit(&mut configuration);
        configuration
    };
    let alone = edited(|configuration| {
        configuration["keys"]["upstream"] = json!("authorization-server");
        configuration.as_object_mut().expect("an object").remove("introspection");
    });
    let refusing = edited(|configuration| configuration["token"]["jwts"] = json!("refuse"));
    let introspecting = edited(|configuration| configuration["token"]["jwts"] = json!("introspect"));
    let exact = edited(|configuration| configuration["token"]["leeway"] = json!("0s"));
    let lax = edited(|configuration| configuration["token"]["jwt_profile"] = json!("lax"));
    let mut lax_for_the_client = lax.clone();
    lax_for_the_client["token"]["audience"] = json!(["orders-api", "app"]);
    lax_for_the_client["rules"] = json!([{"path": "/orders"}]);
    let envoy = EnvoyBuilder::new("jwt_access_tokens", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("verifying", &configuration(&server), Listener::default())
        .listener("lax", &lax, Listener::default())
        .listener("lax-for-the-client", &lax_for_the_client, Listener::default())
        .listener("exact", &exact, Listener::default())
        .listener("alone", &alone, Listener::default())
        .listener("refusing", &refusing, Listener::default())
        .listener("introspecting", &introspecting, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, other, api })
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"], "jwts": "verify"},
        "keys": {"uri": format!("{}/jwks", server.issuer())},
        "cache": {"no_store_ttl": "1m"},
        "log_level": "debug",
        "rules": [
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
        ],
    })
}

impl Stage {
    async fn orders(&self, listener: &str, token: &str, name: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token).named(name)).await
    }

    /// Calls with a token that must not reach the API, and must not be asked about; twice, so that the caches have their say.
    async fn refused(&self, listener: &str, token: &str, name: &str, description: &str) -> Result<()> {
        for _ in 0..2 {
            let answer = self.orders(listener, token, name).await?;
            assert_eq!(answer.status, 401, "{listener}: {name}: {}", answer.text());
            assert_eq!(answer.json()?["error_description"], description, "{listener}: {name}");
            assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#), "{name}");
            assert!(!answer.text().contains(token), "{name}");
        }
        assert_eq!(self.api.received(name).len(), 0, "{listener}: {name}");
        assert_eq!(self.server.introspections(token).await?, 0, "{listener}: {name}");
        Ok(())
    }
}

/// If a byte of it changed, services could not verify it; if it were introspected, verifying it would be of no use.
#[tokio::test]
async fn r067_r068_a_jwt_access_token_is_forwarded_as_it_is_and_nobody_is_asked_about_it() -> Result<()> {
    let stage = stage().await;
    for listener in ["verifying", "lax", "exact", "alone"] {
        let token = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
        assert_eq!(jwt::header(&token)?["typ"], "at+jwt");
        for _ in 0..10 {
            let answer = stage.orders(listener, &token, "good").await?;
            assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
            assert_eq!(answer.forwarded_authorization(), [format!("Bearer {token}")], "{listener}");
        }
        let request = Request::post("/orders", "{}").bearer(&token).named("may-not-write");
        let answer = stage.envoy.client(listener).send(request).await?;
        assert_eq!(answer.status, 403, "{listener}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains(r#"error="insufficient_scope""#), "{listener}");
        assert_eq!(stage.api.received("may-not-write").len(), 0, "{listener}");
        assert_eq!(stage.server.introspections(&token).await?, 0, "{listener}");
    }
    Ok(())
}

/// If one of these passed, tokens for other services, of other servers or of anybody's making would open this API.
#[tokio::test]
async fn r067_r034_r033_a_jwt_for_another_audience_or_of_another_issuer_is_refused() -> Result<()> {
    let stage = stage().await;
    let payments = stage.server.issue_jwt(Resource::Payments, "orders:read").await?;
    let others = stage.other.issue_jwt(Resource::Orders, "orders:read").await?;
    // What the other server signed, said to be of the one whose tokens count.
    let mut claims = authorization_server::claims(&others)?;
    claims["iss"] = json!(stage.server.issuer());
    let disguised = jwt::altered(&others, |parts| parts[1] = jwt::encoded(&claims))?;
    for listener in ["verifying", "lax", "alone"] {
        stage.refused(listener, &payments, "payments", "The access token is for another audience").await?;
        stage.refused(listener, &others, "others", "The access token is of another issuer").await?;
        let description = "The signature of the access token is not valid";
        stage.refused(listener, &disguised, "disguised", description).await?;
    }
    Ok(())
}

/// If one of these passed, anybody could write a token; if the server were asked about one, anybody could make the gateway ask.
#[tokio::test]
async fn r059_r060_r061_r062_what_the_server_did_not_sign_is_refused() -> Result<()> {
    let stage = stage().await;
    let genuine = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    assert_eq!(stage.orders("verifying", &genuine, "genuine").await?.status, 200);
    let (header, claims) = (jwt::header(&genuine)?, authorization_server::claims(&genuine)?);
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let mut nameless = header.clone();
    nameless.as_object_mut().expect("an object").remove("kid");
    let own_key = keys::public(&keys::p256());
    let mut more_claims = claims.clone();
    more_claims["scope"] = json!("orders:read orders:write");
    let unsigned = |algorithm: &str| {
        jwt::altered(&genuine, |parts| {
            parts[0] = jwt::encoded(&json!({"alg": algorithm, "typ": "at+jwt"}));
            parts[2].clear();
        })
    };
    let typed = |algorithm: &str| {
        jwt::altered(&genuine, |parts| parts[0] = jwt::encoded(&with("alg", json!(algorithm))))
    };
    for (name, forged) in [
        ("another-key", jwt::signed(&header, &claims)),
        ("another-key-without-a-name", jwt::signed(&nameless, &claims)),
        ("another-name", jwt::signed(&with("kid", json!("another")), &claims)),
        ("a-key-that-it-brings", jwt::signed(&with("jwk", own_key), &claims)),
        ("keys-elsewhere", jwt::signed(&with("jku", json!("https://evil.example.com/jwks")), &claims)),
        ("more-claims", jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&more_claims))?),
        ("no-signature", jwt::altered(&genuine, |parts| parts[2].clear())?),
        ("none", unsigned("none")?),
        ("nOnE", unsigned("nOnE")?),
        ("none-with-a-signature", typed("none")?),
        ("HS256", typed("HS256")?),
        ("RS256", typed("RS256")?),
        ("critical", jwt::signed(&with("crit", json!(["b64"])), &claims)),
        ("b64", jwt::signed(&with("b64", json!(false)), &claims)),
    ] {
        for listener in ["verifying", "lax", "alone"] {
            let description = "The signature of the access token is not valid";
            stage.refused(listener, &forged, name, description).await?;
        }
    }
    Ok(())
}

/// If this failed, what tells a client who the user is would open the API in the user's name.
#[tokio::test]
async fn r069_an_id_token_is_no_access_token() -> Result<()> {
    let stage = stage().await;
    let id_token = stage.server.id_token().await?;
    let claims = authorization_server::claims(&id_token)?;
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(stage.server.issuer()), &json!("alice")));
    for listener in ["verifying", "alone"] {
        stage.refused(listener, &id_token, "id-token", "The token is not an access token").await?;
    }
    assert_eq!(stage.orders("lax", &id_token, "id-token").await?.status, 401, "it is for the client");
    Ok(())
}

/// Some servers name an API by the identifier of its client. If this failed, what they tell that client of its user would open the
/// API. An ID token of the code flow need not have `at_hash`; this one has `nonce`.
#[tokio::test]
async fn r069_an_id_token_is_no_access_token_by_the_lax_profile_either() -> Result<()> {
    let stage = stage().await;
    let id_token = stage.server.id_token().await?;
    assert!(authorization_server::claims(&id_token)?["nonce"].is_string());
    let description = "The token is not an access token";
    stage.refused("lax-for-the-client", &id_token, "lax-id-token", description).await
}

/// If the cache or the leeway kept it, a token would live for longer than its issuer meant it to.
#[tokio::test]
async fn r031_r053_an_expired_jwt_is_refused_although_it_was_in_the_cache() -> Result<()> {
    let stage = stage().await;
    let (mut token, mut expires) = Default::default();
    // A busy machine may need longer than one lives.
    eventually("one is in the cache", async || {
        token = stage.server.issue_jwt(Resource::OrdersBriefly, "orders:read").await?;
        expires = authorization_server::claims(&token)?["exp"].as_u64().context("no date")?;
        let is_served = stage.orders("exact", &token, "brief").await?.status == 200;
        ensure!(is_served || jwt::now() >= expires, "refused at {}, before {expires}", jwt::now());
        Ok(is_served)
    })
    .await?;
    eventually("it is refused", async || {
        let sent = jwt::now();
        let is_refused = stage.orders("exact", &token, "brief").await?.status == 401;
        ensure!(is_refused || sent < expires, "served at {sent}, although it expired at {expires}");
        Ok(is_refused)
    })
    .await?;
    assert!(jwt::now() >= expires, "refused at {}, before {expires}", jwt::now());
    stage.refused("exact", &token, "expired", "The access token has expired").await?;
    assert_eq!(stage.orders("verifying", &token, "leeway").await?.status, 200, "within the leeway");
    Ok(())
}

/// If this failed, a server could not be migrated from the one to the other while it runs.
#[tokio::test]
async fn r071_opaque_tokens_are_introspected_beside_jwts() -> Result<()> {
    let stage = stage().await;
    for listener in ["verifying", "lax", "refusing", "introspecting"] {
        let token = stage.server.issue("orders:read").await?;
        let answer = stage.orders(listener, &token, "opaque").await?;
        assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        let forwarded = answer.forwarded_authorization();
        assert!(forwarded.len() == 1 && forwarded[0].starts_with("Bearer eyJ"), "{listener}: {forwarded:?}");
        assert_eq!(stage.server.introspections(&token).await?, 1, "{listener}");
    }
    let token = stage.server.issue("orders:read").await?;
    stage.refused("alone", &token, "not-a-jwt", "The access token is not a JWT").await
}

/// If this failed, JWTs would get in where the operator wants none.
#[tokio::test]
async fn r071_jwts_are_refused_where_the_operator_wants_none() -> Result<()> {
    let stage = stage().await;
    let genuine = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    for token in [&genuine, &jwt::valid()] {
        let description = "JWTs are not accepted as access tokens here";
        stage.refused("refusing", token, "refused", description).await?;
    }
    Ok(())
}

/// oidc-provider issues such tokens and does not introspect them: it answers `unsupported_token_type`. If this failed, that would
/// look like a failure of the server.
#[tokio::test]
async fn r029_a_genuine_jwt_that_its_server_does_not_introspect_is_refused_as_invalid() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    let answer = stage.orders("introspecting", &token, "introspected").await?;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()?["error_description"], "The access token is not active");
    assert_eq!(stage.api.received("introspected").len(), 0);
    assert_eq!(stage.server.introspections(&token).await?, 1);
    Ok(())
}
